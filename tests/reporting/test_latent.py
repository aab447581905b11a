"""The latent space in a report, from files written by hand."""

from __future__ import annotations

import copy
import json
import re

import numpy as np
import pytest

from sparring.reporting import write_report
from sparring.reporting.latent import about, correlated
from sparring.reporting.latent_figures import class_map, relation
from sparring.reporting.run_folder import COUNTS, read_run
from sparring.summary import summarise_latent
from tests.reporting.document import Structure, words_in
from tests.reporting.runs import CLASSES, write_run

PGD = "PGD, Linf, eps 8/255, 20 steps of 1/255, random start"
SECTIONS = [
    "Latent space",
    "Divergence against the radius",
    "Divergence over training",
    "Positives and negatives over training",
    "A map of the latent space",
    "What the selector chose",
]


def figure(accuracy: float):
    return {"accuracy": accuracy, "interval": [accuracy - 0.05, accuracy + 0.05], "confidence": 0.95, "n": 40}


def point(intra, inter, robust, words):
    entry = {"intra_adv": intra, "inter_adv": inter, "r_div": intra / inter, "r_div_clean": 0.5, "words": words}
    entry |= {"intra_adv_std": 0.02, "inter_adv_std": 0.01, "without_positive": 3, "without_negative": 0}
    return entry | {"clean": figure(0.75), "robust": figure(robust)}


def columns(r_div, robust, rho=-0.9, interval=(-0.99, -0.4)):
    related = {"spearman": rho, "spearman_interval": interval, "pearson": -0.5, "pearson_interval": (-0.8, 0.1)}
    return {
        "r_div": r_div,
        "r_div_clean": [0.5] * len(r_div),
        "clean_accuracy": [0.75] * len(r_div),
        "robust_accuracy": robust,
        "robust_interval": [[value - 0.05, value + 0.05] for value in robust],
        "correlation": related | {"confidence": 0.95, "n": len(r_div)},
    }


LATENT = {
    "schema": 1,
    "protocol": {"name": "latent", "version": 1, "batch_size": 16, "step_size": None, "eps": 8 / 255},
    "label": "latent v1",
    "subject": {
        "words": "own v1 on h of <i>ascl</i>",
        "layer": "h",
        "domain": "clean",
        "dimensions": 64,
        "checkpoint": "epoch-0004",
        "fitted": {"protocol": "own v1"},
    },
    "data": {"name": "folder:pets", "n": 40, "seed": 7, "selection": "a seeded draw", "classes": list(CLASSES)},
    "environment": {"versions": {"torch": "2.13"}},
    "clean": figure(0.75),
    "divergence": {
        "clean": point(0.2, 0.4, 0.75, "eps 0: the images themselves"),
        "adversarial": point(0.3, 0.4, 0.25, PGD),
    },
    "strengths": {"eps": [0.0, 8 / 255, 16 / 255]} | columns([0.5, 0.75, 0.9], [0.75, 0.25, 0.1]),
    "epochs": {"epoch": [1, 2, 3, 4.5], "checkpoint": ["a"] * 4, "words": PGD}
    | columns([0.9, None, 0.8, 0.75], [0.1, 0.2, 0.2, 0.25], 0.3, (-0.2, 0.7)),
    "counts": {"epoch": [1, 2], "words": "means over the anchors of an epoch", "pairs": "leaked"}
    | {"positives": [7.5, 11.3], "negatives": [25.0, 14.3]}
    | {key: [float(at), at + 1.5] for at, key in enumerate(COUNTS)},
    "map": {"n": 12, "n_adv": 5, "perplexity": 5.0, "entropy": 0.4, "entropy_adv": 0.7, "entropy_of_attacked": 0.35},
    "selection": {
        "pairs": "leaked",
        "second": "adversarial copy by the training attack",
        "batch_size": 16,
        "data": "folder:pets",
        "seed": 7,
        "shown": 7,
        "anchors": [{"image": 5, "class": CLASSES[0], "row": 2}],
        "checkpoints": [
            {
                "checkpoint": "epoch-0001",
                "epoch": 1,
                "step": 0,
                "anchors": [dict(zip(COUNTS, (3, 9, 0, 31), strict=True))],
            },
            {"checkpoint": "epoch-0004-step-00012", "epoch": 4, "step": 12, "anchors": [dict.fromkeys(COUNTS, 2)]},
        ],
    },
}


