"""Drawings of a recipe's page: what stands in them, worked out by hand, and that every figure's recipe has them."""

import re
from dataclasses import replace

import numpy as np
import pytest

from sparring.config import RunConfig
from sparring.recipes.ascl_drawings import OverPoints, Pairs, Related, points_of
from sparring.recipes.budgets import BUDGETS
from sparring.recipes.contents import CONTENTS
from sparring.recipes.drawing import AgainstColumn, Axes, Curve, OverRows, Point, Together, drawn, series
from sparring.recipes.keys import completed, divergences
from sparring.recipes.paper import Printed
from sparring.recipes.place import Place
from sparring.recipes.recipe import Column, Recipe, Row
from sparring.recipes.reproduce import find, write_summary
from sparring.training.run_folder import write_json

FULL, SHORT = BUDGETS["full"], BUDGETS["short"]


def result(row, seed=0, budget=FULL.label, **accuracies):
    entries = {key.replace("_", "-"): {"accuracy": value, "n": 100} for key, value in accuracies.items()}
    return {"row": row, "seed": seed, "data": "some", "budget": budget, "results": entries}


ROWS = tuple(
    Row(f"{name} {n}", RunConfig(), {"lr": Printed.of(50 + n, 2)}) for name in ("base", "ours") for n in (1, 2, 4)
)
AT = {row.name: (row.name[:4], int(row.name[5:])) for row in ROWS}
OVER = OverRows(ROWS, (Column("logistic", "lr"),), AT, "n", {"logistic": "Logistic regression"}, more="n is a number.")
SEEN = [
    result(row.name, seed, logistic=0.2 + 0.1 * seed + AT[row.name][1] / 100)
    for row in reversed(ROWS)
    for seed in (0, 1)
]


def drawn_series(monkeypatch, drawing, results, budget=FULL):
    """The lines and words that reach the figure."""
    seen = []
    monkeypatch.setattr("sparring.reporting.figures.lines", lambda lines, **how: seen.append((lines, how)) or "<svg>")
    captions = [caption for _, caption in drawing(results, budget)]
    return seen, captions


def test_a_column_over_the_rows_stands_beside_the_papers(monkeypatch):
    [(lines, how)], [caption] = drawn_series(monkeypatch, OVER, SEEN)
    assert [line.name for line in lines] == ["base", "ours", "base, paper", "ours, paper"]
    # seeds 0.2 and 0.3: mean 0.25, standard deviation 0.0707
    assert lines[0].x == [1, 2, 4] and lines[0].y == pytest.approx([0.26, 0.27, 0.29])
    assert lines[0].low == pytest.approx([0.26 - 0.0707, 0.27 - 0.0707, 0.29 - 0.0707], abs=1e-4)
    assert lines[2].y == pytest.approx([0.51, 0.52, 0.54]) and lines[2].low is None
    assert lines[0].color == lines[2].color != lines[1].color and len({line.style for line in lines}) == 4
    assert (
        how["percent"] and how["x"] == "n" and how["y"] == "accuracy" and how["title"] == "Logistic regression over n"
    )
    assert caption == (
        "n is a number. Means over 2 seeds, one standard deviation on either side. Dashes and dots: what the paper prints."
    )


def test_at_another_size_the_papers_have_a_drawing_of_their_own(monkeypatch):
    [(ours, _), (theirs, how)], captions = drawn_series(monkeypatch, OVER, SEEN, SHORT)
    assert [line.name for line in ours] == [line.name for line in theirs] == ["base", "ours"]
    assert theirs[0].low == pytest.approx([0.49, 0.5, 0.52]) and how["title"] == "Logistic regression over n, paper"
    assert captions[0] == "n is a number. Means over 2 seeds, one standard deviation on either side."
    assert captions[1] == "What the paper prints, with its ±, on an axis of its own."


def test_what_was_not_measured_is_not_drawn(monkeypatch):
    one = [each for each in SEEN if each["row"] in ("ours 1", "ours 4") and each["seed"] == 0]
    (lines, _), [caption] = drawn_series(monkeypatch, OVER, one)[0][0], drawn_series(monkeypatch, OVER, one)[1]
    assert [(line.name, line.x) for line in lines if "paper" not in line.name] == [("ours", [1, 4])]
    assert lines[0].low is None and caption.startswith("n is a number. One seed.")
    assert OVER([], FULL) == [] and OVER([result("ours 1", knn=0.5)], FULL) == []


