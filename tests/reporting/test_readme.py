"""The README's table of results is what the files in results/ say."""

from pathlib import Path

from sparring.recipes.leaderboard import leaderboard

ROOT = Path(__file__).parent.parent.parent
BEGIN, END = "<!-- results:begin -->\n", "<!-- results:end -->"


def test_readme_shows_what_the_result_files_say():
    files = sorted((ROOT / "results").rglob("*.json"))
    shown = (ROOT / "README.md").read_text().partition(BEGIN)[2].partition(END)[0]
    assert files, "results/ holds no result file"
    assert shown == leaderboard(files), "regenerate with scripts/results"