def arrays():
    draw = np.random.default_rng(0)
    made = {"map_position": draw.normal(size=(12, 2)), "map_position_adv": draw.normal(size=(5, 2))}
    made |= {"map_entropy": draw.random(12), "map_entropy_adv": draw.random(5), "map_labels": np.arange(12) % 3}
    made |= {"selection_anchor_0": np.full((3, 4, 4), 200, dtype=np.uint8)}
    for number, at in enumerate(LATENT["selection"]["checkpoints"]):
        for kind, chosen in at["anchors"][0].items():
            made[f"selection_{number}_0_{kind}"] = draw.integers(0, 256, (min(chosen, 7), 3, 4, 4), dtype=np.uint8)
    return made


def write(path, with_arrays=True, **changes):
    write_run(path)
    (path / "latent.json").write_text(json.dumps(copy.deepcopy(LATENT) | changes))
    if with_arrays:
        np.savez(path / "latent.npz", **arrays())
    return path


def left_out(*names):
    return {name: {"left_out": f"<b>{name}</b> was not there"} for name in names}


@pytest.fixture(scope="module")
def complete(tmp_path_factory):
    path = write(tmp_path_factory.mktemp("latent") / "run")
    document = write_report(path).read_text()
    return path, document, Structure(document)


def svg_named(document: str, title: str) -> str:
    start = document.index(f'aria-label="{title}"')
    return document[start : document.index("</svg>", start)]


def test_is_wellformed_and_needs_nothing_else(complete):
    path, document, structure = complete
    assert structure.open == []
    assert all(address.startswith(("data:image/png;base64,", "#")) for address in structure.addresses)
    assert re.findall(r"url\((?!#)", document) == [] and "script" not in structure.tags
    assert len(set(structure.ids)) == len(structure.ids)
    assert {address[1:] for address in structure.addresses if address.startswith("#")} <= set(structure.ids)
    assert [heading for heading in re.findall("<h2>(.*?)</h2>", document) if heading in SECTIONS] == SECTIONS
    assert write_report(path).read_text() == document
    assert "<i>ascl" not in document and "<b>cat" not in document


def test_divergences_stand_with_accuracy_interval_attack_n_and_seed(complete):
    text = complete[2].text
    assert "clean 0.5 0.2 0.4 75.0 % 70.0 to 80.0 % eps 0: the images themselves" in text
    assert f"adversarial 0.75 0.3 0.4 25.0 % 20.0 to 30.0 % {PGD}" in text
    assert f"{PGD}. n = 40 test images of folder:pets, seed 7, epoch-0004." in text
    assert "3 of the images had no other of their class in the mini-batch: left out of intra." in text
    assert "left out of inter" not in text
    words = words_in(svg_named(complete[1], "Absolute divergences"))
    assert {"intra-class", "inter-class", "mean cosine distance (0 to 2)"} <= set(words)
    assert [word for word in words if "R-DIV" in word] == ["R-DIV 0.5", "R-DIV 0.75"]


def test_strengths_and_epochs_are_drawn_with_their_correlation(complete):
    _, document, structure = complete
    assert words_in(svg_named(document, "R-DIV against the radius"))[-4:-2] != []
    assert "eps (Linf, in 255ths)" in words_in(svg_named(document, "Accuracy against the radius"))
    assert {"0/255", "8/255", "16/255"} <= set(words_in(svg_named(document, "R-DIV by robustness, radii")))
    over = words_in(svg_named(document, "R-DIV by robustness, checkpoints"))
    assert {"epoch 1", "epoch 4.5"} <= set(over) and "epoch 2" not in over and "epoch 3" not in over
    text = structure.text
    assert (
        "over 3 radii: Spearman's rho \u22120.90 (95 % interval \u22120.99 to \u22120.40), Pearson's r \u22120.50"
        in text
    )
    assert "the interval of rho lies below 0, as there" in text
    assert "over 4 checkpoints" in text and "the interval of rho holds 0: undecided" in text
    assert text.count("Where classes have collapsed onto one direction there is no R-DIV.") == 1
    assert "steps grow with the radius at the other radii" in text


@pytest.mark.parametrize(
    ("interval", "words"), [((0.1, 0.9), "lies above 0, against it"), ((-0.9, -0.1), "lies below 0, as there")]
)
def test_a_correlation_is_judged_by_its_interval(interval, words):
    of = columns([0.5], [0.5], -0.2, interval)["correlation"]
    assert words in correlated(of, "radii")


def test_counts_are_drawn_by_copy_with_their_first_and_last_epoch(complete):
    _, document, structure = complete
    for kind, first, last in (("Positives", 7.5, 11.3), ("Negatives", 25.0, 14.3)):
        assert {"both", "clean", "adversarial", "rows"} <= set(words_in(svg_named(document, f"{kind} of an anchor")))
        assert (
            f"{kind} chosen by leaked: {first} in epoch 1, {last} in epoch 2; means over the anchors" in structure.text
        )


