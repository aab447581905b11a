"""Runs side by side: what may stand in one row, what is said loudly, differences image by image, curves on one pair of axes."""

import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest

from sparring.cli import main
from sparring.recipes.recipe import derived
from sparring.reporting import write_comparison
from sparring.reporting.comparison import names, read_comparison
from tests.reporting.document import Structure, words_in
from tests.reporting.evaluations import figure, without_figures
from tests.reporting.runs import CONFIG, write_run
from tests.settings import IMAGES_ELSEWHERE, NONE_OF_A_FIGURE

RIGHT = np.arange(40) < 12


def robust(path, right, *, words="PGD, eps 8/255", index=None, number="", **changes):
    """A robustness evaluation with verdicts on 40 images."""
    attack = figure(int(right.sum())) | {"words": words}
    entry = without_figures(attacks={"pgd": attack}, worst_case=None, representation=None, verdict=None, **changes)
    (path / f"robustness{number}.json").write_text(json.dumps(entry))
    index = np.arange(40) if index is None else index
    verdicts = {"correct_clean": np.arange(40) < 30, "correct_pgd": right}
    np.savez(path / f"robustness{number}.npz", index=index, labels=index % 3, **verdicts)


def change(path, name, **changes):
    file = path / "results.json"
    read = json.loads(file.read_text())
    read[name] |= changes
    file.write_text(json.dumps(read))


def seeded(seed, **method):
    changed = replace(CONFIG.method, **method)
    return replace(CONFIG, method=changed, training=replace(CONFIG.training, seed=seed))


@pytest.fixture
def two(tmp_path):
    runs = [write_run(tmp_path / "a", seeded(0)), write_run(tmp_path / "b", seeded(0, alpha=0.5))]
    robust(runs[0], RIGHT)
    robust(runs[1], RIGHT | (np.arange(40) >= 35))
    for run in runs:
        (run / "metrics.jsonl").unlink()  # drawing takes most of the time
    return runs


def text_of(runs, tmp_path):
    out = tmp_path / "page" / "compared.html"
    read = write_comparison(runs, out)
    document = out.read_text()
    structure = Structure(document)
    assert structure.open == [] and "script" not in structure.tags
    assert len(set(structure.ids)) == len(structure.ids)
    return read, structure.text, document


def rows_of(document):
    return [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in re.findall(r"<tr>(.*?)</tr>", document)]


def test_settings_that_differ_are_shown_and_shared_ones_said_once(two, tmp_path):
    read, text, document = text_of(two, tmp_path)
    assert ["method.alpha", "1.0", "0.5"] in rows_of(document)
    assert text.count("training.epochs") == 1 and "training.epochs: 4" in text
    assert read.doubts == [] and 'class="warn"' not in document
    assert "<span>method</span><b>clae</b>" in document
    assert ["training.seed", "0", "0"] not in rows_of(document)


def test_what_changes_no_figure_is_no_difference_and_another_folder_of_images_is_one(tmp_path):
    free = derived(CONFIG, NONE_OF_A_FIGURE)
    runs = [write_run(tmp_path / name, config) for name, config in (("a", CONFIG), ("b", free))]
    assert read_comparison(runs).differing() == {}
    runs.append(write_run(tmp_path / "c", derived(CONFIG, IMAGES_ELSEWHERE)))
    assert read_comparison(runs).differing().keys() == IMAGES_ELSEWHERE.keys()


def test_figures_stand_with_interval_and_n(two, tmp_path):
    _, text, document = text_of(two, tmp_path)
    assert ["knn", "n = 24, folder:pets", *["62.5 % [40.0, 80.0]"] * 2] in rows_of(document)
    assert [
        "pgd",
        "n = 40, folder:pets",
        "30.0 % [10.1, 70.2], adversarial norm",
        "42.5 % [10.1, 70.2], adversarial norm",
    ] in rows_of(document)
    assert "knn: n = 24, folder:pets, knn v1," in text and "PGD, eps 8/255" in text


