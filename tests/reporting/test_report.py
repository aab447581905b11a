from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
import torch

from sparring.attacks import FGSM, Linf
from sparring.config import MethodConfig, RemovalConfig
from sparring.methods import CLAE, SimCLR
from sparring.reporting import collect, write_report
from tests.reporting.document import Structure
from tests.reporting.runs import CLASSES, CONFIG, SmallEncoder, images, write_run


class WithoutNorm(SmallEncoder):
    def __init__(self) -> None:
        super().__init__(dual=False)
        self.norm = self.trunk[1] = torch.nn.Identity()


def analysed(path, dual=True, labels=True, config=CONFIG, encoder=None):
    pixels, truth = images()
    attack = FGSM(Linf(0.1, space="normalized", clip=False))
    collect(
        write_run(path, config),
        encoder or SmallEncoder(dual),
        CLAE(attack=attack) if dual else SimCLR(),
        attack,
        images=pixels,
        labels=truth if labels else None,
        classes=CLASSES,
        data="folder:pets",
        eps=[0, 0.05, 0.1],
        classifier=torch.nn.Linear(24, 3),
        batch_size=12,
    )
    return path


@pytest.fixture(scope="module")
def complete(tmp_path_factory):
    path = analysed(tmp_path_factory.mktemp("report") / "run")
    return path, Structure(write_report(path).read_text())


@pytest.mark.parametrize(
    ("method", "removal", "words"),
    [
        (MethodConfig("simclr", pairs="precision"), RemovalConfig(every=7, unit="view", replacement="rescale"),
         "precision (every 7, unit view, replacement rescale)"),
        (MethodConfig("simclr", pairs="recall"), RemovalConfig(every=7, parts=4, replacement="none"),
         "recall (every 7, parts 4, unit instance, replacement none)"),
        (MethodConfig("supcon", pairs="pseudo_labels"), RemovalConfig(clusters=9, replacement="none"),
         "pseudo_labels (clusters 9, replacement none)"),
        (MethodConfig("simclr", pairs="frequency"), RemovalConfig(classes=4, replacement="none"),
         "frequency (classes 4, unit instance, replacement none)"),
        (MethodConfig("simclr", pairs="same_label"), RemovalConfig(), "same_label"),
    ],
)  # fmt: skip
def test_it_names_the_selector_that_ran(tmp_path, method, removal, words):
    run = analysed(tmp_path / "run", dual=False, config=replace(CONFIG, method=method, removal=removal))
    document = write_report(run).read_text()
    assert f"<li><span>pairs</span><b>{words}</b></li>" in document
    assert f"\npairs: {words}\n" in document and "any selector" not in document
    assert ("from which nothing is removed" in document) == ("(" in words)


@pytest.mark.parametrize(("has", "words"), [(True, "has one batch norm a layer"), (False, "has no batch norm")])
def test_the_number_of_batch_norms_is_said(tmp_path, has, words):
    run = analysed(tmp_path / "run", dual=False, encoder=None if has else WithoutNorm())
    assert words in Structure(write_report(run).read_text()).text


def test_is_one_wellformed_file_that_needs_nothing_else(complete):
    path, structure = complete
    assert structure.open == []
    assert structure.addresses
    assert all(address.startswith(("data:image/png;base64,", "#")) for address in structure.addresses)
    assert "script" not in structure.tags and "link" not in structure.tags
    document = (path / "report.html").read_text()
    assert "@import" not in document
    assert re.findall(r"url\((?!#)", document) == []
    assert "default-src 'none'" in document
    assert str(path) not in document


def test_figures_do_not_share_identifiers(complete):
    _, structure = complete
    assert structure.tags.count("svg") == 2 + 3 + 2
    assert len(set(structure.ids)) == len(structure.ids)
    references = {address[1:] for address in structure.addresses if address.startswith("#")}
    assert references <= set(structure.ids)


def test_every_figure_carries_data_protocol_seed_and_n(complete):
    text = complete[1].text
    assert "clae over simclr on folder:pets" in text
    for expected in ("knn v1 62.5 % 40.0 to 80.0 % 60 / 24 folder:pets 3", "logistic v1 50.0 %", "temperature 0.5"):
        assert expected in text
    assert "n = 24 images of folder:pets, 2 batches of 12" in text
    assert "FGSM, Linf, eps 0.1 in normalised units" in text
    assert re.search(r"amplified 10 times .* largest value is 12\.[78]/255 in pixels", text)  # eps 0.1 at std 0.5


