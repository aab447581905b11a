"""The README's overview and the tables of docs/results.md are what the files in results/ say."""

from pathlib import Path

import pytest

from sparring.recipes.leaderboard import leaderboard, overview

ROOT = Path(__file__).parent.parent.parent
BEGIN, END = "<!-- results:begin -->\n", "<!-- results:end -->"


@pytest.mark.parametrize(("page", "written"), [("README.md", overview), ("docs/results.md", leaderboard)])
def test_pages_show_what_the_result_files_say(page, written):
    files = sorted((ROOT / "results").rglob("*.json"))
    shown = (ROOT / page).read_text().partition(BEGIN)[2].partition(END)[0]
    assert files, "results/ holds no result file"
    assert shown == written(files), "regenerate with scripts/results"
