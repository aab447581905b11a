"""What was trained and what came out: each section from the run folder to pieces of HTML; what is absent is said."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from sparring.reporting.figures import Series, lines
from sparring.reporting.page import bullets, figures, paragraph, table
from sparring.reporting.run_folder import RunFolder

BOOKKEEPING = {"epoch", "step", "steps", "lr", "seconds", "images_per_second", "anchors_without_positive"}
"""Numbers of metrics.jsonl that are neither a term of the loss nor a probe."""


REMOVAL = {
    "frequency": ("classes", "unit", "replacement"),
    "precision": ("every", "unit", "replacement"),
    "recall": ("every", "parts", "unit", "replacement"),
    "pseudo_labels": ("clusters", "replacement"),
}
"""Pair selectors that remove negatives, with their settings."""


def percent(fraction: float) -> str:
    """A fraction as percent, one decimal."""
    return f"{100 * fraction:.1f} %"


def header(run: RunFolder) -> tuple[str, str]:
    """The page's title, and the head of the page: what was trained, on what, for how long."""
    name, base = run.setting("method.name"), run.setting("method.base")
    method = f"{name} over {base}" if base else str(name)
    data = data_label(run)
    words = run.analysis.get("method", {})
    facts = [
        ("data", data),
        ("encoder", run.setting("encoder.name")),
        *([("pairs", pairs)] if (pairs := pairs_words(run)) else []),
        ("epochs", run.setting("training.epochs")),
        ("batch", run.setting("training.batch_size")),
        ("precision", run.setting("training.precision")),
        ("seed", run.setting("training.seed")),
    ]
    items = "".join(f"<li><span>{escape(key)}</span><b>{escape(str(value))}</b></li>" for key, value in facts)
    parts = [f"<h1>{escape(method)} on {escape(data)}</h1>"]
    if words.get("sentence"):
        parts.append(paragraph(words["sentence"], "lead"))
    parts.append(f'<ul class="facts">{items}</ul>')
    if words.get("equation"):
        equation = [f"pairs: {pairs}" if pairs and line.startswith("pairs:") else line for line in words["equation"]]
        parts.append(f'<pre class="soft equation">{escape(chr(10).join(equation))}</pre>')
    smaller = _smaller_than_paper(run, words.get("paper", {}))
    if smaller:
        warning = f"A run below the paper's size: {smaller}. Its figures stand beside the paper's only with this label."
        parts.append(paragraph(warning, "warn"))
    return f"{method} on {data}, seed {run.setting('training.seed')}", "\n".join(parts)


def pairs_words(run: RunFolder) -> str:
    """The selector that ran, with the settings of `removal` that are its own; empty for a method without pairs."""
    name = run.setting("method.pairs")
    settings = [f"{key} {run.setting(f'removal.{key}')}" for key in REMOVAL.get(name, ())]
    return f"{name} ({', '.join(settings)})" if settings else str(name or "")


def data_label(run: RunFolder) -> str:
    """The data set as its figures name it."""
    entries = [entry for entry in run.results.values() if isinstance(entry, dict) and entry.get("data")]
    return str(entries[0]["data"] if entries else run.analysis.get("data") or run.setting("data.name"))


def _smaller_than_paper(run: RunFolder, paper: dict[str, Any]) -> str:
    parts = []
    for key in ("epochs", "batch_size"):
        now, full = run.setting(f"training.{key}"), paper.get(key)
        if now and full and now < full:
            parts.append(f"{now:,} of {full:,} epochs" if key == "epochs" else f"batch {now:,} instead of {full:,}")
    now, full = run.setting("encoder.name"), paper.get("encoder")
    if now and full and now != full and not now.startswith(tuple(paper.get("encoders", ()))):
        parts.append(f"{now} instead of {full}")
    for key, what in (("train_images", "training"), ("test_images", "test")):
        count = run.setting(f"data.{key}")
        if count:
            parts.append(f"a subset of {count:,} {what} images")
    return ", ".join(parts)


def results(run: RunFolder) -> list[str]:
    """Every figure with its interval, its protocol, the numbers of images and the seed."""
    entries = {name: entry for name, entry in run.results.items() if isinstance(entry, dict)}
    measured = [entry for entry in entries.values() if "accuracy" in entry]
    parts = []
    if not entries:
        parts.append(paragraph("There is no evaluation in this run folder (results.json is absent).", "missing"))
    if measured:
        seed = run.setting("training.seed") if run.is_run else run.weights.get("seed")
        rows = [
            [
                str(entry.get("protocol")),
                percent(entry["accuracy"]),
                " to ".join(f"{100 * bound:.1f}" for bound in entry["interval"]) + " %",
                f"{entry['n_train']:,} / {entry['n_test']:,}",
                str(entry.get("data", data_label(run))),
                str(seed),
            ]
            for entry in measured
        ]
        confidence = f"{100 * measured[0].get('confidence', 0.95):.0f} %"
        parts += [
            table(
                [
                    "protocol",
                    "accuracy",
                    f"{confidence} interval",
                    "images train / test",
                    "data",
                    "seed",
                ],
                rows,
                numbers=(1, 2, 3),
            ),
            bullets([f"{entry.get('protocol')}: {_settings(entry)}" for entry in measured]),
            paragraph(
                "The interval is Wilson's and holds the sampling of test images only; how much another training seed "
                "would differ, one run cannot tell.",
                "soft",
            ),
        ]
    if any(entry.get("selection") == "best test epoch" for entry in measured):
        parts.append(
            paragraph(
                "Figures marked 'paper' chose their epoch on the test images, as the published code does.", "warn"
            )
        )
    for name, entry in entries.items():
        if "left_out" in entry:
            parts.append(paragraph(f"{name} was left out: {entry['left_out']}.", "missing"))
    geometry = run.analysis.get("geometry", {})
    if geometry:
        words = [
            f"{name}: effective rank {value['effective_rank']:.1f} of {value['dim']} dimensions, "
            f"uniformity {value['uniformity']:.2f}"
            for name, value in geometry.items()
        ]
        parts.append(
            paragraph(
                f"Is it collapsed? {'; '.join(words)} (rank 1 and uniformity 0 would be; "
                f"n = {run.analysis['images']:,} held-out images).",
                "soft",
            )
        )
    return parts