def test_rows_with_names_stand_in_their_order_with_whiskers(monkeypatch):
    at = {"base 1": ("all", "none"), "ours 4": ("all", "four"), "ours 2": ("all", "two")}
    named = OverRows(ROWS[:1] + ROWS[4:], (Column("logistic"),), at, "attack", joined=False)
    [(lines, how)], _ = drawn_series(monkeypatch, named, SEEN)
    assert how["names"] == ("none", "four", "two") and lines[0].x == [0, 1, 2] and not lines[0].joined
    assert lines[0].y == pytest.approx([0.26, 0.29, 0.27])
    monkeypatch.undo()
    svg = named(SEEN, FULL)[0][0]
    assert [word for word in re.findall(r">(none|four|two)<", svg)] == ["none", "four", "two"]


def test_one_column_against_another_takes_what_the_budget_attacks_with(monkeypatch):
    seen = [result("a", seed, own=0.5 + seed / 10, pgd_10=0.9, pgd_20=0.3) for seed in (0, 1)]
    seen += [result("b", own=0.4, pgd_20=0.35)]
    lines = {"one": ("b", "a", "c"), "none": ("c",)}
    drawing = AgainstColumn(lines, Column("own"), Column("pgd-250"), {"own": "natural"}, "trade", "Some.")
    [(curves, how)], [caption] = drawn_series(monkeypatch, drawing, seen, SHORT)
    assert [(curve.name, curve.x, curve.y) for curve in curves] == [("one", [0.4, 0.55], [0.35, 0.3])]
    assert how["x"] == "natural" and how["percent_x"] and caption.startswith("Some. Means over 1 to 2 seeds")
    assert drawn_series(monkeypatch, drawing, seen) == ([], [])  # pgd-250 was not measured
    assert drawing([], SHORT) == [] and Together((OVER, drawing))([], SHORT) == []


def latent(intra, epochs=(1.0, 2.0)):
    """A look whose R-DIV is intra / 0.5, at two radii and at some epochs."""
    point = {"intra": intra, "inter": 0.5, "intra_adv": intra + 0.1, "inter_adv": 0.5, "r_div": 2 * intra + 0.2}
    adversarial = point | {"anchors": 10, "words": "PGD"}
    return {
        "label": "latent v1",
        "divergence": {"adversarial": adversarial},
        "strengths": {"eps": [0.0, 8 / 255], "r_div": [2 * intra, 2 * intra + 0.2], "robust_accuracy": [0.8, 0.3]},
        "epochs": {
            "epoch": list(epochs),
            "r_div": [0.9, None][: len(epochs)],
            "robust_accuracy": [0.1, 0.2][: len(epochs)],
        },
    }


LOOKS = [
    result(row, seed, pgd_20=0.3) | {"latent": latent(intra + seed / 10)}
    for row, intra in (("AT", 0.2), ("NAT, CNN", 0.4))
    for seed in (0, 1)
]


def test_absolute_divergences_are_values_of_a_result():
    found = divergences(latent(0.2))
    assert {key: found[key]["value"] for key in ("intra", "inter", "intra_adv", "inter_adv", "r_div")} == pytest.approx(
        {"intra": 0.2, "inter": 0.5, "intra_adv": 0.3, "inter_adv": 0.5, "r_div": 0.6}
    )
    assert found["r_div 8/255"]["value"] == pytest.approx(0.6) and found["robust_accuracy pgd 0/255"]["accuracy"] == 0.8
    assert found["intra_adv"]["words"].endswith("clean and adversarial; PGD") and "PGD" not in found["intra"]["words"]
    assert all(entry["n"] == 10 for entry in found.values()) and found["intra"]["protocol"] == "latent v1"


def test_a_result_of_an_earlier_version_is_read_from_its_look():
    old = result("AT", own=0.5) | {"latent": latent(0.2)}
    old["results"]["r_div"] = {"value": 0.7}
    new = completed(old)
    assert new["results"]["intra_adv"]["value"] == pytest.approx(0.3) and new["results"]["r_div"] == {"value": 0.7}
    assert "intra_adv" not in old["results"]
    for without in (result("AT", own=0.5), result("AT", own=0.5) | {"latent": {"label": "latent v1"}}):
        assert completed(without) == without


