"""Curves of several runs over common axes: loss terms and probe over epochs, accuracy and R-DIV against the radius."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sparring.reporting.comparison import Comparison
from sparring.reporting.figures import COLORS, STYLES, Series, lines
from sparring.reporting.measured import evaluated, latent_conditions
from sparring.reporting.page import figures, paragraph
from sparring.reporting.run_folder import RunFolder
from sparring.reporting.sections import is_number, logged, probes_of

PALETTE = ("adversarial", "random", "third", "fourth", "fifth", "clean")


@dataclass(frozen=True)
class Curve:
    """One run's line, with what it was measured with."""

    run: str
    conditions: Mapping[str, Any]
    x: Sequence[float | int]
    y: Sequence[float | int]
    interval: Sequence[Sequence[float]] | None = None


def color_of(index: int) -> str:
    """The run's colour: with its marker and dash, which go by the same number, 36 runs differ."""
    return PALETTE[(index + index // len(STYLES)) % len(PALETTE)]


assert set(PALETTE) == set(COLORS)


def training(runs: Comparison) -> list[str]:
    """Each term of the loss that two runs share, and the probe, over epochs."""
    rows = {name: logged(run) for name, run in runs.runs.items()}
    kinds = {name: probes_of(records) for name, records in rows.items()}
    drawn, alone = [], {}
    terms = list(dict.fromkeys(term for _, others in kinds.values() for term in others))
    probes = list(dict.fromkeys(probe for found, _ in kinds.values() for probe in found))
    terms_of = {name: sorted(set(others)) for name, (_, others) in kinds.items() if others}
    for term in terms + probes:
        having = [name for name, (found, others) in kinds.items() if term in found + others]
        if len(having) < 2:
            alone.setdefault(having[0], []).append(term.replace("_", " "))
            continue
        share = term.endswith(("accuracy", "precision", "recall"))
        words = ""
        if term == "loss" and len({str(terms_of[name]) for name in having}) > 1:
            words = "Sums of different terms: their heights cannot be compared."
        elif term in probes:
            words = "kNN on a slice of the training images that is kept out of the neighbours."
        drawing = lines(
            [_over_epochs(index, name, term, rows[name]) for index, name in enumerate(rows) if name in having],
            x="epoch",
            y="share" if share else "value",
            title=term.replace("_", " "),
            integer_x=True,
            percent=share,
            columns=_columns(runs),
        )
        drawn.append((drawing, words))
    parts = [figures(drawn)] if drawn else []
    if without := [name for name, records in rows.items() if not records]:
        parts.append(paragraph(f"Without records of training (metrics.jsonl): {', '.join(without)}.", "missing"))
    if not probes:
        parts.append(paragraph("No run has a kNN probe (training.probe_every 0, or no labels).", "missing"))
    parts += [paragraph(f"Only {name} logs {', '.join(found)}.", "soft") for name, found in alone.items()]
    return parts


def _columns(runs: Comparison) -> int:
    """Of a legend with the runs' names."""
    longest = max(map(len, runs.runs))
    return 3 if longest <= 16 else 2 if longest <= 30 else 1


def _over_epochs(index: int, name: str, term: str, records: Sequence[tuple[int | float, dict[str, Any]]]) -> Series:
    points = [(epoch, record[term]) for epoch, record in records if is_number(record.get(term))]
    return Series(name, [x for x, _ in points], [y for _, y in points], color_of(index), style=index)


def against_eps(runs: Comparison) -> list[str]:
    """Accuracy under attack, and R-DIV, at several radii; only curves that were measured alike share axes."""
    order = list(runs.runs)
    drawn = []
    for title, read, percent, unit in (
        ("Robust accuracy", _robust, True, "accuracy"),
        ("Robust accuracy, latent space", _latent_accuracy, True, "accuracy"),
        ("R-DIV", _r_div, False, "R-DIV"),
        ("Accuracy under the attack of training", _perturbed, True, "accuracy"),
    ):
        kinds: dict[str, list[Curve]] = {}
        for name, run in runs.runs.items():
            if (curve := read(name, run)) is not None:
                # through which norm an encoder is used its method says: no condition, as for figures
                alike = {key: value for key, value in curve.conditions.items() if key != "domain"}
                kinds.setdefault(str(sorted(alike.items())), []).append(replace(curve, conditions=alike))
        for number, curves in enumerate(kinds.values(), start=1):
            which = f" ({number} of {len(kinds)}, measured differently)" if len(kinds) > 1 else ""
            levels = curves[0].conditions.get("norm", "Linf") == "Linf" and curves[0].conditions["space"] == "pixel"
            drawing = lines(
                [_series(order.index(curve.run), curve, 255 if levels else 1) for curve in curves],
                x=f"eps{', in 255ths' if levels else ''}",
                y=unit,
                title=f"{title}{which}",
                percent=percent,
                doubling=True,
                columns=_columns(runs),
            )
            said = "; ".join(f"{key} {value}" for key, value in curves[0].conditions.items() if value is not None)
            only = f" Only {curves[0].run}." if len(curves) == 1 else ""
            drawn.append((drawing, f"{said}.{only}"))
    return [figures(drawn)] if drawn else [paragraph("No run was measured at several radii.", "missing")]


def _series(index: int, curve: Curve, scale: int) -> Series:
    low, high = ([float(b[end]) for b in curve.interval] if curve.interval else None for end in (0, 1))
    return Series(curve.run, [scale * eps for eps in curve.x], curve.y, color_of(index), low, high, style=index)


def _robust(name: str, run: RunFolder) -> Curve | None:
    seen = (run.robustness.get("curves") or {}).get("eps") if run.robustness else None
    if not seen:
        return None
    conditions = {"attack": seen.get("words"), "norm": seen.get("norm"), "space": seen.get("space", "pixel")}
    conditions = evaluated(run, run.robustness) | conditions | {"n": seen["n"]}
    return Curve(name, conditions, seen["eps"], seen["accuracy"], seen.get("interval"))


def _latent_accuracy(name: str, run: RunFolder) -> Curve | None:
    return _strength(name, run, "robust_accuracy", "robust_interval")


def _r_div(name: str, run: RunFolder) -> Curve | None:
    return _strength(name, run, "r_div", None)


def _strength(name: str, run: RunFolder, key: str, interval: str | None) -> Curve | None:
    seen = run.latent.get("strengths") or {}
    if not seen.get(key) or any(value is None for value in seen[key]):
        return None
    protocol = run.latent["protocol"]
    conditions = latent_conditions(run) | {"steps": protocol.get("steps"), "step size": protocol.get("step_size")}
    conditions |= {"space": "pixel"}
    return Curve(name, conditions, seen["eps"], seen[key], seen.get(interval) if interval else None)


def _perturbed(name: str, run: RunFolder) -> Curve | None:
    seen = run.analysis
    values = ((seen.get("curves") or {}).get("adversarial") or {}).get("accuracy")
    if not values:
        return None
    conditions = {"attack": seen["attack"]["words"], "climbs": seen["attack"].get("climbs"), "n": seen.get("images")}
    conditions |= {"data": seen.get("data"), "seed of the images": seen.get("seed"), "domain": seen.get("domain")}
    return Curve(name, conditions | {"space": seen["attack"].get("space")}, seen["eps"], values["mean"])
