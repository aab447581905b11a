"""Accuracy on corrupted images: figures by family and severity, and the table of all of them."""

from __future__ import annotations

from statistics import fmean
from typing import Any

from sparring.reporting.figures import Bars, bars
from sparring.reporting.page import figures, paragraph, table
from sparring.reporting.robustness import domain_words
from sparring.reporting.run_folder import RunFolder
from sparring.reporting.sections import percent

FAMILIES = {
    "Noise": ("gaussian_noise", "shot_noise", "impulse_noise"),
    "Blur": ("defocus_blur", "glass_blur", "motion_blur", "zoom_blur"),
    "Weather": ("snow", "frost", "fog", "brightness"),
    "Digital": ("contrast", "elastic_transform", "pixelate", "jpeg_compression"),
}
"""As Hendrycks & Dietterich (2019), Fig. 1, groups them; every other corruption stands under Other."""
ERRORS = {"mce": "mean corruption error (mCE)", "relative_mce": "relative mCE"}


def corruptions(run: RunFolder) -> list[str]:
    """Accuracy by corruption and severity, mean error and relative drop."""
    seen = run.robustness.get("corruptions")
    if not seen:
        return [paragraph("Accuracy on corrupted images was not measured.", "missing")]
    severities, accuracy, clean = seen["severities"], seen["accuracy"], seen.get("clean_accuracy")
    words = (
        f"Mean accuracy over {len(accuracy)} corruption{'s' * (len(accuracy) > 1)} at "
        f"{'severities' if len(severities) > 1 else 'severity'} {', '.join(map(str, severities))}: "
        f"{percent(seen['mean_accuracy'])}, a mean error of {percent(seen['mean_error'])}. "
    )
    if clean is None:
        words += "Clean accuracy on the same images was not measured, so there is no relative drop."
    else:
        words += f"Clean accuracy on the same images: {percent(clean)}"
        drop = seen.get("relative_drop")  # not defined where nothing is right
        words += "." if drop is None else f"; relative drop, (clean - mean) / clean: {percent(drop)}."
    about = (
        f"{seen.get('words', 'how the images were corrupted is not said')}. n = {seen['n']:,} images of "
        f"{run.robustness['data'].get('name')} for each bar, {domain_words(run.robustness['subject'])}."
    )
    caption = "Severity grows from left to right, faint to strong; whiskers are 95 % Wilson intervals."
    drawn = [(_family(family, names, seen), caption) for family, names in families(accuracy).items()]
    rows = [
        [_spoken(name), percent(fmean(values)), *[percent(value) for value in values]]
        for names in families(accuracy).values()
        for name, values in ((name, accuracy[name]) for name in names)
    ]
    columns = [f"severity {severity}" for severity in severities]
    by_severity = [fmean(values[index] for values in accuracy.values()) for index in range(len(severities))]
    rows.append(["mean of all", percent(seen["mean_accuracy"]), *[percent(value) for value in by_severity]])
    errors = [f"{word} {percent(seen[key])}" for key, word in ERRORS.items() if seen.get(key) is not None]
    missing = seen.get("missing")
    return [
        paragraph(words),
        paragraph(f"Beside AlexNet (Hendrycks & Dietterich 2019): {', '.join(errors)}.") if errors else "",
        paragraph(f"Not measured: {', '.join(map(_spoken, missing))}.", "missing") if missing else "",
        paragraph(about, "soft"),
        figures(drawn),
        table(["corruption", "mean", *columns], rows, numbers=range(1, 2 + len(columns))),
    ]


def families(accuracy: dict[str, Any]) -> dict[str, list[str]]:
    """The measured corruptions by family, families without one left out."""
    known = {name for names in FAMILIES.values() for name in names}
    grouped = {family: [name for name in names if name in accuracy] for family, names in FAMILIES.items()}
    grouped["Other"] = [name for name in accuracy if name not in known]
    return {family: names for family, names in grouped.items() if names}


def _family(family: str, names: list[str], seen: dict[str, Any]) -> str:
    severities, series = seen["severities"], []
    for index, severity in enumerate(severities):
        low, high = ([seen["interval"][name][index][end] for name in names] for end in (0, 1))
        heights = [seen["accuracy"][name][index] for name in names]
        shade = 0.35 + 0.65 * (index + 1) / len(severities)
        series.append(Bars(f"severity {severity}", heights, "adversarial", low, high, shade=shade))
    clean = seen.get("clean_accuracy")
    level = None if clean is None else (clean, "clean")
    spoken = [_spoken(name) for name in names]
    return bars(spoken, series, y="accuracy", title=f"Corruptions: {family.lower()}", level=level)


def _spoken(name: str) -> str:
    return name.replace("_", " ")
