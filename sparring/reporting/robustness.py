"""Accuracy under attack: sections from robustness.json to pieces of HTML; what is absent is said.

The files are those of an evaluation of a run trained here or of anybody's module; nothing is computed from a model.
"""

from __future__ import annotations

import re
from html import escape
from typing import Any

from sparring.evaluation.intervals import wilson
from sparring.reporting.figures import Bars, Series, bars, lines
from sparring.reporting.page import bullets, disclosure, figures, fold, paragraph, table
from sparring.reporting.pictures import perturbed
from sparring.reporting.run_folder import RunFolder, evaluations
from sparring.reporting.sections import percent
from sparring.reporting.trust import figure_words, verdict

MOST_IN_A_FIGURE = 20
"""Classes that fit beside each other; more of them stand in the table alone."""
BALLS = {
    "Linf": "no channel of any pixel changes by more than eps.",
    "L2": "the Euclidean length of the change, over all pixels and channels, is at most eps.",
    "L1": "the absolute changes of all pixels and channels add up to at most eps.",
}


def domain_words(subject: dict[str, Any]) -> str:
    """Which batch norm was measured; said for every figure."""
    domain = subject.get("domain")
    return f"{domain} batch norm" if domain else "batch norm as the module has it (no domain to choose)"


def overview(run: RunFolder) -> list[str]:
    """What was measured of what: the verdict, clean accuracy and accuracy under each attack."""
    seen = run.robustness
    if not seen:
        return [paragraph("Robustness was not evaluated (robustness.json is absent).", "missing")]
    subject, data = seen["subject"], seen["data"]
    about = [
        ("classifier", subject.get("words", "not said")),
        ("measured with", domain_words(subject)),
        ("checkpoint", subject.get("checkpoint")),
        ("images", f"{data.get('name')}: {data.get('selection', 'how they were drawn is not said')}"),
        ("n", f"{data['n']:,}" if "n" in data else None),
        ("seed", data.get("seed")),
        ("classes", subject.get("classes")),
        ("protocol", seen["label"]),
    ]
    items = "".join(
        f"<li><span>{escape(key)}</span><b>{escape(str(value))}</b></li>" for key, value in about if value is not None
    )
    attacks = seen.get("attacks") or {}
    measured = {"clean": {"words": "no attack", **seen["clean"]}}
    measured |= {name: entry for name, entry in attacks.items() if "accuracy" in entry}
    confidence = f"{100 * seen['clean'].get('confidence', 0.95):.0f} %"
    if seen.get("worst_case") and len(measured) > 2:
        measured["all of them"] = {"words": "right under every attack of this table", **seen["worst_case"]}
    head = ["attack", "accuracy", f"{confidence} interval", "right / n", "seconds", "threat model"]
    rows = [[name, *_measured(entry), entry.get("words", "")] for name, entry in measured.items()]
    parts = [*verdict(run), f'<ul class="facts">{items}</ul>', table(head, rows, numbers=(1, 2, 3, 4))]
    if not attacks:
        parts.append(paragraph("No attack was run.", "missing"))
    parts += [
        paragraph(f"{name} was left out: {entry['left_out']}.", "missing")
        for name, entry in attacks.items()
        if "left_out" in entry
    ]
    broken = [f"{name}: {_members(entry)}" for name, entry in attacks.items() if entry.get("members")]
    interval = (
        "The interval is Wilson's and holds the sampling of test images only. Images that are wrong before an attack "
        "count as wrong under it and are not attacked."
    )
    fitted = subject.get("fitted")
    return [
        *parts,
        bullets(broken) if broken else "",
        paragraph(interval, "soft"),
        fold("How the classifier was fitted", _settings(fitted)) if fitted else "",
        fold(f"Protocol ({seen['label']}): every setting that a figure depends on", _settings(seen["protocol"])),
    ]


