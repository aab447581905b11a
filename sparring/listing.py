"""What can be named on the command line, each with one line. Methods are read from their files, without importing torch."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Mapping
from pathlib import Path

NOT_A_METHOD = ("__init__", "attacked_views", "settings", "supervised")


def methods() -> dict[str, str]:
    """Every file in sparring/methods is a method; the first line of its docstring says what it is."""
    files = sorted((Path(__file__).parent / "methods").glob("*.py"))
    return {file.stem: _first_line(file) for file in files if file.stem not in NOT_A_METHOD}


def _first_line(file: Path) -> str:
    return (ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or "").partition("\n")[0]


def attacks() -> dict[str, str]:
    """The attacks of attack.name, by the first line of their classes."""
    from sparring.training.build import ATTACKS

    return _described(ATTACKS)


def evaluation_attacks() -> dict[str, str]:
    """The attacks of `sparring evaluate --attack`, the papers' presets last."""
    from sparring.evaluation import attack_names

    return attack_names()


def pairs() -> dict[str, str]:
    """The pair selectors of method.pairs."""
    from sparring.training.build import PAIRS

    return _described(PAIRS)


def _described(named: Mapping[str, object]) -> dict[str, str]:
    return {name: (inspect.getdoc(what) or "").partition("\n")[0] for name, what in named.items()}


def protocols() -> dict[str, str]:
    """The protocols of `sparring evaluate --protocol` and --classifier."""
    from sparring.measuring import PROTOCOLS

    return PROTOCOLS


def data() -> dict[str, str]:
    """The data sets of data.name."""
    from sparring.data import data_names

    return data_names()


def views() -> dict[str, str]:
    """The augmentation pipelines of data.views."""
    from sparring.data import pipeline_names

    return pipeline_names()


def encoders() -> dict[str, str]:
    """The encoders of encoder.name."""
    from sparring.encoders import encoder_names

    return encoder_names()


KINDS: dict[str, Callable[[], dict[str, str]]] = {
    "methods": methods,
    "attacks": attacks,
    "evaluation-attacks": evaluation_attacks,
    "protocols": protocols,
    "data": data,
    "encoders": encoders,
    "pairs": pairs,
    "views": views,
}
