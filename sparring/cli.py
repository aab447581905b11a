"""The command line: `sparring train`, `evaluate`, `analyze`, `report`, `compare`, `reproduce`, `leaderboard`, `export`,
`list`, `doctor`.

What a user got wrong is one sentence on stderr and exit code 2, and nothing is written; what went wrong while running is
one sentence and exit code 1; an interrupted run exits with 130. SPARRING_DEBUG=1 or --debug shows where it happened.
Rooms that need torch are imported by the verb that uses them: help and the checks of flags and files do not.
"""

from __future__ import annotations

import os
import sys
import textwrap
import traceback
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from sparring import __version__, configuration
from sparring.cli_analyze import analyze
from sparring.cli_compare import compare, leaderboard
from sparring.cli_evaluate import evaluate, one_place
from sparring.cli_export import export
from sparring.cli_reproduce import reproduce
from sparring.config import RunConfig
from sparring.flags import RUN, WIDTH, Positional, read_words, settings_help
from sparring.listing import KINDS, methods
from sparring.summary import summarise

TRAIN = """\
usage: sparring train [METHOD] [--config FILE] [--SETTING VALUE ...]

Train METHOD (default clae), evaluate it, and leave a report in a run folder.

METHODS
  --config FILE       settings from a YAML file, such as a run's config.yaml; flags go on top of it
  --print-config      print the complete configuration that would run, and run nothing
  --debug             show where an error happened

Settings, by their full or short name. In brackets: the default; `not set` is the method's own, which --print-config shows.
"""

REPORT = """\
usage: sparring report FOLDER

Write FOLDER/report.html anew from its files: of a run, or of a model that `sparring evaluate python:...` attacked.
"""

LIST = """\
usage: sparring list [KINDS ...]

What can be named on the command line, one line each.
"""

DOCTOR = """\
usage: sparring doctor

What is installed, where it computes, where data sets are looked for; exit code 1 if something needed is missing.
"""

DEBUG = {"debug": False, "help": False}


def main(argv: list[str] | None = None) -> int:
    """Run one command line (default: the program's) and return its exit code."""
    words = sys.argv[1:] if argv is None else list(argv)
    try:
        with warnings.catch_warnings():
            said = set[str]()

            def show(message: Warning | str, *_: object) -> None:
                if str(message) not in said:  # images are loaded to train and again to measure
                    print(f"sparring: warning: {message}", file=sys.stderr)
                said.add(str(message))

            warnings.showwarning = show  # pyright: ignore[reportAttributeAccessIssue]
            return _run(words)
    except SystemExit as stopped:  # a signal, after the checkpoint was saved (sparring.training.Stopped)
        return _complain(stopped, stopped.code if isinstance(stopped.code, int) else 1, "sparring:", words)
    except KeyboardInterrupt as stopped:
        return _complain(stopped if stopped.args else KeyboardInterrupt("interrupted"), 130, "sparring:", words)
    except BrokenPipeError:  # `sparring list | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (ValueError, FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        return _complain(error, 2, "sparring: error:", words)
    except Exception as error:
        return _complain(error, 1, "sparring: error:", words)


def _complain(error: BaseException, code: int, prefix: str, words: list[str]) -> int:
    if "--debug" in words or os.environ.get("SPARRING_DEBUG", "0") not in ("", "0"):
        traceback.print_exception(error)
    if isinstance(error, OSError) and error.strerror and error.filename:
        sentence = f"{error.filename}: {error.strerror}"
    elif isinstance(error, ValueError | OSError | RuntimeError | FloatingPointError | SystemExit | KeyboardInterrupt):
        sentence = " ".join(str(error).split())
    else:
        sentence = f"{type(error).__name__}: {' '.join(str(error).split())} (--debug shows where)"
    print(prefix, sentence or f"{type(error).__name__} (--debug shows where)", file=sys.stderr)
    return code


