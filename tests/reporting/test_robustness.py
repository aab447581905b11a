from __future__ import annotations

import base64
import io
import json
import re

import numpy as np
import pytest
from PIL import Image

from sparring.reporting import write_report, write_robustness_report
from sparring.reporting.corrupted import families
from sparring.summary import summarise_robustness
from tests.reporting.document import Structure, words_in
from tests.reporting.evaluations import EVALUATION, PGD, evaluation, figure, without_figures, write_evaluation
from tests.reporting.runs import write_run

SECTIONS = [
    "Robustness",
    "Can these numbers be trusted?",
    "The threat model in words",
    "Accuracy against the radius",
    "Accuracy against the number of steps",
    "Per class",
    "Corruptions",
    "Examples with their predictions",
    "How far representations move",
]


@pytest.fixture(scope="module")
def complete(tmp_path_factory):
    path = write_evaluation(tmp_path_factory.mktemp("robustness") / "theirs")
    document = write_report(path).read_text()
    return path, document, Structure(document)


def text_of(path, **changes) -> str:
    return Structure(write_report(write_evaluation(path, without_figures(**changes))).read_text()).text


def headings(document: str) -> list[str]:
    return re.findall("<h2>(.*?)</h2>", document)


def test_is_one_wellformed_file_that_needs_nothing_else(complete):
    path, document, structure = complete
    assert structure.open == []
    assert all(address.startswith(("data:image/png;base64,", "#")) for address in structure.addresses)
    assert "script" not in structure.tags and "link" not in structure.tags
    assert re.findall(r"url\((?!#)", document) == []
    assert str(path) not in document
    assert structure.tags.count("svg") == 2 + 1 + 4  # curves, classes, four families of corruptions
    assert len(set(structure.ids)) == len(structure.ids)
    assert {address[1:] for address in structure.addresses if address.startswith("#")} <= set(structure.ids)


def test_a_foreign_model_has_a_report_of_its_own(complete):
    _, document, _ = complete
    assert "<h1>logistic regression on h of &lt;i&gt;clae&lt;/i&gt; on folder:pets</h1>" in document
    assert headings(document) == [*SECTIONS, "Where it was measured"]
    assert "Training" not in headings(document)
    assert "torch: 2.13" in document


def test_a_run_shows_its_robustness_beside_its_training(tmp_path):
    path = write_run(tmp_path / "run")
    assert "Robustness was not evaluated (robustness.json is absent)" in Structure(write_report(path).read_text()).text
    write_evaluation(path)
    document = write_report(path).read_text()
    assert headings(document)[:3] == ["Results", *SECTIONS[:2]]
    assert "Training" in headings(document)
    assert "torch: 2.13" in document and "torch: 2.11" in document  # where it was evaluated, and where trained
    ids = Structure(document).ids
    assert len(set(ids)) == len(ids)


def test_earlier_evaluations_are_there_too(tmp_path):
    path = write_evaluation(tmp_path / "theirs")
    newest = json.loads((path / "robustness.json").read_text())
    earlier = newest | {"label": "robustness v0", "attacks": {"fgsm": figure(7, 20) | {"words": "FGSM, as before"}}}
    assert "Earlier evaluations" not in headings(write_report(path).read_text())
    (path / "robustness-1.json").write_text(json.dumps(earlier))
    document = write_report(path).read_text()
    assert headings(document)[len(SECTIONS) - 1] == "Earlier evaluations"
    after = document.partition("<h2>Earlier evaluations</h2>")[2]
    [fgsm] = re.findall(r"<tr><td>fgsm</td>(.*?)</tr>", after)
    assert "35.0 %" in fgsm and "7 / 20" in fgsm and "FGSM, as before" in fgsm and "robustness v0" in fgsm
    assert "<tr><td>clean</td>" in after


def test_every_accuracy_has_interval_n_seconds_and_threat_model(complete):
    text = complete[2].text
    assert "clean 75.0 % 10.1 to 70.2 % 30 / 40 no attack" in text
    assert f"pgd 30.0 % 10.1 to 70.2 % 12 / 40 1,234.6 {PGD}" in text
    assert "autoattack 22.5 % 10.1 to 70.2 % 9 / 40 0.2 AutoAttack, Linf, eps 8/255" in text
    assert "all of them 20.0 % 10.1 to 70.2 % 8 / 40 right under every attack" in text
    assert "apgd-ce broke 17, apgd-t broke 4, fab-t broke 0, square broke 0 images; 9 held" in text


def test_subject_batch_norm_data_and_protocol_are_said(complete, tmp_path):
    text = complete[2].text
    for words in (
        "classifier logistic regression on h of <i>clae</i>",
        "measured with adv batch norm",
        "checkpoint epoch-0020",
        "images folder:pets: a seeded draw of 40 of 1,234 test images",
        "seed 7",
        "protocol robustness v1",
        "eps: 0.03137 restarts: 1 attack: pgd, autoattack",
        "protocol: logistic v1 n_train: 60",
    ):
        assert words in text
    module = {"words": "somebody's net", "classifier": "module", "domain": None, "classes": 3}
    assert "batch norm as the module has it (no domain to choose)" in text_of(tmp_path / "module", subject=module)