def test_maps_tell_clean_from_adversarial_and_classes_apart(complete):
    _, document, structure = complete
    svg = svg_named(document, "Map by class")
    assert {"&lt;b&gt;cat&lt;/b&gt;", "dog &amp; co", "horse", "adversarial"} <= set(words_in(svg))
    assert "no unit" in " ".join(words_in(svg))
    by_entropy = words_in(svg_named(document, "Map by entropy"))
    assert {"clean", "adversarial", "entropy of the prediction / log K"} <= set(by_entropy)
    assert "t-SNE of 12 clean images and of 5 of them attacked, perplexity 5" in structure.text
    assert "mean entropy 0.35 and 0.70" in structure.text


def test_a_map_has_one_marker_for_every_point():
    position, adversarial = np.random.default_rng(1).normal(size=(9, 2)), np.zeros((4, 2))
    for classes, marks in ((3, 3), (40, 1)):
        names = [f"c{i}" for i in range(classes)]
        svg = class_map(position, adversarial, np.arange(9) % 3, names, title="map")
        assert len(re.findall(r"<use ", svg)) >= 9 + 4 + marks + 1  # and the legend's
        assert ("c0" in words_in(svg)) == (classes == 3) and ("clean" in words_in(svg)) == (classes == 40)


def test_points_of_a_relation_are_joined_in_their_order():
    svg = relation([0.1, 0.5, 0.3], [0.9, 0.7, 0.8], ["a", "b", "c"], title="r", all_named=False)
    assert "a" in words_in(svg) and "c" in words_in(svg) and "b" not in words_in(svg)


def test_selected_images_stand_with_their_numbers(complete):
    _, document, structure = complete
    section = document[document.index("<h2>What the selector chose</h2>") :]
    section = section[: section.index("</section>")]
    assert section.count("<img ") == 1 + (3 + 7 + 0 + 7) + 4 * 2
    assert re.findall(r"<div><b>(\d+)</b>", section) == ["3", "2", "9", "2", "0", "2", "31", "2"]
    text = structure.text
    assert "after epoch 1 after epoch 4 and 12 steps" in text and "anchor: <b>cat</b>" in text
    assert "Chosen by leaked on one mini-batch of 16 training images of folder:pets (seed 7)" in text


def test_what_is_left_out_is_said_and_drawn_nowhere(tmp_path):
    changes = left_out("epochs", "counts", "map", "selection")
    strengths = {"eps": [], **columns([], [])}
    document = write_report(write(tmp_path / "run", False, strengths=strengths, **changes)).read_text()
    text = Structure(document).text
    for name in ("epochs", "counts", "map", "selection"):
        assert f"Left out: <b>{name}</b> was not there." in text
    assert "No radii were asked for" in text
    assert "Map by class" not in document and "R-DIV over training" not in document


def test_without_arrays_or_without_a_correlation_it_says_so(tmp_path):
    related = LATENT["epochs"] | {"correlation": {"left_out": "R-DIV has 1 point"}}
    text = Structure(write_report(write(tmp_path / "run", False, epochs=related)).read_text()).text
    assert "There is no map (latent.npz is absent or holds none)." in text
    assert "There are no pictures (latent.npz is absent or holds none)." in text
    assert "No correlation of R-DIV with robust accuracy: R-DIV has 1 point." in text


def test_a_run_without_it_says_what_to_type(tmp_path):
    path = write_run(tmp_path / "run")
    text = Structure(write_report(path).read_text()).text
    assert "The latent space was not looked into (latent.json is absent); sparring analyze RUN does." in text
    with pytest.raises(ValueError, match=r"holds no latent\.json"):
        summarise_latent(path)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ('{"schema": 1}', "is no look into a latent space: it lacks protocol, label, subject"),
        (json.dumps(LATENT | {"schema": 2}), "has schema 2; this version reads schema 1"),
    ],
)
def test_a_bad_file_is_one_sentence_and_leaves_no_report(tmp_path, content, says):
    path = write_run(tmp_path / "run")
    (path / "latent.json").write_text(content)
    with pytest.raises(ValueError, match=says):
        write_report(path)
    assert not (path / "report.html").exists()


def test_the_terminal_gets_the_figures_and_what_was_left_out(tmp_path, capsys):
    path = write(tmp_path / "run", False, **left_out("map"))
    summarise_latent(path)
    out = capsys.readouterr().out
    assert "R-DIV 0.750 (intra 0.300, inter 0.400); accuracy 25.0 %, 95 % interval 20.0 to 30.0, n = 40" in out
    assert "7.5 positives and 25.0 negatives to 11.3 positives and 14.3 negatives an anchor, epoch 1 to 2" in out
    assert "Spearman's rho \u22120.90" in out and "left out: <b>map</b> was not there" in out
    assert about(read_run(path)).startswith("n = 40 test images")
