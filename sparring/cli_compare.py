"""The verbs `sparring compare` and `sparring leaderboard`: pages made of what is there; nothing is run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from sparring.flags import RUN, read_words

COMPARE = """\
usage: sparring compare RUN RUN [...] [--out FILE.html]

Put run folders side by side in one HTML file: settings that differ, every figure with its interval and n, differences image
by image where verdicts are there, training curves and accuracy against the radius over common axes. Figures that were not
measured alike (data, protocol, attack, n) are named loudly and never stand in one row.

  RUN                run folders, or folders of a model that `sparring evaluate python:...` attacked; differences are from
                     the first
  --out FILE.html    where the page goes [comparison.html]
  --debug            show where an error happened
"""

LEADERBOARD = """\
usage: sparring leaderboard [RESULTS] [--out FILE.html]

Write all results of `sparring reproduce` as one HTML page: ours beside the paper's figures, with seeds, intervals, protocol,
hardware and commit, and every claim with its verdict. Nothing is run.

  RESULTS            the folder of the results [results]
  --out FILE.html    where the page goes [RESULTS/leaderboard.html]
  --debug            show where an error happened
"""

OPTIONS = {"out": True, "debug": False, "help": False}


def compare(words: list[str]) -> int:
    """Run the verb on its words and return the exit code."""
    read = read_words(words, OPTIONS, {}, RUN)
    if "help" in read.options:
        print(COMPARE, end="")
        return 0
    from sparring.reporting import write_comparison

    out = Path(read.options.get("out", ["comparison.html"])[-1])
    for doubt in write_comparison([Path(word) for word in read.positional], out).doubts:
        print(doubt)
    print(out)
    return 0


def leaderboard(words: list[str]) -> int:
    """Run the verb on its words and return the exit code."""
    read = read_words(words, OPTIONS, {}, replace(RUN, name="folder of RESULTS"))
    if "help" in read.options:
        print(LEADERBOARD, end="")
        return 0
    if len(read.positional) > 1:
        raise ValueError(f"leaderboard takes one folder of results, not {' and '.join(read.positional)}")
    from sparring.recipes.leaderboard_page import write_leaderboard

    folder = Path((read.positional or ["results"])[0])
    out = read.options.get("out")
    print(write_leaderboard(folder, Path(out[-1]) if out else folder / "leaderboard.html"))
    return 0
