"""From flags and YAML files to a `RunConfig`, and back to YAML.

The dataclasses of `sparring.config` are the only description: their annotations say what a field takes, the line under
it is its help. jsonargparse converts and checks values; it is imported when the first value is.
"""

from __future__ import annotations

import ast
import dataclasses
import difflib
import functools
import inspect
import itertools
import math
import types
import typing
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from sparring import config, measuring
from sparring.config import RunConfig
from sparring.measuring import LatentConfig, RobustnessConfig, TransferConfig, WeightsConfig


class Radius(float):
    """Annotation of a radius: a number, or text such as 8/255."""


@dataclass(frozen=True)
class Field:
    """One setting, by its dotted name."""

    key: str
    type: Any
    default: Any
    meaning: str

    @property
    def plain_type(self) -> Any:
        """The annotation without `| None`."""
        if typing.get_origin(self.type) not in (typing.Union, types.UnionType):
            return self.type
        return next(member for member in typing.get_args(self.type) if member is not types.NoneType)

    @property
    def optional(self) -> bool:
        """Whether it may be left open."""
        return types.NoneType in typing.get_args(self.type)

    @property
    def choices(self) -> tuple[str, ...]:
        """What a Literal allows; empty for other types."""
        return typing.get_args(self.plain_type) if typing.get_origin(self.plain_type) is Literal else ()

    @property
    def is_list(self) -> bool:
        """Whether it takes several values."""
        return typing.get_origin(self.plain_type) is list

    @property
    def allowed(self) -> str:
        """What it takes, in words."""
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        if self.is_list:
            return f"a list in which each is {_WORDS[typing.get_args(self.plain_type)[0]]}"
        return _WORDS[self.plain_type]


_WORDS = {
    int: "a whole number",
    float: "a number",
    Radius: "a number or a fraction such as 8/255",
    bool: "true or false",
    str: "text",
}


@functools.cache
def fields() -> dict[str, Field]:
    """Every setting by its dotted name, in the order of the dataclasses."""
    return {field.key: field for field in _fields_of(RunConfig, "")}


@functools.cache
def robustness_fields() -> dict[str, Field]:
    """The settings of a robust evaluation, which belong to no run, by their dotted names."""
    return {field.key: field for field in _fields_of(RobustnessConfig, "robustness.")}


@functools.cache
def weights_fields() -> dict[str, Field]:
    """How a checkpoint from elsewhere is read, by dotted names; they stand for a run's settings of its encoder."""
    return {field.key: field for field in _fields_of(WeightsConfig, "encoder.")}


@functools.cache
def latent_fields() -> dict[str, Field]:
    """The settings of a look into the latent space, by their dotted names."""
    return {field.key: field for field in _fields_of(LatentConfig, "latent.")}


@functools.cache
def transfer_fields() -> dict[str, Field]:
    """The settings of a transfer to other data sets, by their dotted names."""
    return {field.key: field for field in _fields_of(TransferConfig, "transfer.")}


@functools.cache
def sections() -> dict[str, str]:
    """The groups of a run's settings, with what each is about."""
    hints = typing.get_type_hints(RunConfig)
    return {name: inspect.getdoc(hint) or "" for name, hint in hints.items() if dataclasses.is_dataclass(hint)}


def _fields_of(cls: type, prefix: str) -> Iterator[Field]:
    hints = typing.get_type_hints(cls, {**vars(config), **vars(measuring), "Radius": Radius})
    meanings = _meanings(cls)
    for field in dataclasses.fields(cls):
        hint, key = hints[field.name], prefix + field.name
        if dataclasses.is_dataclass(hint):
            yield from _fields_of(typing.cast(type, hint), f"{key}.")
        else:
            factory = field.default_factory
            default = field.default if factory is dataclasses.MISSING else factory()
            yield Field(key, hint, default, meanings.get(field.name, ""))


def _meanings(cls: type) -> dict[str, str]:
    """The string under each field of a dataclass."""
    body = typing.cast(ast.ClassDef, ast.parse(inspect.getsource(cls)).body[0]).body
    return {
        field.target.id: " ".join(inspect.cleandoc(below.value.value).split())
        for field, below in itertools.pairwise(body)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant) and isinstance(below.value.value, str)
    }


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that `word` was probably meant to be."""
    lower = {each.lower(): each for each in known}
    found = difflib.get_close_matches(word.lower(), lower, n=1, cutoff=0.6)
    return lower[found[0]] if found else None


def radius(value: Any) -> float:
    """A radius from a number or from text: 8/255 is the float nearest to the fraction."""
    numerator, slash, denominator = str(value).partition("/")
    number = float(numerator) / float(denominator) if slash else float(numerator)
    if not math.isfinite(number):
        raise ValueError(f"{value} is not finite")
    return number


def convert(field: Field, given: Any, place: str = "") -> Any:
    """`given`, from YAML or as text, as the field's type; a ValueError that names field, value and what is allowed."""
    value = given
    if (field.plain_type is str and isinstance(value, str)) or (value is None and field.optional):
        return value
    if field.is_list and isinstance(value, str):
        value = value.strip("[] ").replace(",", " ").split()
    parts = value if isinstance(value, list) else [value]
    try:
        if value is None or any(isinstance(part, float) and not math.isfinite(part) for part in parts):
            raise ValueError(f"{field.key} has no value")
        return _parser(field.key, field.type).parse_object({field.key: value}, defaults=False)[field.key]
    except Exception as error:
        # jsonargparse names Python's types; whatever it found wrong, this sentence says what is allowed.
        near = nearest(given.lower(), field.choices) if isinstance(given, str) else None
        hint = f"; did you mean {near}?" if near else ""
        raise ValueError(f"{field.key} must be {field.allowed}, not {_shown(given)}{place}{hint}") from error


