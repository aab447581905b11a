"""The words of a command line: settings by their full or short names, and how they are listed in help."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sparring.configuration import Field, convert, fields, nearest, sections
from sparring.measuring import LatentConfig, RobustnessConfig, TransferConfig, WeightsConfig

WIDTH = 110


@dataclass(frozen=True)
class Words:
    """A command line taken apart: positional words, settings by dotted name, and the values of each given option."""

    positional: list[str]
    settings: dict[str, Any]
    options: dict[str, list[str]]


@dataclass(frozen=True)
class Positional:
    """What a verb's words without dashes are."""

    name: str
    """As the verb's help calls it."""
    may_be: Callable[[str], bool]
    """Whether a word may be meant as one: what is not, behind a flag that needs no value, is a value given to that flag."""


RUN = Positional("RUN", lambda word: "/" in word or ":" in word or Path(word).exists())
BOOLEANS = ("true", "false", "yes", "no")


def short_names(known: Iterable[str]) -> dict[str, list[str]]:
    """What a flag without a dot may mean: the settings of that name, or the `.name` of the group of that name."""
    names: dict[str, list[str]] = {}
    for key in known:
        group, _, leaf = key.rpartition(".")
        names.setdefault(leaf, []).append(key)
        if leaf == "name":
            names.setdefault(group, []).append(key)
    return names


def key_of(flag: str, options: Iterable[str] = (), known: Mapping[str, Field] | None = None) -> str:
    """The dotted name that a flag (without its dashes) means; ValueError if it is unknown or ambiguous."""
    written, known = flag.replace("-", "_"), fields() if known is None else known
    if written in known:
        return written
    short = short_names(known)
    candidates = short.get(written, [])
    if len(candidates) == 1:
        return candidates[0]
    if candidates:
        raise ValueError(f"--{flag} is ambiguous: it may mean {' or '.join(f'--{key}' for key in candidates)}")
    near = nearest(written, [*known, *(name for name, keys in short.items() if len(keys) == 1), *options])
    hint = f"; did you mean --{near.replace('_', '-')}?" if near else ""
    raise ValueError(f"--{flag} is no option{hint}")


def read_words(
    words: Sequence[str],
    options: dict[str, bool],
    known: Mapping[str, Field] | None = None,
    positional: Positional | None = None,
) -> Words:
    """The words of a command line: settings by any of their names, and the verb's own `options` (name: takes a value).

    `known` are the settings that the verb takes (None: those of a run).
    Raises ValueError for an unknown or ambiguous flag, a missing value, a value of the wrong type and, where `positional`
    is given, a value for a flag that takes none.
    """
    read, words, known = Words([], {}, {}), list(words), fields() if known is None else known
    while words:
        word = words.pop(0)
        if not word.startswith("-") or word == "-":
            read.positional.append(word)
            continue
        name, equals, attached = word.removeprefix("--").partition("=")
        if word == "-h":
            name = "help"
        elif not word.startswith("--"):
            raise ValueError(f"{word} is no option; options begin with two dashes")
        if name in options:
            if options[name]:
                read.options.setdefault(name, []).append(attached if equals else _value(words, f"--{name}"))
            elif equals:
                raise ValueError(f"--{name} takes no value, not {attached!r}")
            else:
                read.options[name] = []
                if name != "help":
                    _refuse_value(words, f"--{name} takes no value", positional)
            continue
        field = known[key_of(name, options, known)]
        if equals:
            value: Any = attached
        elif field.plain_type is bool and not (words and words[0].lower() in BOOLEANS):
            value = True
            _refuse_value(words, f"--{name} takes true, false or no value", positional)
        elif field.is_list:
            value = _value(words, f"--{name}")
            while words and not words[0].startswith("--"):
                value += f" {words.pop(0)}"
        else:
            value = _value(words, f"--{name}")
        read.settings[field.key] = convert(field, None if value == "null" else value)
    return read


def _value(words: list[str], flag: str) -> str:
    if not words or words[0].startswith("--"):
        raise ValueError(f"{flag} needs a value")
    return words.pop(0)


def _refuse_value(words: list[str], takes: str, positional: Positional | None) -> None:
    """A ValueError if the next word can only be meant as a value of the flag before it."""
    if positional and words and not words[0].startswith("-") and not positional.may_be(words[0]):
        raise ValueError(f"{takes}, and {words[0]!r} after it is no {positional.name}")


def settings_help(known: Mapping[str, Field]) -> str:
    """The settings group by group: flag, what it takes, its meaning, its default."""
    lines, group = [], None
    short = {names[0]: name for name, names in short_names(known).items() if len(names) == 1}
    measuring = {"robustness": RobustnessConfig, "latent": LatentConfig, "transfer": TransferConfig}
    about = sections() | {name: inspect.getdoc(cls) or "" for name, cls in measuring.items()} | {"": "the run folder."}
    for field in known.values():
        section = field.key.rpartition(".")[0]
        if section != group:
            group = section
            if field.key == "encoder.layout":
                about["encoder"] = inspect.getdoc(WeightsConfig) or ""
            lines += ["", *textwrap.wrap(f"{section or 'run'}: {about[section]}", WIDTH)]
        lines += _entry(field, short.get(field.key))
    return "\n".join(lines)


def _entry(field: Field, short: str | None) -> list[str]:
    names = f"  --{field.key}" + (f", --{short}" if short and short != field.key else "")
    default = str(field.default).lower() if isinstance(field.default, bool) else field.default
    allowed = f" {{{'|'.join(field.choices)}}}" if field.choices else ""
    if isinstance(default, list):
        default = ",".join(map(str, default)) or None
    meaning = f"{field.meaning} [{'not set' if default is None else default}]"
    body = textwrap.wrap(meaning, WIDTH - 8, break_on_hyphens=False)
    return [names + allowed, *(f"        {line}" for line in body)]
