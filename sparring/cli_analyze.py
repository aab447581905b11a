"""The verb `sparring analyze`: the latent space of a trained run."""

from __future__ import annotations

from sparring import configuration
from sparring.cli_evaluate import OF_A_RUN, Terminal, one_place, read_known
from sparring.configuration import Field, fields, latent_fields
from sparring.flags import settings_help
from sparring.summary import summarise_latent

ANALYZE = """\
usage: sparring analyze RUN [--SETTING VALUE ...]

Look into the latent space of a trained run as ASCL's paper does: intra- and inter-class divergence and their ratio R-DIV,
clean and under PGD, against the attack's radius and over the kept checkpoints, with robust accuracy; a t-SNE map; how many
positives and negatives the selector chose, and which. Writes latent.json, latent.npz and report.html anew; earlier figures
are kept as latent-N.json.

  RUN        a run folder (its newest checkpoint), or RUN/checkpoints/epoch-0010
  --debug    show where an error happened

Settings of the analysis, then those that may differ from the run's:
"""

OPTIONS = {"debug": False, "help": False}


def analyze(words: list[str]) -> int:
    """Run the verb on its words and return the exit code."""
    known = settings_of()
    read = read_known(words, OPTIONS, known, "analyze")
    if "help" in read.options:
        print(ANALYZE + settings_help(known))
        return 0
    place = one_place(read.positional, "analyze")
    latent = configuration.build_latent(read.settings)
    settings = {key: value for key, value in read.settings.items() if key not in latent_fields()}
    from sparring.evaluation.check import check_finetunes
    from sparring.latent import of_a_run

    check_finetunes(settings, [latent.classifier])
    progress = Terminal()
    try:
        folder = of_a_run(place, settings, latent, progress=progress)
    except KeyboardInterrupt:
        raise KeyboardInterrupt("interrupted, nothing was written; the same command starts again") from None
    progress.close()
    summarise_latent(folder)
    return 0


def settings_of() -> dict[str, Field]:
    """What the verb takes by their dotted names."""
    changeable = {key: field for key, field in fields().items() if key.startswith("evaluation.") or key in OF_A_RUN}
    return latent_fields() | changeable
