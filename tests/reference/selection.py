"""ASCL's selection strategies (Table 1) one pair at a time, over lists [clean; adversarial]."""

from __future__ import annotations


def positives_and_negatives(strategy: str, labels: list[int], predictions: list[int], i: int) -> tuple[set, set]:
    """Of anchor i, as sets of row numbers; `labels` are the N images', `predictions` those of the 2N rows."""
    images = len(labels)
    positives, negatives = set(), set()
    for copy in ("clean", "adversarial"):
        for j in range(images):
            row = j if copy == "clean" else j + images
            anchor_image = i if i < images else i - images
            if j == anchor_image:
                if row != i and (strategy != "leaked_official" or predictions[row] == predictions[i]):
                    positives.add(row)  # {x_i^a} of eq. 1, {x_i} of eq. 2
                continue
            if labels[j] == labels[anchor_image]:
                if not strategy.startswith("leaked") or predictions[row] == predictions[i]:
                    positives.add(row)
            elif (
                strategy == "global"
                or (strategy == "hard" and predictions[row] == labels[anchor_image])
                or (strategy in ("soft", "leaked", "leaked_official") and predictions[row] == predictions[i])
            ):
                negatives.add(row)
    return positives, negatives
