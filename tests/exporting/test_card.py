"""The model card says what the run's files say, of this checkpoint and this batch norm, and nothing else."""

import json

import pytest

import sparring
from sparring.exporting.card import method_words
from sparring.listing import methods
from tests.exporting.tiny import make_run, write_figures


def card(run, out, **options):
    return (sparring.export(run, out, **options) / "README.md").read_text()


def test_what_is_not_measured_is_said(tmp_path):
    text = card(make_run(tmp_path / "run"), tmp_path / "out")
    assert "Not measured at epoch-0002 with the clean batch norm." in text
    assert "Not measured: nothing is known of its robustness to attacks." in text
    assert "Corruptions: not measured." in text and "Transfer to other data sets: not measured." in text
    assert "Data: unknown: it was not given" in text and " %" not in text.replace("95 %", "")


def test_figures_with_n_interval_attack_and_trust(tmp_path):
    run = make_run(tmp_path / "cell" / "run")
    write_figures(run)
    text = card(run, tmp_path / "out")
    assert "| knn v1 | synthetic | not said | 43.2 % | 31.0 to 55.0 % (95 %) | 41 | 60 |" in text
    assert "| PGD, Linf, eps 8/255, 20 steps | 9.9 % | 1.0 to 22.0 % (95 %) | 37 |" in text
    assert "Trust checks: red (do not believe them); 0 of 1 are green. The numbers cannot be believed." in text
    assert "- More steps never help: red" in text and "a seeded draw of 37 of 40" in text
    assert "Chen et al. 2020" in text and "Two views of an image".lower() in text.lower() and "16 x 16" in text
    assert str(tmp_path) not in text and "epoch-0002 of cell" in text


def test_without_checks_that_is_said(tmp_path):
    run = make_run(tmp_path / "run")
    write_figures(run)
    read = json.loads((run / "robustness.json").read_text())
    (run / "robustness.json").write_text(json.dumps(read | {"checks": [], "verdict": None}))
    assert "Trust checks: not run" in card(run, tmp_path / "out")


def test_figures_of_the_other_batch_norm_or_checkpoint_are_left_out_and_counted(tmp_path):
    run = make_run(tmp_path / "run", "clae")
    write_figures(run, domain="clean")
    clean, adv = card(run, tmp_path / "a"), card(run, tmp_path / "b", domain="adv")
    assert "43.2 %" in clean and "9.9 %" in clean
    assert (
        "43.2 %" not in adv and "9.9 %" not in adv and "3 figures of the run belong to another" in adv
    )  # kNN; clean and PGD, FGSM being left out
    assert "The run has a second batch norm, clean, which is not here" in adv
    results = (run / "results.json").read_text().replace("epoch-0002", "epoch-0001")
    (run / "results.json").write_text(results)
    assert "43.2 %" not in card(run, tmp_path / "c")
    robust = json.loads((run / "robustness.json").read_text())
    attack = robust["attacks"]["pgd"]
    more = {"attacks": {name: attack for name in ("pgd", "autoattack", "square")}, "worst_case": robust["clean"]}
    more |= {"representation": {"attacks": {"feature distance": {"words": "PGD", "ratio": 2.0}}}}
    (run / "robustness.json").write_text(json.dumps(robust | more))
    sets = {"flowers": {"accuracy": 0.5}, "cars": {"accuracy": 0.4}}
    transfer = {"schema": 1, "label": "transfer v1", "protocol": {}, "image_size": 16}
    transfer |= {"subject": robust["subject"], "sets": sets}
    (run / "transfer.json").write_text(json.dumps(transfer))
    assert "9 figures of the run belong to another" in card(
        run, tmp_path / "d", domain="adv"
    )  # 1 + (1 + 3 + 1 + 1) + 2


def test_several_gpus_are_counted(tmp_path):
    run = make_run(tmp_path / "run")
    environment = json.loads((run / "environment.json").read_text())
    (run / "environment.json").write_text(json.dumps(environment | {"gpus": ["NVIDIA H200"] * 8}))
    assert "| hardware | 8 x NVIDIA H200, " in card(run, tmp_path / "out")


def test_of_the_same_protocol_the_newest_and_of_others_all(tmp_path):
    run = make_run(tmp_path / "run")
    write_figures(run)
    entry = json.loads((run / "results.json").read_text())["knn"]
    for number, accuracy in ((1, 0.111), (2, 0.222)):
        old = {"knn": entry | {"accuracy": accuracy}, "aff": entry | {"protocol": "aff v1", "accuracy": accuracy / 2}}
        (run / f"results-{number}.json").write_text(json.dumps(old))
    text = card(run, tmp_path / "out")
    assert "43.2 %" in text and "22.2 %" not in text and "| aff v1 | synthetic | not said | 11.1 %" in text
    assert "aff v1: of a finetuned copy of the encoder" in text and "knn v1: of a finetuned" not in text


def test_the_adversary_of_training_is_named(tmp_path):
    text = card(make_run(tmp_path / "run", "clae"), tmp_path / "out")
    assert "adversary in training | FGSM, Linf" in text and "over `simclr`" in text


@pytest.mark.parametrize("name", methods())
def test_every_method_has_a_sentence_and_a_paper(name):
    line, paper = method_words(name)
    assert line.endswith(".") and len(paper) > 10 and "no paper is named" not in paper and "Code:" not in paper
