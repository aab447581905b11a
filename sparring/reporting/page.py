"""The report's page: one HTML file without scripts and without anything from elsewhere."""

from __future__ import annotations

import os
from collections.abc import Sequence
from html import escape
from pathlib import Path
from uuid import uuid4

STYLE = """
:root { color-scheme: light dark; --ink: #1d2327; --soft: #59636b; --paper: #ffffff; --edge: #d9dee2; --tint: #f5f7f8;
  --adversarial: #0072b2; --random: #d55e00; --clean: #5b6770; --third: #009e73; --fourth: #cc79a7; --fifth: #b8860b;
  --green: #1a7f37; --yellow: #8a6100; --red: #c0271d; --grey: #59636b; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e8ea; --soft: #a3adb4; --paper: #15191c; --edge: #343b41;
  --tint: #1d2327; --adversarial: #56b4e9; --random: #f08b3e; --clean: #9aa5ad; --third: #2fc39a; --fourth: #e29bc4;
  --fifth: #e0b43c; --green: #4cc26b; --yellow: #e3b341; --red: #ff7b72; --grey: #a3adb4; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.55 system-ui, -apple-system, "Segoe UI",
  Roboto, "Helvetica Neue", Arial, sans-serif; }
main { max-width: 62rem; margin: 0 auto; padding: 2rem 1.1rem 4rem; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .4rem; }
h2 { font-size: 1.15rem; margin: 2.6rem 0 .6rem; padding-top: 1rem; border-top: 1px solid var(--edge); }
h3 { font-size: 1rem; margin: 1.4rem 0 .4rem; }
p { margin: .5rem 0; max-width: 46rem; }
.lead { font-size: 1.05rem; }
.soft, figcaption, caption { color: var(--soft); font-size: .9rem; }
.missing { color: var(--soft); font-style: italic; }
.warn { border-left: 4px solid var(--random); background: var(--tint); padding: .5rem .8rem; }
.facts { display: flex; flex-wrap: wrap; gap: .3rem 1.6rem; margin: .9rem 0; padding: 0; list-style: none;
  font-size: .92rem; }
.facts b { font-weight: 600; } .facts span { color: var(--soft); margin-right: .4rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .93rem; min-width: 100%; }
caption { text-align: left; padding-bottom: .4rem; }
th, td { text-align: left; padding: .42rem .9rem .42rem 0; border-bottom: 1px solid var(--edge); vertical-align: top; }
th { font-weight: 600; color: var(--soft); white-space: nowrap; }
td.number { font-variant-numeric: tabular-nums; white-space: nowrap; } td.main { font-weight: 650; font-size: 1.05rem; }
.figures { display: grid; gap: 1.4rem 2rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 25rem), 1fr)); }
.three figure svg { max-width: 24rem; }
.three { gap: 1.4rem 1.2rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 17rem), 1fr)); }
figure { margin: 0; } figure svg { width: 100%; height: auto; display: block; max-width: 34rem; }
svg * { stroke-linejoin: round; } svg text { stroke: none; }
.examples { display: grid; gap: .35rem; min-width: 42rem; }
.examples img { width: 100%; height: auto; image-rendering: pixelated; display: block; border-radius: 2px; }
.examples div { font-size: .82rem; color: var(--soft); align-self: center; overflow-wrap: anywhere; }
.chosen { display: grid; gap: .3rem .9rem; min-width: 44rem; margin: .4rem 0 1.6rem; align-items: center; }
.chosen img { width: 1.7rem; height: 1.7rem; image-rendering: pixelated; border-radius: 2px; vertical-align: middle;
  margin: 1px; } .chosen img.anchor { width: 3.2rem; height: 3.2rem; }
.chosen div { font-size: .82rem; color: var(--soft); } .chosen b { color: var(--ink); font-variant-numeric: tabular-nums; }
.trust { list-style: none; padding: 0; margin: 1rem 0; }
.trust li { display: grid; grid-template-columns: 8.2rem 1fr; gap: .2rem 1rem; padding: .6rem 0 .6rem .8rem;
  border-left: 5px solid var(--mark); border-bottom: 1px solid var(--edge); }
.trust p { margin: .15rem 0 0; }
.trust details { border: 0; padding: 0; margin: .25rem 0 0; font-size: .9rem; color: var(--soft); }
.trust summary { font-weight: 400; }
.mark { color: var(--mark); font-weight: 650; white-space: nowrap; }
.mark span { display: inline-block; width: 1.4em; }
.green { --mark: var(--green); } .yellow { --mark: var(--yellow); } .red { --mark: var(--red); }
.grey { --mark: var(--grey); }
.verdict { border: 2px solid var(--mark); border-left-width: 8px; border-radius: 4px; background: var(--tint);
  padding: .6rem .9rem; max-width: none; }
td.words { min-width: 17rem; } .figures + .scroll { margin-top: 1.4rem; }
details { margin: .6rem 0; border: 1px solid var(--edge); border-radius: 6px; padding: .5rem .9rem; }
summary { cursor: pointer; font-weight: 600; }
pre { overflow-x: auto; font: .82rem/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
.equation { white-space: pre-wrap; margin: .8rem 0; }
ul.soft { margin: .6rem 0; padding-left: 1.1rem; }
@media (max-width: 34rem) { main { padding-top: 1.2rem; } h1 { font-size: 1.35rem; }
  .trust li { grid-template-columns: 1fr; } }
@media print { .trust li, .verdict { break-inside: avoid; print-color-adjust: exact; }
  details { border: 0; } h2 { break-after: avoid; } figure { break-inside: avoid; } }
"""