def test_differences_are_image_by_image(two, tmp_path):
    _, _, document = text_of(two, tmp_path)
    # by hand, Bonett and Price: 5 and 0 discordant of 40, p = 6/42, r = 1/42
    low, high = (5 / 42 + sign * 1.959964 * ((7 / 42 - (5 / 42) ** 2) / 42) ** 0.5 for sign in (-1, 1))
    bounds = f"{100 * low:+.1f} to {100 * high:+.1f}"
    assert ["b", "pgd", "+12.5", bounds, "40", "5", "0", "undecided" if low <= 0 else "higher"] in rows_of(document)
    assert ["b", "clean", "+0.0", "-6.6 to +6.6", "40", "0", "0", "undecided"] in rows_of(document)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"n_test": 48}, "Not comparable: knn (in a: n 24; in b: n 48)."),
        ({"data": "digits"}, "Not comparable: knn (in a: data folder:pets; in b: data digits)."),
        ({"protocol": "knn v2"}, "Not comparable: knn (in a: protocol knn v1; in b: protocol knn v2)."),
        ({"k": 9}, "Not comparable: knn (in a: k 5; in b: k 9)."),
    ],
)
def test_what_was_not_measured_alike_is_loud_and_never_in_one_row(two, tmp_path, changed, said):
    change(two[1], "knn", **changed)
    read, text, document = text_of(two, tmp_path)
    assert read.doubts == [said] and said in text and document.count('class="warn"') == 1
    knn = [row for row in rows_of(document) if row and row[0] == "knn"]
    assert [row.count("-") for row in knn] == [1, 1] and len({row[1] for row in knn}) == 2


def transferred(path, **changes):
    """transfer.json of one data set."""
    entry = {"accuracy": 0.5, "interval": [0.4, 0.6], "n_train": 90, "n_val": 10, "n_test": 50, "metric": "top-1"}
    entry |= {
        "l2": 0.01,
        "l2_at_edge": False,
        "layer": "h",
        "selection": "official splits",
        "words": "l2 0.01 of 45 chosen",
    }
    read = {"schema": 1, "label": "transfer v1", "protocol": {"name": "transfer", "layer": "h"}, "image_size": 16}
    read |= {"subject": {"words": "clae", "checkpoint": None, "domain": "clean"}, "seed": 0, "environment": {}}
    (path / "transfer.json").write_text(json.dumps(read | {"sets": {"pets": entry | changes}}))


def test_the_penalty_that_validation_chose_is_no_condition(two, tmp_path):
    transferred(two[0])
    transferred(two[1], l2=10.0, words="l2 10 of 45 chosen", accuracy=0.55)
    read, _, document = text_of(two, tmp_path)
    assert read.doubts == []
    shown = ["50.0 % [40.0, 60.0], l2 0.01", "55.0 % [40.0, 60.0], l2 10"]
    assert ["transfer to pets", "n = 50, pets", *shown] in rows_of(document)
    transferred(two[1], layer="z", selection="a tenth held out")
    (doubt,) = text_of(two, tmp_path)[0].doubts
    assert "(in a: selection official splits, layer h; in b: selection a tenth held out, layer z)" in doubt


def test_other_image_sizes_are_not_comparable(tmp_path):
    runs = [
        write_run(tmp_path / name, replace(CONFIG, data=replace(CONFIG.data, image_size=size)))
        for name, size in (("a", 16), ("b", 24))
    ]
    for run in runs:
        (run / "metrics.jsonl").unlink()
        robust(run, RIGHT)
    doubts = " ".join(text_of(runs, tmp_path)[0].doubts)
    assert "(in a: image size 16; in b: image size 24)" in doubts
    for name in ("knn", "logistic", "clean", "pgd"):
        assert re.search(rf"Not comparable: [^(]*\b{name}\b", doubts), name


def test_outcomes_are_no_conditions(two, tmp_path):
    change(two[1], "logistic", accuracy=0.75, seed=1, best_epoch=3, epochs_trained=2, checkpoint="epoch-0002")
    change(two[1], "knn", checkpoint="epoch-0002")
    robust(two[1], RIGHT, subject=without_figures()["subject"] | {"checkpoint": "epoch-0002"})
    assert text_of(two, tmp_path)[0].doubts == []


def test_other_attacks_and_other_images_are_not_paired(two, tmp_path):
    robust(two[1], RIGHT, words="PGD, eps 4/255")
    read, _, document = text_of(two, tmp_path)
    assert read.doubts == ["Not comparable: pgd (in a: attack PGD, eps 8/255; in b: attack PGD, eps 4/255)."]
    assert not [row for row in rows_of(document) if row[:2] == ["b", "pgd"]]
    robust(two[1], RIGHT, index=np.arange(1, 41))
    read, _, document = text_of(two, tmp_path)
    assert read.doubts == [
        "Not comparable: clean, pgd (other test images or labels, though described alike: b from a)."
    ]
    assert not [row for row in rows_of(document) if row[:1] == ["b"]]


def test_other_training_images_are_loud(two, tmp_path):
    other = write_run(tmp_path / "c", replace(CONFIG, data=replace(CONFIG.data, train_images=30)))
    (other / "metrics.jsonl").unlink()
    doubts = text_of([two[0], other], tmp_path)[0].doubts
    assert doubts == [
        "The runs were trained on different data: folder, 60 training images in a, against folder, 30 training images in c."
    ]