def test_the_threat_model_names_each_norm_with_its_attacks(tmp_path):
    attacks = {"pgd": figure(1) | {"words": PGD}, "pgd-l2": figure(1) | {"words": "PGD, L2, eps 0.5"}}
    text = text_of(tmp_path / "x", attacks=attacks)
    assert "Linf (pgd): no channel of any pixel changes by more than eps." in text
    assert "L2 (pgd-l2): the Euclidean length" in text
    assert "L1 (" not in text


def svg_after(document: str, heading: str) -> str:
    section = document[document.index(f"<h2>{heading}</h2>") :]
    return section[section.index("<svg") : section.index("</svg>")]


def test_the_level_of_chance_lies_at_one_over_the_number_of_classes(complete):
    svg = svg_after(complete[1], SECTIONS[3])
    drawn = re.findall(r'<path d="(M [^z"]*)" clip-path="[^"]*" style="([^"]*)"', svg)
    curve = next(d for d, style in drawn if "var(--adversarial)" in style)
    chance = next(d for d, style in drawn if "currentColor" in style and "stroke-dasharray: 1,3" in style)
    top, *_, bottom = [float(y) for y in re.findall(r"[ML] [\d.]+ ([\d.]+)", curve)]  # accuracies 0.75 and 0
    level = float(re.findall(r"[ML] [\d.]+ ([\d.]+)", chance)[0])
    assert 0.75 * (bottom - level) / (bottom - top) == pytest.approx(1 / 3, abs=1e-3)


def test_curves_have_their_points_chance_and_noise(complete, tmp_path):
    _, document, structure = complete
    radius = words_in(svg_after(document, SECTIONS[3]))
    assert radius[:4] == ["0", "2", "8", "255"]  # 255ths of the four radii
    assert {"eps (Linf, in 255ths)", "attack", "random noise", "chance, 33.33 %"} <= set(radius)
    assert words_in(svg_after(document, SECTIONS[4]))[:3] == ["1", "5", "50"]
    assert f"{PGD}. n = 40 images of folder:pets, adv batch norm; bands are 95 % Wilson intervals." in structure.text
    assert "n = 32 images" in structure.text
    curves = evaluation()["curves"]
    del curves["steps"]
    curves["eps"] |= {"norm": "L2", "eps": [0, 0.25, 0.5, 2.0], "noise": None}
    other = write_report(write_evaluation(tmp_path / "l2", without_figures(curves=curves))).read_text()
    assert words_in(svg_after(other, SECTIONS[3]))[:4] == ["0", "0.25", "0.5", "2"]
    assert "random noise" not in words_in(svg_after(other, SECTIONS[3]))


def test_classes_are_shown_with_n_and_empty_ones_said(complete, tmp_path):
    text = complete[2].text
    assert "<b>cat</b> 20 80.0 % 40.0 % 35.0 %" in text
    assert "horse 0 no image no image no image" in text
    assert "<b>cat</b>" not in complete[1]
    assert "autoattack: AutoAttack, Linf, eps 8/255. " in text.replace("in all. ", "")  # the lowest is the one drawn
    many = {"classes": [f"c{i}" for i in range(21)], "n": [1] * 21, "clean": [1.0] * 21, "attacks": {"pgd": [0.0] * 21}}
    document = write_report(write_evaluation(tmp_path / "x", without_figures(per_class=many))).read_text()
    assert "All 21 classes" in document
    assert "Accuracy per class" not in document
    assert "c20 1 100.0 % 0.0 %" in Structure(document).text


def test_corruptions_stand_by_family_and_severity(complete, tmp_path):
    _, document, structure = complete
    assert families(EVALUATION["corruptions"]["accuracy"]) == {
        "Noise": ["gaussian_noise"],
        "Blur": ["zoom_blur"],
        "Weather": ["snow"],
        "Other": ["spatter"],
    }
    assert re.findall('aria-label="Corruptions: (.*?)"', document) == ["noise", "blur", "weather", "other"]
    assert {"severity 1", "severity 5", "clean", "gaussian noise"} <= set(words_in(svg_after(document, "Corruptions")))
    text = structure.text
    assert "gaussian noise 45.0 % 70.0 % 20.0 %" in text
    assert "mean of all 50.0 % 62.5 % 37.5 %" in text
    assert "at severities 1, 5: 50.0 %, a mean error of 50.0 %" in text
    assert "on the same images: 75.0 %; relative drop, (clean - mean) / clean: 33.3 %." in text
    assert "Not measured: frost." in text
    assert "n = 40 images of folder:pets for each bar, adv batch norm" in text
    official = evaluation()["corruptions"] | {"clean_accuracy": None, "relative_drop": None}
    official |= {"mce": 0.816, "relative_mce": None}
    text = text_of(tmp_path / "x", corruptions=official)
    assert "was not measured, so there is no relative drop" in text
    assert "mean corruption error (mCE) 81.6 %." in text


