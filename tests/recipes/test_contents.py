"""Every table and figure of the papers, video excepted, has a recipe whose figures are the table's."""

import re
from pathlib import Path

import yaml

from sparring.recipes import paper
from sparring.recipes.contents import CONTENTS, OURS, WITHOUT
from sparring.recipes.reproduce import recipes

BLOCKS = yaml.safe_load((Path(paper.__file__).parent / "paper_results.yaml").read_text(encoding="utf-8"))
FIGURES = {"001": 7, "002": 9, "003": 3}
"""How many each paper has; the supplement (000) has none."""


def test_every_table_and_figure_has_a_recipe_or_a_reason_to_have_none():
    figures = {f"{of} Fig. {number}" for of, count in FIGURES.items() for number in range(1, count + 1)}
    assert not CONTENTS.keys() & WITHOUT.keys()
    assert {*BLOCKS, *figures, "002_T1"} == CONTENTS.keys() | WITHOUT.keys()
    assert [name for name, why in WITHOUT.items() if name in BLOCKS and why != "video"] == []


def test_every_recipe_is_in_the_contents():
    named = {name for names in CONTENTS.values() for name in names}
    assert named | OURS.keys() == recipes().keys() and not named & OURS.keys()


def test_the_recipes_of_a_table_print_every_figure_of_it():
    for block, names in CONTENTS.items():
        if block not in BLOCKS:
            continue
        printed = {
            figure
            for name in names
            for numbers in (*(row.paper for row in recipes()[name].rows), *recipes()[name].copied.values())
            for figure in numbers.values()
        }
        theirs = {float(entry["value"]) for entry in BLOCKS[block] if entry["value"] is not None}
        assert theirs <= printed, (block, sorted(theirs - printed))


def test_no_recipe_has_figures_in_its_words():
    """Figures come from paper_results.yaml alone: a claim or title that quotes an accuracy would go unchecked."""
    for recipe in recipes().values():
        for words in (recipe.title, recipe.source, *(claim.words for claim in recipe.claims)):
            assert not re.search(r"\d{2}\.\d|\d\d ?%", words), (recipe.name, words)
