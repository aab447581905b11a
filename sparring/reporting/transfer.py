"""The report's section on transfer to other data sets."""

from __future__ import annotations

from sparring.reporting.page import bullets, paragraph, section, table
from sparring.reporting.run_folder import RunFolder
from sparring.reporting.sections import percent


def transfer(run: RunFolder) -> list[str]:
    """One row a data set, with its metric and how the penalty was chosen; nothing if there was no transfer."""
    seen = run.transfer
    if not seen:
        return []
    measured = {name: entry for name, entry in seen["sets"].items() if "accuracy" in entry}
    rows = [
        [
            name,
            entry["metric"],
            percent(entry["accuracy"]),
            " to ".join(f"{100 * bound:.1f}" for bound in entry["interval"]) + " %",
            f"{entry['n_train']:,} / {entry['n_val']:,} / {entry['n_test']:,}",
            f"{entry['l2']:.3g}",
        ]
        for name, entry in measured.items()
    ]
    parts = [paragraph(f"The frozen encoder of {seen['subject']['words']}, {seen['label']}.")]
    if rows:
        confidence = f"{100 * next(iter(measured.values()))['confidence']:.0f} %"
        head = ["data", "metric", "accuracy", f"{confidence} interval", "images train / validation / test", "l2"]
        parts.append(table(head, rows, numbers=(2, 3, 4, 5)))
    doubts = []
    for name, entry in measured.items():
        if entry["l2_at_edge"]:
            doubts.append(f"{name}: the best penalty is at the edge of the grid; a better one may lie beyond it")
        if not entry["converged"]:
            doubts.append(f"{name}: L-BFGS had not converged after {seen['protocol']['max_iterations']} iterations")
    left_out = [f"{name}: left out: {entry['left_out']}" for name, entry in seen["sets"].items() if "left_out" in entry]
    words = [f"{name}: {entry['words']}" for name, entry in measured.items()]
    parts.append(bullets([*words, *doubts, *left_out]))
    parts.append(
        paragraph(
            "The penalty is chosen on validation images, the test images are looked at once. The interval holds the sampling "
            "of test images only: Wilson's for top-1, a normal one over the classes for the mean per class.",
            "soft",
        )
    )
    return [section("Transfer to other data sets", *parts)]
