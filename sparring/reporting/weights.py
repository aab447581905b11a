"""What a published checkpoint is and how it was read: sections from weights.json to pieces of HTML."""

from __future__ import annotations

import json
from html import escape

from sparring.reporting.page import fold, paragraph
from sparring.reporting.run_folder import RunFolder
from sparring.reporting.trust import box


def weights(folder: RunFolder) -> list[str]:
    """The file, the network, whether it looks untrained, and what became of every key."""
    seen = folder.weights
    facts = [
        ("file", seen.get("file")),
        ("layout", seen.get("layout")),
        ("encoder", seen.get("words")),
        ("batch norm", seen.get("domain")),
        ("sha256", str(seen.get("sha256"))[:16]),
    ]
    items = "".join(f"<li><span>{escape(key)}</span><b>{escape(str(value))}</b></li>" for key, value in facts)
    keys = seen.get("keys") or {}
    return [
        f'<ul class="facts">{items}</ul>',
        box(seen["untrained"])
        if seen.get("untrained")
        else paragraph("Whether it was trained is not known.", "missing"),
        paragraph(f"{keys.get('sentence', 'How its keys were read is not said')}."),
        fold("Every key of the file, and what became of it", json.dumps(_by_key(keys), indent=1)),
    ]


def title(folder: RunFolder) -> str:
    """File and data, for the page's head."""
    return f"{folder.weights.get('file')} on {folder.weights.get('data')}"


def _by_key(keys: dict) -> dict[str, str]:
    used = {theirs: ours for ours, theirs in (keys.get("used") or {}).items()}
    left = {theirs: f"left over: {why}" for theirs, why in (keys.get("left_over") or {}).items()}
    return used | left | {f"({key})": "missing" for key in keys.get("missing") or []}