def test_a_budget_below_the_paper_is_said(complete):
    text = complete[1].text
    for words in ("4 of 100 epochs", "batch 12 instead of 256", "resnet20 instead of resnet18", "60 training images"):
        assert words in text


def test_text_is_escaped(complete):
    path, structure = complete
    document = (path / "report.html").read_text()
    assert "<b>cat</b>" not in document
    assert "&lt;b&gt;cat&lt;/b&gt;" in document
    assert "dog & co" in structure.text


def test_writing_twice_gives_the_same_bytes(complete):
    path, _ = complete
    first = (path / "report.html").read_bytes()
    assert write_report(path).read_bytes() == first
    assert [p.name for p in path.glob(".*")] == []


def test_running_statistics_that_have_not_settled_are_said(complete, tmp_path):
    assert "after 15 updates at momentum 0.01, 86 % of the adversarial" in complete[1].text  # 0.99 ** 15
    path = analysed(tmp_path / "run")
    (path / "metrics.jsonl").write_text('{"epoch": 0, "step": 700, "loss": 1.0}\n')
    assert "starting value" not in Structure(write_report(path).read_text()).text


@pytest.mark.parametrize(
    ("absent", "says"),
    [
        ("results.json", "There is no evaluation in this run folder"),
        ("metrics.jsonl", "There are no records of training"),
        ("environment.json", "versions and hardware are not known"),
        ("analysis.json", "was not analysed"),
        ("analysis.npz", "was not analysed"),
    ],
)
def test_what_is_absent_is_said(tmp_path, absent, says):
    path = analysed(tmp_path / "run")
    (path / absent).unlink()
    assert says in Structure(write_report(path).read_text()).text


def test_no_probe_no_second_batch_norm_no_labels(tmp_path):
    path = analysed(tmp_path / "run", dual=False, labels=False)
    records = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
    del records[3]["probe_knn_accuracy"]
    (path / "metrics.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records) + '{"epoch": 4, "lo')
    (path / "results.json").write_text(
        json.dumps({"knn": {"protocol": "knn", "left_out": "the test images of x have no labels"}})
    )
    text = Structure(write_report(path).read_text()).text
    assert "There was no kNN probe" in text
    assert "one batch norm a layer" in text
    assert "Downstream cross-entropy is left out: the images have no labels" in text
    assert "knn was left out: the test images of x have no labels" in text
    assert "Training had no adversary" in text


def test_figures_chosen_on_test_images_say_so(tmp_path):
    path = write_run(tmp_path / "run")
    results = json.loads((path / "results.json").read_text())
    results["logistic"] |= {"selection": "best test epoch", "protocol": "logistic v1, paper (best test epoch)"}
    (path / "results.json").write_text(json.dumps(results))
    assert "chose their epoch on the test images" in Structure(write_report(path).read_text()).text


def test_a_method_without_a_base_is_named_alone(tmp_path):
    path = write_run(tmp_path / "run", replace(CONFIG, method=MethodConfig(name="simclr")))
    assert "<h1>simclr on folder:pets</h1>" in write_report(path).read_text()


def test_bad_folders_are_one_sentence_and_leave_no_report(tmp_path):
    with pytest.raises(ValueError, match="is no run folder: it holds no config"):
        write_report(tmp_path)
    path = write_run(tmp_path / "run")
    (path / "results.json").write_text("{")
    with pytest.raises(ValueError, match=r"results\.json is not valid JSON"):
        write_report(path)
    (path / "results.json").unlink()
    (path / "metrics.jsonl").write_text('{"epoch": 0,\n{"epoch": 1, "loss": 2.0}\n')
    with pytest.raises(ValueError, match="line 1 is not valid JSON"):
        write_report(path)
    assert not (path / "report.html").exists()


def test_a_removal_of_nothing_has_no_precision(tmp_path):
    path = write_run(tmp_path / "run")
    records = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
    for record in records:
        record |= {"removed": record["epoch"], "removal_precision": 1.0, "removal_recall": 0.25}
    (path / "metrics.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    drawing = write_report(path).read_text().partition("Were the removed false?")[2].partition("</svg>")[0]
    marks = re.findall(r"<use [^>]*fill: var\(--(\w+)\)", drawing)
    assert (marks.count("clean"), marks.count("adversarial")) == (3 + 1, 4 + 1)  # precision, recall; one in the legend