def _settings(entry: dict[str, Any]) -> str:
    known = {"protocol", "data", "accuracy", "interval", "confidence", "n_train", "n_test", "classes", "best_epoch"}
    words = [f"{key} {value}" for key, value in entry.items() if key not in known]
    return ", ".join(word.replace("_", " ") for word in words)


def training(run: RunFolder) -> list[str]:
    """Loss terms and probe over epochs."""
    if not run.metrics:
        return [paragraph("There are no records of training (metrics.jsonl is absent or empty).", "missing")]
    rows = logged(run)
    probes, others = probes_of(rows)
    accuracies = [name for name in others if name.endswith("_accuracy")]
    counts = [name for name in others if name.endswith(("_positives", "_negatives"))]
    prototypes = [name for name in others if name == "prototypes_used"]
    removed = [name for name in others if name == "removed"]
    found = [name for name in others if name in ("removal_precision", "removal_recall")]
    terms = [name for name in others if name not in accuracies + counts + prototypes + removed + found]
    if len(terms) == 2 and "loss" in terms:
        terms.remove("loss")  # the sum of a single term is that term
    colors = ["clean", "adversarial", "third", "random", "fourth", "fifth"]

    def series(name: str, color: str) -> Series:
        points = [
            (epoch, record[name])
            for epoch, record in rows
            if is_number(record.get(name))
            and (name != "removal_precision" or record.get("removed"))  # of none, no share
        ]
        return Series(name.replace("_", " "), [e for e, _ in points], [v for _, v in points], color)

    drawn = []
    if terms:
        curves = [series(name, colors[i % len(colors)]) for i, name in enumerate(terms)]
        drawing = lines(curves, x="epoch", y="nats", title="Loss terms", integer_x=True)
        drawn.append((drawing, "Training minimises the loss, the sum of the terms; values are means over an epoch."))
    for chosen, title, unit, words in (
        (
            accuracies,
            "Accuracy in training",
            "accuracy",
            "The classifier on the batches it is trained on, before each step.",
        ),
        (counts, "Selected rows", "rows", "Clean and adversarial positives and negatives of an anchor (ASCL, Fig. 4)."),
        (
            prototypes,
            "Prototypes in use",
            "prototypes",
            f"Prototypes that are nearest to some view of a batch, of {run.setting('method.prototypes')} (SwAV).",
        ),
        (
            removed,
            "Removed negatives",
            "rows",
            "Suspected false negatives that left an anchor's denominator, on average.",
        ),
        (
            found,
            "Were the removed false?",
            "share",
            "Precision: removed rows of the anchor's class among the removed; recall: among all of its class. By the true "
            "labels, which training does not see.",
        ),
    ):
        if chosen:
            curves = [series(name, colors[i % len(colors)]) for i, name in enumerate(chosen)]
            percentage = unit in ("accuracy", "share")
            drawn.append((lines(curves, x="epoch", y=unit, title=title, integer_x=True, percent=percentage), words))
    if probes:
        curves = [series(name, colors[(i + 1) % len(colors)]) for i, name in enumerate(probes)]
        drawing = lines(curves, x="epoch", y="accuracy", title="kNN probe", integer_x=True, percent=True)
        words = "kNN on a slice of the training images that is kept out of the neighbours; no test image is looked at."
        drawn.append((drawing, words))
    parts = [figures(drawn)] if drawn else []
    if not terms:
        parts.append(paragraph("metrics.jsonl holds no loss terms.", "missing"))
    if not probes:
        parts.append(
            paragraph("There was no kNN probe during training (training.probe_every 0, or no labels).", "missing")
        )
    return parts


def logged(run: RunFolder) -> list[tuple[int | float, dict[str, Any]]]:
    """What metrics.jsonl says of each epoch; records count epochs from 0 and are written at their end."""
    by_epoch: dict[float, dict[str, Any]] = {}
    for record in run.metrics:
        by_epoch.setdefault(record.get("epoch", len(by_epoch)), {}).update(record)
    return [(epoch + 1, by_epoch[epoch]) for epoch in sorted(by_epoch)]


def probes_of(rows: Sequence[tuple[int | float, dict[str, Any]]]) -> tuple[list[str], list[str]]:
    """Names of numbers in the records: of a probe's accuracies, and of all else that is not bookkeeping."""
    names = list(dict.fromkeys(key for _, record in rows for key, value in record.items() if is_number(value)))
    probes = [name for name in names if "knn" in name or "probe" in name]
    probes = [name for name in probes if "accuracy" in name or not any("accuracy" in other for other in probes)]
    others = [name for name in names if name not in BOOKKEEPING and "knn" not in name and "probe" not in name]
    return probes, others


def is_number(value: Any) -> bool:
    """Whether it can stand on an axis."""
    return isinstance(value, int | float) and not isinstance(value, bool)