def page(title: str, body: Sequence[str]) -> str:
    """A whole document; the content policy forbids anything that is not inside it."""
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
            "style-src 'unsafe-inline'\">",
            f"<title>{escape(title)}</title><style>{STYLE}</style></head><body><main>",
            *body,
            "</main></body></html>",
            "",
        ]
    )


def check_page(out: Path) -> None:
    """Raises ValueError unless a page can be written to the file `out`."""
    if out.suffix != ".html":
        raise ValueError(f"--out must be a file whose name ends in .html, not {out}")
    check_folder("out", out.parent)
    if out.is_dir():
        raise ValueError(f"--out is {out}, which is a folder; it must be a file")


def check_folder(option: str, folder: Path) -> None:
    """Raises ValueError unless `folder`, which `option` names, is there or can be made."""
    there = next(
        (place for place in (folder, *folder.parents, *folder.absolute().parents) if place.exists()), Path("/")
    )
    if not there.is_dir():
        raise ValueError(f"--{option} lies in {there}, which is a file, not a folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise ValueError(f"--{option} lies in {there}, where nothing may be written")


def write_page(document: str, out: Path) -> Path:
    """Write a whole document to the file `out`, which appears when it is complete."""
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = out.with_name(f".{out.name}.{uuid4().hex}.writing")  # two runners may write it at once
    temporary.write_text(document, encoding="utf-8")
    return temporary.replace(out)


def section(title: str, *parts: str, anchor: str = "") -> str:
    """A heading with what stands below it; `anchor` is what a link on the page points at."""
    begin = f'<section id="{escape(anchor)}">' if anchor else "<section>"
    return "\n".join([f"{begin}<h2>{escape(title)}</h2>", *parts, "</section>"])


def paragraph(text: str, kind: str = "") -> str:
    """A paragraph of plain text; `kind` is soft, lead, warn or missing."""
    return f'<p class="{kind}">{_running(text)}</p>' if kind else f"<p>{_running(text)}</p>"


def table(head: Sequence[str], rows: Sequence[Sequence[str]], caption: str = "", numbers: Sequence[int] = ()) -> str:
    """A table of plain text; columns in `numbers` are set as figures, the first of them as the main one.

    A last column that is no figure and holds sentences keeps a readable width.
    """
    kinds = {column: ' class="number"' for column in numbers} | {c: ' class="number main"' for c in list(numbers)[:1]}
    if len(head) - 1 not in numbers and any(len(row[-1]) > 40 for row in rows):
        kinds |= {len(head) - 1: ' class="words"'}
    cells = ["".join(f"<td{kinds.get(i, '')}>{escape(cell)}</td>" for i, cell in enumerate(row)) for row in rows]
    return "\n".join(
        [
            '<div class="scroll"><table>',
            f"<caption>{escape(caption)}</caption>" if caption else "",
            "<thead><tr>" + "".join(f"<th>{escape(name)}</th>" for name in head) + "</tr></thead><tbody>",
            *[f"<tr>{row}</tr>" for row in cells],
            "</tbody></table></div>",
        ]
    )


def figures(drawings: Sequence[tuple[str, str]], columns: int = 2) -> str:
    """Drawings (SVG) with their captions (plain text), two or three beside each other where there is room."""
    parts = [f"<figure>{svg}<figcaption>{_running(text)}</figcaption></figure>" for svg, text in drawings]
    kind = "figures three" if columns == 3 else "figures"
    return "\n".join([f'<div class="{kind}">', *parts, "</div>"])


def bullets(items: Sequence[str]) -> str:
    """A quiet list of plain text."""
    return '<ul class="soft">' + "".join(f"<li>{_running(item)}</li>" for item in items) + "</ul>"


def fold(title: str, text: str) -> str:
    """Preformatted text behind a line that opens it."""
    return disclosure(title, f"<pre>{escape(text)}</pre>")


def disclosure(title: str, *parts: str, opened: bool = False) -> str:
    """Pieces of HTML behind a line that opens them, or closes them where they are `opened`."""
    return "\n".join([f"<details{' open' * opened}><summary>{escape(title)}</summary>", *parts, "</details>"])


def _running(text: str) -> str:
    """Text that wraps: a percent sign stays with its number."""
    return escape(text.replace(" %", "\u00a0%"))