def _run(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help"):
        print(_overview())
        return 0
    if words[0] == "--version":
        print(f"sparring {__version__}")
        return 0
    verb, *rest = words
    if verb not in VERBS:
        near = configuration.nearest(verb, VERBS)
        raise ValueError(
            f"{verb} is no command; {f'did you mean {near}?' if near else 'there are ' + ', '.join(VERBS)}"
        )
    return VERBS[verb](rest)


def _overview() -> str:
    lines = [f"  {verb:11} {(function.__doc__ or '').splitlines()[0]}" for verb, function in VERBS.items()]
    return "\n".join(
        [
            "usage: sparring COMMAND ...",
            "",
            "Contrastive representation learning with an adversary.",
            "",
            *lines,
            "",
            "sparring COMMAND --help lists what each takes; sparring --version prints the version.",
        ]
    )


def _train(words: list[str]) -> int:
    """Train a method, evaluate it, and leave a report."""
    method = Positional("METHOD", lambda word: bool(configuration.nearest(word, methods())))
    read = read_words(words, DEBUG | {"config": True, "print-config": False}, positional=method)
    if "help" in read.options:
        named = f"  {'METHOD':20}{', '.join(methods())}; the same as --method.name"
        print(TRAIN.replace("METHODS", textwrap.fill(named, WIDTH, subsequent_indent=" " * 22)), end="")
        print(settings_help(configuration.fields()))
        return 0
    if len(read.positional) > 1:
        raise ValueError(f"one METHOD is trained at a time, not {' and '.join(read.positional)}")
    settings: dict[str, Any] = {}
    for file in read.options.get("config", []):
        settings |= configuration.read_yaml(file)
    if read.positional:
        settings["method.name"] = read.positional[0]
        if read.settings.get("method.name", read.positional[0]) != read.positional[0]:
            raise ValueError(f"METHOD is {read.positional[0]}, but --method.name is {read.settings['method.name']}")
    _check_method(settings | read.settings)
    config = configuration.build(settings | read.settings)
    from sparring import training

    if config.resume is not None:
        from sparring.training.resume import check_given

        check_given(config, settings | read.settings)
    if "print-config" in read.options:
        print(configuration.to_yaml(training.resolve(config)), end="")
        return 0
    from sparring.experiment import run as run_experiment

    run = run_experiment(config)
    if os.environ.get("RANK", "0") == "0":
        summarise(run)
    return 0


def _check_method(settings: dict[str, Any]) -> None:
    """The same sentence as `sparring.training.resolve`, two seconds of importing earlier."""
    name, known = settings.get("method.name", RunConfig().method.name), methods()
    if name not in known:
        near = configuration.nearest(name, known)
        hint = f"; did you mean {near!r}?" if near else ""
        raise ValueError(f"method.name must be one of {', '.join(known)}, not {name!r}{hint}")


def _evaluate(words: list[str]) -> int:
    """Measure a trained run again, or attack it: clean and robust accuracy."""
    return evaluate(words)


def _reproduce(words: list[str]) -> int:
    """A paper's table: every row trained and measured, its claims judged."""
    return reproduce(words)


def _export(words: list[str]) -> int:
    """Write a trained encoder for others: weights, model card, ONNX."""
    return export(words)


def _analyze(words: list[str]) -> int:
    """Look into a trained run's latent space: divergences, a map, selected pairs."""
    return analyze(words)


def _report(words: list[str]) -> int:
    """Write a run's report anew."""
    read = read_words(words, DEBUG, positional=replace(RUN, name="FOLDER"))
    if "help" in read.options:
        print(REPORT, end="")
        return 0
    from sparring.reporting import write_report

    print(write_report(Path(one_place(read.positional, "report"))))
    return 0


def _compare(words: list[str]) -> int:
    """Runs side by side in one page: settings, figures, curves."""
    return compare(words)


def _leaderboard(words: list[str]) -> int:
    """All results beside the papers' in one page."""
    return leaderboard(words)


def _list(words: list[str]) -> int:
    """What can be named: methods, attacks, data sets, encoders, pairs, views."""
    kinds = Positional("KIND", lambda word: bool(configuration.nearest(word, KINDS)))
    read = read_words(words, DEBUG, positional=kinds)
    if "help" in read.options:
        print(LIST.replace("KINDS", "|".join(KINDS)), end="")
        return 0
    for word in read.positional:
        if word not in KINDS:
            near = configuration.nearest(word, KINDS)
            raise ValueError(
                f"list knows {', '.join(KINDS)}, not {word!r}" + (f"; did you mean {near}?" if near else "")
            )
    for kind in read.positional or KINDS:
        print(f"{kind}:")
        for name, line in KINDS[kind]().items():
            print(textwrap.fill(f"{name:14} {line}", WIDTH, initial_indent="  ", subsequent_indent=" " * 17))
    return 0


def _doctor(words: list[str]) -> int:
    """What is installed, where it computes, where data is."""
    read = read_words(words, DEBUG)
    if "help" in read.options:
        print(DOCTOR, end="")
        return 0
    if read.positional:
        raise ValueError(f"doctor takes no words, not {' '.join(read.positional)}")
    from sparring.doctor import diagnose

    lines, wrong = diagnose()
    print("\n".join(lines))
    for sentence in wrong:
        print(f"sparring: {sentence}", file=sys.stderr)
    return 1 if wrong else 0


VERBS: dict[str, Callable[[list[str]], int]] = {
    "train": _train,
    "evaluate": _evaluate,
    "analyze": _analyze,
    "report": _report,
    "compare": _compare,
    "reproduce": _reproduce,
    "leaderboard": _leaderboard,
    "export": _export,
    "list": _list,
    "doctor": _doctor,
}

if __name__ == "__main__":
    sys.exit(main())
