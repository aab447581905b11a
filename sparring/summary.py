"""What a person reads on the terminal when a run has been measured."""

from __future__ import annotations

import shlex
from pathlib import Path


def summarise(run: Path) -> None:
    """The figures, the attack in words, and what to look at or type next."""
    from sparring.reporting.run_folder import read_run

    folder = read_run(run)
    print()
    for name, entry in folder.results.items():
        if "accuracy" in entry:
            low, high = (100 * bound for bound in entry["interval"])
            measured = (
                f"{100 * entry['accuracy']:.1f} %, 95 % interval {low:.1f} to {high:.1f}, n = {entry['n_test']:,}"
            )
            print(f"{name:10} {measured} ({entry['protocol']}, on {entry['layer']}, {entry['domain']} batch norm)")
        else:
            print(f"{name:10} left out: {entry['left_out']}")
    trained = {entry["epochs_trained"] for entry in folder.results.values() if "epochs_trained" in entry}
    if trained and max(trained) < folder.setting("training.epochs"):
        print(f"unfinished measured after epoch {max(trained)} of {folder.setting('training.epochs')}")
    attack = folder.analysis.get("attack", {})
    if attack:
        print(
            f"attack     {attack['words']}{'' if attack['in_training'] else ' (in the report only; not trained against)'}"
        )
    print(f"report     {run / 'report.html'}")
    print(f"again      sparring train --config {shlex.quote(str(run / 'config.yaml'))}")
    if folder.setting("optimizer.schedule") != "cosine":  # which was drawn for the number of epochs
        print(
            f"longer     sparring train --resume {shlex.quote(str(run))} --epochs {2 * folder.setting('training.epochs')}"
        )
