"""What became of every key of a checkpoint: used, renamed, left over; and what was missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sparring import norms
from sparring.encoders.encoder import ContrastiveEncoder


@dataclass(frozen=True)
class KeyReport:
    """The keys of a file beside those of the encoder."""

    layout: str
    used: dict[str, str]
    """Key of the encoder -> key of the file whose tensor it got."""
    left_over: dict[str, str]
    """Key of the file -> why it was not used."""
    missing: tuple[str, ...]
    """What the encoder has or could have and the file does not: batch counters, the head."""

    @property
    def renamed(self) -> dict[str, str]:
        """Key of the file -> key of the encoder, where the layer's own name differs (not only what stands before it)."""
        return {theirs: ours for ours, theirs in self.used.items() if not theirs.endswith(ours.partition(".")[2])}

    @property
    def sentence(self) -> str:
        """All of it in one sentence."""
        total = len(self.used) + len(self.left_over)
        parts = [
            f"{len(self.used):,} of the file's {total:,} tensors used, {len(self.renamed):,} of them under another name"
        ]
        for reason in sorted(set(self.left_over.values())):
            keys = [key for key, why in self.left_over.items() if why == reason]
            parts.append(f"{len(keys):,} left over, {reason} ({some(keys)})")
        parts.append(f"missing: {some(list(self.missing))}" if self.missing else "none missing")
        return f"layout {self.layout}: {'; '.join(parts)}"

    def entry(self) -> dict[str, Any]:
        """The report as JSON takes it."""
        return {
            "layout": self.layout,
            "sentence": self.sentence,
            "used": self.used,
            "renamed": self.renamed,
            "left_over": self.left_over,
            "missing": list(self.missing),
        }


def some(keys: list[str], shown: int = 3) -> str:
    """The first keys, and how many more there are."""
    more = f" and {len(keys) - shown:,} more" if len(keys) > shown else ""
    return f"{', '.join(keys[:shown])}{more}"


def words_of(encoder: ContrastiveEncoder, mean: Sequence[float], std: Sequence[float]) -> str:
    """Pixels, batch norms and classifier of an encoder."""
    plain_pixels = not any(mean) and all(value == 1 for value in std)
    images = "pixels in [0, 1] as they are" if plain_pixels else f"mean {_list(mean)} and std {_list(std)}"
    parts = [images, "two batch norms" if norms.has_domains(encoder) else "one batch norm"]
    if encoder.classes:
        parts.append(f"a classifier of {encoder.classes:,} classes")
    return ", ".join(parts)


def _list(values: Sequence[float]) -> str:
    return " ".join(f"{value:g}" for value in values)