def test_earlier_evaluations_count_and_the_newest_wins(two, tmp_path):
    robust(two[0], RIGHT & False, number="-1")
    robust(two[0], RIGHT, words="PGD, eps 4/255", number="-2")
    (two[0] / "results-1.json").write_text(
        json.dumps({"knn": json.loads((two[0] / "results.json").read_text())["knn"]})
    )
    change(two[0], "knn", accuracy=0.5)
    read, _, document = text_of(two, tmp_path)
    pgd = [row for row in rows_of(document) if row and row[0] == "pgd"]
    assert [
        "pgd",
        "n = 40, folder:pets, PGD, eps 8/255",
        "30.0 % [10.1, 70.2], adversarial norm",
        "42.5 % [10.1, 70.2], adversarial norm",
    ] in pgd
    assert ["pgd", "n = 40, folder:pets, PGD, eps 4/255", "30.0 % [10.1, 70.2], adversarial norm", "-"] in pgd and len(
        pgd
    ) == 2
    assert read.doubts == []  # both have the one at 8/255
    assert ["knn", "n = 24, folder:pets", "50.0 % [40.0, 80.0]", "62.5 % [40.0, 80.0]"] in rows_of(document)


def test_an_earlier_checkpoint_says_so(two, tmp_path):
    change(two[0], "knn", checkpoint="epoch-0004")
    change(two[0], "logistic", checkpoint="epoch-0020")
    _, _, document = text_of(two, tmp_path)
    assert [row[0] for row in rows_of(document) if row and row[0].startswith("knn")] == ["knn at epoch-0004", "knn"]


def test_a_checkpoint_within_an_epoch_is_older_than_the_end_of_it(two, tmp_path):
    change(two[0], "knn", checkpoint="epoch-0009-step-00003")
    change(two[0], "logistic", checkpoint="epoch-0010")
    _, _, document = text_of(two, tmp_path)
    knn = [row[0] for row in rows_of(document) if row and row[0].startswith("knn")]
    assert knn == ["knn at epoch-0009-step-00003", "knn"]


def test_runs_of_several_seeds_get_means_and_paired_differences(tmp_path):
    accuracies = {"p0": 0.5, "p1": 0.6, "q0": 0.6, "q1": 0.72}
    for name, accuracy in accuracies.items():
        run = write_run(tmp_path / name, seeded(int(name[1]), alpha=float(name[0] == "q")))
        (run / "metrics.jsonl").unlink()
        change(run, "knn", accuracy=accuracy)
    _, text, document = text_of([tmp_path / name for name in accuracies], tmp_path)
    (row,) = [row for row in rows_of(document) if row[:1] == ["knn"] and "n = 2" in row[2]]
    assert row[2:] == ["55.0 ± 7.1, n = 2", "66.0 ± 8.5, n = 2", "+11.0 [-1.7, +23.7]"]  # t with one degree: 12.706
    assert "p0 and 1 more: p0, p1" in text and "q0 and 1 more: q0, q1" in text


def test_curves_are_overlaid(tmp_path):
    runs = [write_run(tmp_path / name, seeded(0)) for name in "ab"]
    _, text, document = text_of(runs, tmp_path)
    drawn = {
        re.findall('aria-label="(.*?)"', svg)[0]: words_in(svg) for svg in re.findall("<svg.*?</svg>", document, re.S)
    }
    assert drawn.keys() == {"loss", "clean", "adversarial", "probe knn accuracy"}
    assert all({"a", "b"} <= set(words) for words in drawn.values())
    assert "No run was measured at several radii." in text


def test_curves_against_the_radius_share_axes_only_if_measured_alike(two, tmp_path):
    curve = {"words": "PGD", "norm": "Linf", "eps": [0.0, 8 / 255], "accuracy": [0.7, 0.2], "n": 40}
    curve |= {"interval": [[0.6, 0.8], [0.1, 0.3]]}
    for run, n in zip(two, (40, 40), strict=True):
        robust(run, RIGHT, curves={"eps": curve | {"n": n}})
    assert text_of(two, tmp_path)[2].count('aria-label="Robust accuracy"') == 1
    robust(two[1], RIGHT, curves={"eps": curve | {"n": 32}})
    document = text_of(two, tmp_path)[2]
    assert document.count('measured differently)"') == 2 and "Only a." in document and "Only b." in document
    for more, differ in (({"domain": "adv"}, 0), ({"fitted": {"layer": "z", "protocol": "logistic v1"}}, 2)):
        robust(two[1], RIGHT, curves={"eps": curve}, subject=without_figures()["subject"] | more)
        assert text_of(two, tmp_path)[2].count('measured differently)"') == differ, more


