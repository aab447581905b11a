"""How far attacks without labels move a representation, beside the distances between different images."""

from __future__ import annotations

from typing import Any

from sparring.reporting.page import bullets, paragraph, table
from sparring.reporting.robustness import domain_words
from sparring.reporting.run_folder import RunFolder
from sparring.reporting.sections import percent


def movement(run: RunFolder) -> list[str]:
    """One row an attack, random noise of the same size beside it."""
    seen = run.robustness["representation"]
    attacks = seen.get("attacks") or {}
    head = ["attack", "ratio", "ratio, noise", "moved", "between images", "cosine ratio", "nearer to another"]
    rows = [
        [
            name,
            _number(entry.get("ratio")),
            _number(entry.get("noise", {}).get("ratio")),
            _number(entry.get("moved")),
            _number(entry.get("between")),
            _number(entry.get("cosine", {}).get("ratio")),
            percent(entry["retrieval_error"]) if "retrieval_error" in entry else "not measured",
        ]
        for name, entry in attacks.items()
    ]
    words = [f"{name}: {entry['words']}." for name, entry in attacks.items() if entry.get("words")]
    n = f", n = {seen['n']:,} images" if "n" in seen else ""
    meaning = (
        f"Layer {seen.get('layer', 'not said')}, {domain_words(run.robustness['subject'])}{n}. Moved: mean distance from an "
        "image's representation to its attacked copy's. Between images: mean distance of the representations of two "
        "different images. Ratio: the first over the second; beside it, that of random noise within the same threat. "
        "Nearer to another: images whose copy lies nearer to another image than to its own. Distances are Euclidean, "
        "the cosine ratio is the same with 1 - cosine."
    )
    return [
        paragraph(seen["words"] + ".") if seen.get("words") else "",
        table(head, rows, numbers=range(1, 7)),
        bullets(words) if words else "",
        paragraph(meaning, "soft"),
    ]


def _number(value: Any) -> str:
    return "not measured" if value is None else f"{value:.3g}"