def earlier(run: RunFolder) -> list[str]:
    """What evaluations before the newest one found, a row a figure."""
    rows = []
    for seen, _ in evaluations(run)[1:]:
        if seen["clean"] is None:  # of images without labels
            continue
        found = {"clean": {"words": "no attack", **seen["clean"]}} | (seen.get("attacks") or {})
        classifier = f"{seen['subject'].get('words', 'not said')}, {domain_words(seen['subject'])}, {seen['label']}"
        rows += [
            [name, *_measured(entry)[:3], entry.get("words", ""), classifier]
            for name, entry in found.items()
            if "accuracy" in entry
        ]
    head = ["attack", "accuracy", "95 % interval", "right / n", "threat model", "classifier and protocol"]
    words = "Kept as robustness-1.json and so on when the run was evaluated again; `sparring compare` shows them."
    return [table(head, rows, numbers=(1, 2, 3)), paragraph(words, "soft")] if rows else []


def _measured(entry: dict[str, Any]) -> list[str]:
    low, high = entry["interval"]
    return [
        percent(entry["accuracy"]),
        f"{100 * low:.1f} to {100 * high:.1f} %",
        f"{entry['correct']:,} / {entry['n']:,}",
        f"{entry['seconds']:,.1f}" if "seconds" in entry else "",
    ]


def _settings(values: dict[str, Any]) -> str:
    return "\n".join(f"{key}: {figure_words(value)}" for key, value in values.items())


def _members(entry: dict[str, Any]) -> str:
    broken = ", ".join(f"{name} broke {count:,}" for name, count in entry["members"].items())
    return f"one after another, each on the images still right, {broken} images; {entry['correct']:,} held"


def threats(run: RunFolder) -> list[str]:
    """What the adversary may do and knows, in words."""
    attacks = run.robustness.get("attacks") or {}
    said = {name: entry["words"] for name, entry in attacks.items() if entry.get("words")}
    if not said:
        return [paragraph("No attack was run, so there is no threat model.", "missing")]
    norms = []
    for norm, ball in BALLS.items():
        within = [name for name, words in said.items() if re.search(rf"\b{norm}\b", words)]
        norms += [f"{norm} ({', '.join(within)}): {ball}"] if within else []
    knows = (
        "The adversary changes each test image by itself, within the norm and the radius eps named with the attack, to "
        "make the classifier wrong. It knows the true label and the whole classifier, with its gradients; Square, where "
        "it is part of an attack, uses the scores alone. An image counts as robust if the prediction is still right "
        "after the attack. Accuracy under an attack is therefore an upper bound: a stronger attack can only lower it."
    )
    return [
        paragraph(knows),
        bullets(norms),
        paragraph("Radius and steps of each attack stand in the table above.", "soft"),
    ]


def against_eps(run: RunFolder) -> list[str]:
    """Accuracy against the radius, under the attack and under random noise of the same norm."""
    curve = (run.robustness.get("curves") or {}).get("eps")
    if not curve:
        return [paragraph("Accuracy was not measured at several radii.", "missing")]
    in_levels = curve.get("norm") == "Linf" and curve.get("space", "pixel") == "pixel"
    at = [255 * eps if in_levels else eps for eps in curve["eps"]]
    series = [_series("attack", at, curve, "adversarial")]
    if curve.get("noise"):
        bounds = [wilson(round(value * curve["n"]), curve["n"]) for value in curve["noise"]]
        series.append(_series("random noise", at, {"accuracy": curve["noise"], "interval": bounds}, "random"))
    drawing = lines(
        series,
        x=f"eps ({curve.get('norm', 'norm not said')}{', in 255ths' if in_levels else ''})",
        y="accuracy",
        title="Accuracy against the radius",
        percent=True,
        level=_chance(run),
        doubling=True,
    )
    noise = "Random noise has the norm of the whole radius, in random directions" if curve.get("noise") else ""
    return [figures([(drawing, _about(run, curve))]), paragraph(f"{noise}.", "soft") if noise else ""]


def against_steps(run: RunFolder) -> list[str]:
    """Accuracy against the number of steps at one radius."""
    curve = (run.robustness.get("curves") or {}).get("steps")
    if not curve:
        return [paragraph("Accuracy was not measured at several numbers of steps.", "missing")]
    drawing = lines(
        [_series("attack", curve["steps"], curve, "adversarial")],
        x="steps",
        y="accuracy",
        title="Accuracy against the number of steps",
        percent=True,
        level=_chance(run),
        doubling=True,
    )
    return [figures([(drawing, _about(run, curve))])]


def _series(name: str, at: list[float | int], curve: dict[str, Any], color: str) -> Series:
    low, high = ([float(bounds[end]) for bounds in curve["interval"]] for end in (0, 1))
    return Series(name, at, curve["accuracy"], color, low, high)


