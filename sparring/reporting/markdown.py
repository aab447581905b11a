"""The Markdown of result tables as HTML: paragraphs, tables, lists, bold words and code; nothing else of it."""

from __future__ import annotations

import re
from html import escape


def to_html(text: str) -> str:
    """Blocks are separated by empty lines; a block is a table, a list or a paragraph."""
    return "\n".join(_block(block.splitlines()) for block in re.split(r"\n{2,}", text.strip()))


def _block(lines: list[str]) -> str:
    if lines[0].startswith("|"):
        head, _, *rows = (_cells(line) for line in lines)
        body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
        titles = "".join(f"<th>{cell}</th>" for cell in head)
        return f'<div class="scroll"><table><thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table></div>'
    if lines[0].startswith("- "):
        return '<ul class="soft">' + "".join(f"<li>{_inline(line[2:])}</li>" for line in lines) + "</ul>"
    return f"<p>{_inline(' '.join(lines))}</p>"


def _cells(line: str) -> list[str]:
    return [_inline(cell.strip()) for cell in line.strip().strip("|").split("|")]


def _inline(text: str) -> str:
    text = re.sub(r"\*\*(.+?)\*\*", r"<b>\1</b>", escape(text))
    return re.sub(r"`(.+?)`", r"<code>\1</code>", text)