def _shown(value: Any) -> str:
    return "empty" if value is None else str(value).lower() if isinstance(value, bool) else repr(value)


@functools.cache
def _parser(key: str, kind: Any) -> Any:
    """jsonargparse's parser of one setting: its time grows with the number of settings it knows."""
    import jsonargparse
    from jsonargparse.typing import register_type

    errors = (ValueError, ZeroDivisionError)
    register_type(
        Radius, serializer=float, deserializer=radius, deserializer_exceptions=errors, fail_already_registered=False
    )
    parser = jsonargparse.ArgumentParser(exit_on_error=False)
    parser.add_argument(f"--{key}", type=kind)
    return parser


def read_yaml(path: str | Path) -> dict[str, Any]:
    """The settings of a YAML file by their dotted names; ValueError if it is none, or names an unknown setting."""
    import yaml

    path = Path(path)
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"--config is {path}, but there is no such file") from None
    except IsADirectoryError:
        raise ValueError(f"--config is {path}, which is a folder; name its YAML file, such as config.yaml") from None
    except UnicodeDecodeError:
        raise ValueError(f"--config is {path}, which is no text, so no YAML") from None
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error}") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise ValueError(f"{path}{where} is not valid YAML: {getattr(error, 'problem', None) or error}") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ValueError(f"{path} must hold settings such as `method: {{name: clae}}`, not {_shown(content)}")
    place, settings = f" (in {path})", {}
    for key, value in content.items():
        if key in sections():
            if not isinstance(value, dict | None):
                raise ValueError(f"{key} must be a group of settings (key: value), not {_shown(value)}{place}")
            for leaf, inner in (value or {}).items():
                settings[_known(f"{key}.{leaf}", path)] = inner
        else:
            settings[_known(str(key), path)] = value
    return {key: convert(fields()[key], value, place) for key, value in settings.items()}


def _known(key: str, path: Path) -> str:
    if key in fields():
        return key
    group, _, leaf = key.rpartition(".")
    inside = {name.rpartition(".")[2]: name for name in fields() if name.rpartition(".")[0] == group}
    hint = inside.get(nearest(leaf, inside) or "")
    if hint is None:
        anywhere = {name.rpartition(".")[2]: name for name in reversed(fields())}
        anywhere |= {} if group else {section: section for section in sections()}
        hint = anywhere.get(nearest(leaf, anywhere) or "")
    raise ValueError(f"{path} has an unknown setting, {key}{f'; did you mean {hint}?' if hint else ''}")


def build(settings: dict[str, Any]) -> RunConfig:
    """The configuration in which `settings` (dotted names, converted values) replace the defaults."""
    made = RunConfig()
    for key, value in settings.items():
        group, _, leaf = key.rpartition(".")
        setattr(getattr(made, group) if group else made, leaf, value)
    return made


def build_robustness(settings: dict[str, Any]) -> RobustnessConfig:
    """The robust evaluation in which the settings named robustness.* replace the defaults; others are passed over."""
    known = {key.rpartition(".")[2]: value for key, value in settings.items() if key in robustness_fields()}
    return RobustnessConfig(**known)


def build_weights(settings: dict[str, Any]) -> WeightsConfig:
    """How a checkpoint is read, in which the settings named encoder.* replace the defaults; others are passed over."""
    return WeightsConfig(
        **{key.rpartition(".")[2]: value for key, value in settings.items() if key in weights_fields()}
    )


def build_latent(settings: dict[str, Any]) -> LatentConfig:
    """The look into the latent space in which the settings named latent.* replace the defaults; others are passed over."""
    return LatentConfig(**{key.rpartition(".")[2]: value for key, value in settings.items() if key in latent_fields()})


def build_transfer(settings: dict[str, Any]) -> TransferConfig:
    """The transfer in which the settings named transfer.* replace the defaults; others are passed over."""
    return TransferConfig(
        **{key.rpartition(".")[2]: value for key, value in settings.items() if key in transfer_fields()}
    )


def to_yaml(made: RunConfig) -> str:
    """The configuration as YAML that `read_yaml` reads back to the same values."""
    import yaml

    return yaml.safe_dump(dataclasses.asdict(made), sort_keys=False)