def _chance_of_classes(run: RunFolder) -> tuple[float, str]:
    n = run.robustness["per_class"]["n"]
    chance = max(n) / max(sum(n), 1)
    return chance, f"chance, {100 * chance:.4g} %"


def _chance(run: RunFolder) -> tuple[float, str]:
    classes = run.robustness["subject"]["classes"]
    chance = run.robustness.get("curves", {}).get("eps", {}).get("chance", 1 / classes)
    return chance, f"chance, {100 * chance:.4g} %"


def _about(run: RunFolder, curve: dict[str, Any]) -> str:
    words = curve.get("words", "attack not said")
    return (
        f"{words}. n = {curve['n']:,} images of {run.robustness['data'].get('name')}, "
        f"{domain_words(run.robustness['subject'])}; bands are 95 % Wilson intervals."
    )


def per_class(run: RunFolder) -> list[str]:
    """Clean and robust accuracy of each class with its number of images."""
    seen = run.robustness.get("per_class")
    if not seen:
        return [paragraph("Accuracy was not measured per class.", "missing")]
    measured = {"clean": seen["clean"], **seen.get("attacks", {})}
    rows = [
        [str(name), f"{n:,}", *[percent(values[row]) if n else "no image" for values in measured.values()]]
        for row, (name, n) in enumerate(zip(seen["classes"], seen["n"], strict=True))
    ]
    whole = table(["class", "n", *measured], rows, numbers=(2, 1, *range(3, 2 + len(measured))))
    if len(rows) > MOST_IN_A_FIGURE:
        return [disclosure(f"All {len(rows)} classes", whole)]
    words = f"Bars are in the order of the legend; whiskers are 95 % Wilson intervals, n = {sum(seen['n']):,} in all"
    attacks = run.robustness.get("attacks") or {}
    shown = [("clean", seen["clean"])]
    if len(measured) > 1:
        lowest = min((name for name in measured if name != "clean"), key=lambda name: _mean(measured[name], seen["n"]))
        shown.append((lowest, measured[lowest]))
        words += f". {lowest}: {attacks.get(lowest, {}).get('words', 'attack not said')}"
    series = []
    for name, values in shown:
        bounds = [wilson(round(a * n), n) if n else (None, None) for a, n in zip(values, seen["n"], strict=True)]
        low, high = ([bound[end] for bound in bounds] for end in (0, 1))
        clean = name == "clean"
        series.append(Bars(name, values, "clean" if clean else "adversarial", low, high, filled=not clean))
    groups = [str(name) for name in seen["classes"]]
    drawing = bars(groups, series, y="accuracy", title="Accuracy per class", level=_chance_of_classes(run))
    return [figures([(drawing, f"{words}.")]), whole]


def _mean(values: list[float | None], n: list[int]) -> float:
    return sum(value * count for value, count in zip(values, n, strict=True) if value is not None) / max(1, sum(n))


def examples(run: RunFolder) -> list[str]:
    """Images, their adversarial copies, the amplified difference, and what was predicted."""
    seen, arrays = run.robustness.get("examples"), run.robustness_arrays
    if not seen or not {"original", "adversarial"} <= arrays.keys():
        return [paragraph("There are no examples (robustness.npz is absent or holds none).", "missing")]
    truth, before, after = ([str(name) for name in seen[key]] for key in ("true", "clean", "adversarial"))
    if not len(truth) == len(before) == len(after) == len(arrays["original"]) == len(arrays["adversarial"]):
        raise ValueError("robustness.json and robustness.npz hold different numbers of examples: of two evaluations?")
    outcome = [
        "wrong before" if first != right else "fooled" if last != right else "still right"
        for right, first, last in zip(truth, before, after, strict=True)
    ]
    captions = [
        ("true class", truth),
        ("predicted, clean", before),
        ("predicted, attacked", after),
        ("outcome", outcome),
    ]
    grid, words = perturbed(arrays["original"], arrays["adversarial"], captions)
    attack = (run.robustness.get("attacks") or {}).get(seen.get("attack"), {})
    said = f"{seen.get('attack')}: {attack.get('words', 'attack not said')}. {outcome.count('fooled')} of {len(truth)} fooled. "
    return [grid, paragraph(said + words, "soft")]