def test_examples_say_what_was_predicted_and_who_was_fooled(complete):
    path, _, structure = complete
    assert "outcome fooled wrong before still right" in structure.text
    assert "true class <b>cat</b> dog & co horse predicted, clean <b>cat</b> horse horse" in structure.text
    assert "1 of 3 fooled." in structure.text
    pictures = [address.partition(",")[2] for address in structure.addresses if address.startswith("data:")]
    assert len(pictures) == 9
    with np.load(path / "robustness.npz") as arrays:
        for code, image in zip(pictures, [*arrays["original"], *arrays["adversarial"]], strict=False):
            shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(code)))).transpose(2, 0, 1)
            assert np.abs(shown / 255 - image).max() <= 0.5 / 255 + 1e-6
    assert "amplified 15.9 times" in structure.text and "8.0/255" in structure.text


def test_examples_of_another_evaluation_are_refused(tmp_path):
    entry = without_figures()
    entry["examples"]["clean"].append("horse")
    with pytest.raises(ValueError, match="different numbers of examples"):
        write_report(write_evaluation(tmp_path / "x", entry))


def test_representations_move_by_so_much(complete, tmp_path):
    text = complete[2].text
    assert "feature distance 0.25 not measured 2 8 0.3 12.5 % feature distance: PGD on distance." in text
    assert "Layer h, adv batch norm, n = 40 images." in text
    assert "How far representations move" not in text_of(tmp_path / "x", representation=None)


def test_what_is_absent_is_said(tmp_path):
    absent = {"attacks": {}, "worst_case": None, "examples": None, "checks": [], "verdict": None, "environment": None}
    path = write_evaluation(tmp_path / "x", without_figures(**absent))
    document = write_report(path).read_text()
    text = Structure(document).text
    for says in (
        "No attack was run.",
        "there is no threat model",
        "Accuracy was not measured at several radii.",
        "Accuracy was not measured at several numbers of steps.",
        "Accuracy was not measured per class.",
        "Accuracy on corrupted images was not measured.",
        "There are no examples",
        "No check was made: nothing is known about these figures.",
        "This evaluation holds no verdict on itself.",
        "robustness.json names no environment",
    ):
        assert says in text
    assert "<svg" not in document


def test_an_attack_that_was_left_out_says_why(tmp_path):
    text = text_of(tmp_path / "x", attacks={"pgd": {"left_out": "it was <not> asked for"}})
    assert "pgd was left out: it was <not> asked for." in text


def test_without_arrays_there_are_no_examples(tmp_path):
    path = write_evaluation(tmp_path / "x", without_figures())
    (path / "robustness.npz").unlink()
    assert "There are no examples (robustness.npz is absent" in Structure(write_report(path).read_text()).text


def test_class_names_of_any_kind_are_text(tmp_path):
    classes = ["$x^", "猫", "<script>"]
    per_class = EVALUATION["per_class"] | {"classes": classes}
    document = write_report(write_evaluation(tmp_path / "x", without_figures(per_class=per_class))).read_text()
    assert {"$x^", "猫", "&lt;script&gt;"} <= set(words_in(svg_after(document, "Per class")))
    assert "script" not in Structure(document).tags


def test_writing_twice_gives_the_same_bytes(complete):
    path, document, _ = complete
    assert write_robustness_report(path).read_text() == document
    assert sorted(file.name for file in path.iterdir()) == ["report.html", "robustness.json", "robustness.npz"]


@pytest.mark.parametrize(
    ("file", "content", "says"),
    [
        ("robustness.json", "{", r"robustness\.json is not valid JSON"),
        ("robustness.json", "[]", r"robustness\.json must hold a JSON object, not a list"),
        (
            "robustness.json",
            '{"schema": 1, "data": {}}',
            "no robustness evaluation: it lacks protocol, label, subject, clean",
        ),
        ("robustness.json", json.dumps(evaluation(schema=2)), "has schema 2; this version reads schema 1"),
        ("robustness.npz", "PK but no archive", r"robustness\.npz cannot be read as arrays"),
    ],
)
def test_bad_files_are_one_sentence_and_leave_no_report(tmp_path, file, content, says):
    path = write_evaluation(tmp_path / "x")
    (path / file).write_text(content)
    with pytest.raises(ValueError, match=says):
        write_report(path)
    assert not (path / "report.html").exists()


def test_a_run_without_an_evaluation_has_nothing_to_report_or_sum_up(tmp_path):
    path = write_run(tmp_path / "run")
    for function in (write_robustness_report, summarise_robustness):
        with pytest.raises(ValueError, match=r"holds no robustness\.json: there is no evaluation to"):
            function(path)