def test_curves_over_radii_and_epochs_are_those_that_every_seed_has(monkeypatch):
    [(r_div, how), (robust, _)], captions = drawn_series(
        monkeypatch, OverPoints(("AT", "no"), "strengths", "Fig. 5"), LOOKS
    )
    assert [(line.name, line.x) for line in r_div] == [("AT", pytest.approx([0, 8]))] and how["y"] == "R-DIV"
    assert r_div[0].y == pytest.approx([0.5, 0.7]) and robust[0].y == [0.8, 0.3] and r_div[0].low is not None
    assert captions[0].startswith("Fig. 5. PGD, and so at the other radii.")
    [(over, how), _], _ = drawn_series(monkeypatch, OverPoints(("AT",), "epochs", "Fig. 2b"), LOOKS)
    assert over[0].x == [1.0] and over[0].y == [0.9] and how["x"] == "epoch"  # R-DIV of epoch 2 is undefined
    fewer = [LOOKS[0], LOOKS[1] | {"latent": latent(0.2, epochs=(2.0,))}]
    assert points_of(fewer, "AT", "epochs", "epoch") == {}
    [(line, how)], _ = drawn_series(monkeypatch, Related(("AT", "NAT, CNN"), "Fig. 2c"), LOOKS)
    assert line[0].x == [0.8, 0.3] and line[0].y == pytest.approx([0.5, 0.7]) and how["percent_x"] and len(line) == 2
    assert OverPoints(("AT",), "epochs", "Fig. 2b")([], FULL) == [] and Related(("AT",), "Fig. 2c")([], FULL) == []


def test_pairs_of_divergences_have_their_r_div_and_the_papers_below(monkeypatch):
    seen = {}
    monkeypatch.setattr(
        "sparring.reporting.latent_figures.distances", lambda *given, title: seen.update(given=given) or "<svg>"
    )
    rows = (Row("NAT, CNN", RunConfig()), Row("AT", RunConfig(), {"r_div_adv": 0.64}), Row("no", RunConfig()))
    [(_, caption)] = Pairs(rows, "Fig. 6")([completed(look) for look in LOOKS], SHORT)
    groups, intra, inter, spread = seen["given"]
    # of two seeds 0.1 apart
    assert groups == ["NAT\nCNN\nR-DIV 1.10\n30.0 % robust", "AT\nR-DIV 0.70\n(paper 0.64)\n30.0 % robust"]
    assert intra == pytest.approx([0.55, 0.35]) and inter == [0.5, 0.5]
    assert spread == [(pytest.approx(0.0707, abs=1e-4), 0), (pytest.approx(0.0707, abs=1e-4), 0)]
    said = "Fig. 6. PGD; robust accuracy: pgd-20."
    assert caption == f"{said} Means over 2 seeds, one standard deviation on either side."
    [(_, caption)] = Pairs(rows, "Fig. 6")([completed(look) for look in LOOKS[::2]], SHORT)
    assert caption == f"{said} One seed."
    [(_, caption)] = Pairs(rows, "Fig. 6")([completed(look) for look in LOOKS[1:]], SHORT)
    assert "Means over 1 to 2 seeds, one standard" in caption
    assert Pairs(rows, "Fig. 6")([], SHORT) == []


def test_heat_maps_of_class_pairs_are_means_over_seeds(monkeypatch):
    drawn_maps = []
    monkeypatch.setattr(
        "sparring.reporting.classes.heat_map", lambda mean, *_, **how: drawn_maps.append((mean, how)) or "<svg>"
    )

    def seen(row, seed, within, ratio):
        classes = {"mean": [[within, 1.0], [1.0, within]], "distance": "chord", "ratio": ratio}
        return result(row, seed) | {"latent": {"classes": classes if ratio else {"left_out": "why"}}}

    looks = [seen("SupCon", 0, 0.2, 2.0), seen("SupCon", 1, 0.4, 1.5), seen("SimCLR", 1, 0.8, 1.25)]
    looks.append(seen("SimCLR", 0, 0.0, None))
    captions = [caption for _, caption in find("csl.figure3").drawings(looks, SHORT)]
    assert drawn_maps[0][0] == pytest.approx(np.array([[0.3, 1.0], [1.0, 0.3]]))
    assert drawn_maps[0][1]["scale"] == drawn_maps[1][1]["scale"] == (pytest.approx(0.3), 1.0)
    assert captions[0].endswith("inter upon intra 1.75 (the paper's 1.98). Means over 2 seeds.")
    assert captions[1].endswith("inter upon intra 1.25 (the paper's 1.19). One seed.")
    assert find("csl.figure3").drawings([], SHORT) == []