def test_the_same_runs_give_the_same_bytes_and_foreign_models_may_stand_beside(two, tmp_path):
    assert text_of(two, tmp_path)[2] == text_of(two, tmp_path)[2]
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    robust(theirs, RIGHT)
    text = text_of([two[0], theirs], tmp_path)[1]
    assert "theirs holds an evaluation alone" in text


def test_each_method_is_compared_through_its_own_norm(two, tmp_path):
    subject = without_figures()["subject"]
    robust(two[0], RIGHT, subject=subject | {"domain": "clean"})
    robust(two[1], RIGHT, subject=subject | {"domain": "adv"})
    read, text, _ = text_of(two, tmp_path)
    [line] = [line for line in read.lines if line.name == "pgd"]
    assert list(line.figures) == ["a", "b"] and not [doubt for doubt in read.doubts if "pgd" in doubt]
    assert line.figures["b"].words == f"{line.figures['a'].words}, adversarial norm" and "adversarial norm" in text
    # one run through both of its norms: which one stands beside the other's would be a choice
    robust(two[1], RIGHT, subject=subject | {"domain": "clean"}, number="-1")
    read = text_of(two, tmp_path)[0]
    assert len([line for line in read.lines if line.name == "pgd"]) > 1


def test_names_are_as_short_as_they_can_be(tmp_path):
    assert names([tmp_path / "x-1" / "run", tmp_path / "x-2" / "run"]) == ["x-1", "x-2"]
    assert names([tmp_path / "a", tmp_path / "b" / "run"]) == ["a", "b"]
    assert names([tmp_path / "a", tmp_path / "a" / "b"]) == ["a", "b"]
    assert names([tmp_path / "a" / "b", tmp_path / "runs" / "short" / "c" / "run"]) == ["b", "c"]
    assert names([tmp_path / "a", tmp_path / "a" / "run"]) == ["a", "run"]
    assert names([tmp_path / "short" / "a" / "run", tmp_path / "smoke" / "a" / "run"]) == ["short", "smoke"]


def test_what_differs_is_said_once_of_runs_that_share_it(two, tmp_path):
    third = tmp_path / "c"
    shutil.copytree(two[1], third)
    for path in (two[1], third):
        change(path, "knn", k=9, layer="z")
    doubts = read_comparison([*two, third]).doubts
    assert "Not comparable: knn (in a: layer h, k 5; in b and c: layer z, k 9)." in doubts


def test_mistakes_are_one_sentence_and_write_nothing(two, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "export").mkdir()
    for name in ("config.json", "model.safetensors"):
        (tmp_path / "export" / name).touch()
    before = sorted(tmp_path.rglob("*"))
    for words, sentence in (
        (["a"], "compare needs at least two run folders, such as runs/a runs/b, not 1"),
        ([], "compare needs at least two run folders, such as runs/a runs/b, not 0"),
        (["a", "b", "./a"], "a is the same run as a: name each run once"),
        (["a", "empty"], "empty is no run folder: it holds no config.yaml"),
        (["a", "nowhere"], "nowhere is no run folder"),
        (
            ["a", "export"],
            "export is an exported encoder, no run folder: `sparring evaluate weights:export --out FOLDER`",
        ),
        (["a", "b", "--out", "a/config.yaml"], "--out must be a file whose name ends in .html, not a/config.yaml"),
        (["a", "b", "--out", "file/x.html"], "--out lies in file, which is a file, not a folder"),
        (["a", "b", "--outt", "x"], "--outt is no option; did you mean --out?"),
    ):
        assert main(["compare", *words]) == 2
        out, err = capsys.readouterr()
        assert out == "" and sentence in err and err.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_a_run_without_figures_is_named(two, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for file in ("results.json", "robustness.json", "latent.json"):
        (two[1] / file).unlink(missing_ok=True)
    assert main(["compare", "a", "b"]) == 0
    assert capsys.readouterr().out == "Without figures, so unfinished or not measured: b.\ncomparison.html\n"


def test_the_command_says_loudly_what_cannot_be_compared(two, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    change(two[1], "knn", k=9)
    assert main(["compare", "a", "b"]) == 0
    assert capsys.readouterr().out == "Not comparable: knn (in a: k 5; in b: k 9).\ncomparison.html\n"
    assert (tmp_path / "comparison.html").read_text().startswith("<!doctype html>")