def test_lines_of_the_paper_are_told_apart_without_colour():
    axes = Axes("t", "x", "y", percent=False)
    made = [
        series(Curve(str(k), [Point(0, 1, 0, 1)], paper), k, axes, both=True)
        for k in range(3)
        for paper in (False, True)
    ]
    assert len({one.style for one in made}) == len(made)
    svg, caption = drawn([Curve("a", [Point(0, 1, 0, 1)])], axes, "said")
    assert svg.startswith("<svg") and caption == "said"


FIGURES = {
    *(f"clae.{name}" for name in ("batch", "dim", "depth", "alpha", "eps", "epochs", "attacks")),
    *(f"ascl.figure{number}" for number in (2, 3, 5, 6)),
}


def results_of(recipe, budget):
    made = [
        result(row.name, budget=budget.label, own=0.5 + number / 100, logistic=0.4, knn=0.3, pgd_20=0.2)
        for number, row in enumerate(recipe.rows)
    ]
    about = {"latent": latent(0.2), "environment": {}, "experiment": recipe.name, "schema": 1, "config": {}}
    return [completed(each | about) for each in made]


def test_every_figure_over_rows_or_points_is_drawn(monkeypatch):
    blocks = {
        name for block, names in CONTENTS.items() if re.match("001 Fig. [567]|002 Fig. [2356]", block) for name in names
    }
    assert blocks == FIGURES
    monkeypatch.setattr("sparring.reporting.figures.lines", lambda lines, title, **_: title)
    monkeypatch.setattr("sparring.reporting.latent_figures.distances", lambda *_, title: title)
    numbers = {}
    for name in FIGURES:
        recipe = find(name)
        assert recipe.drawings is not None
        budget = SHORT.of(name)
        titles = [title for title, _ in recipe.drawings(results_of(recipe, budget), budget)]
        assert len(set(titles)) == len(titles), name  # what is inside an SVG is named after its title
        numbers[name] = len(titles)
    two = {f"clae.{name}": 2 for name in ("batch", "dim", "depth", "alpha", "attacks")}
    assert numbers == two | {"clae.eps": 4, "clae.epochs": 1, "ascl.figure2": 6} | {
        "ascl.figure3": 1,
        "ascl.figure5": 2,
        "ascl.figure6": 1,
    }


def test_a_page_of_drawings_is_written_beside_the_results(tmp_path):
    recipe, budget = find("ascl.figure2"), SHORT.of("ascl.figure2")
    (tmp_path / recipe.name).mkdir()
    for number, made in enumerate(results_of(recipe, budget)):
        made["results"] = {
            key: entry for key, entry in made["results"].items() if "adv" not in key
        }  # an earlier version
        write_json(tmp_path / recipe.name / f"{number}-short-seed0.json", made)
    write_summary(recipe, budget, Place(out=tmp_path))
    page = (tmp_path / recipe.name / "short.html").read_text()
    assert page.count("<svg") == 6 and ">AT, ResNet-20<" in page and ">R-DIV 0.60<" in page


def test_rows_of_a_drawing_are_rows_of_its_recipe():
    for block, names in CONTENTS.items():
        for recipe in map(find, names):
            if isinstance(recipe.drawings, OverRows):
                assert recipe.drawings.at.keys() == {row.name for row in recipe.rows}, (block, recipe.name)
                assert {column.key for column in recipe.drawings.columns} <= {column.key for column in recipe.columns}


def test_a_recipe_with_drawings_can_be_sent_to_a_worker():
    import pickle

    recipe: Recipe = find("clae.batch")
    assert replace(pickle.loads(pickle.dumps(recipe)), title="x").drawings is not None
