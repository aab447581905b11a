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
from sparring.reporting.figures import Bars, Series, bars, lines
from sparring.reporting.trust import MARKS, figure_words
from sparring.summary import summarise_robustness
from tests.reporting.document import Structure
from tests.reporting.evaluations import EVALUATION, PGD, evaluation, figure, write_evaluation
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
    return Structure(write_report(write_evaluation(path, evaluation(**changes))).read_text()).text


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
    path, document, _ = complete
    assert "<h1>logistic regression on h of &lt;i&gt;clae&lt;/i&gt; on folder:pets</h1>" in document
    assert headings(document) == [*SECTIONS, "Where it was measured"]
    assert "Training" not in headings(document)
    assert "torch: 2.13" in document
    assert write_robustness_report(path).read_text() == document


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


def test_checks_are_marked_by_symbol_and_word_the_gravest_first(complete):
    _, document, structure = complete
    rows = re.findall(r'<li class="(\w+)"><b class="mark"><span aria-hidden="true">(.)</span>([\w ]+)</b>', document)
    assert rows == [(colour, *MARKS[colour]) for colour in ("red", "yellow", "green", "grey")]
    assert len({symbol for symbol, _ in MARKS.values()}) == len(MARKS) == len({word for _, word in MARKS.values()})
    assert "4 checks: 1 failed, 1 doubtful, 1 passed, 1 not checked." in structure.text
    assert re.search(
        r"failed Title of square Sentence of square\. figures .* broken 31 missed not measured", structure.text
    )


def test_the_verdict_stands_above_the_accuracies_too(complete):
    text = complete[2].text
    said = "red verdict Not to be trusted: <u>Square</u> is stronger."
    assert text.count(said) == 2
    assert text.index(said) < text.index("75.0 %")
    assert "<u>" not in complete[1]


@pytest.mark.parametrize("colour", ["blue", None])
@pytest.mark.parametrize("where", ["checks", "verdict"])
def test_an_unknown_colour_is_refused(tmp_path, colour, where):
    said = {"name": "steps", "colour": colour, "sentence": "x", "title": "y"}
    path = write_evaluation(tmp_path / "x", evaluation(**{where: said if where == "verdict" else [said]}))
    with pytest.raises(ValueError, match=f"steps has colour {colour!r}; there are red, yellow, green, grey"):
        write_report(path)
    assert not (path / "report.html").exists()


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0.123456, "0.1235"),
        (1234, "1,234"),
        (True, "yes"),
        (None, "not measured"),
        ([], "none"),
        ([1, 0.5], "1, 0.5"),
        ({"a": 1, "b": "x"}, "a 1, b x"),
    ],
)
def test_figures_in_words(value, words):
    assert figure_words(value) == words


def test_the_threat_model_names_each_norm_with_its_attacks(tmp_path):
    attacks = {"pgd": figure(1) | {"words": PGD}, "pgd-l2": figure(1) | {"words": "PGD, L2, eps 0.5"}}
    text = text_of(tmp_path / "x", attacks=attacks)
    assert "Linf (pgd): no channel of any pixel changes by more than eps." in text
    assert "L2 (pgd-l2): the Euclidean length" in text
    assert "L1 (" not in text


def svg_after(document: str, heading: str) -> str:
    section = document[document.index(f"<h2>{heading}</h2>") :]
    return section[section.index("<svg") : section.index("</svg>")]


def words_in(svg: str) -> list[str]:
    return re.findall(r"<text[^>]*>(.*?)</text>", svg)


def test_curves_have_their_points_chance_and_noise(complete, tmp_path):
    _, document, structure = complete
    radius = words_in(svg_after(document, SECTIONS[3]))
    assert radius[:4] == ["0", "2", "8", "255"]  # 255ths of the four radii
    assert {"eps (Linf, in 255ths)", "attack", "random noise", "chance, 1 in 3"} <= set(radius)
    assert words_in(svg_after(document, SECTIONS[4]))[:3] == ["1", "5", "50"]
    assert f"{PGD}. n = 40 images of folder:pets, adv batch norm; bands are 95 % Wilson intervals." in structure.text
    assert "n = 32 images" in structure.text
    curves = evaluation()["curves"]
    curves["eps"] |= {"norm": "L2", "eps": [0, 0.25, 0.5, 2.0], "noise": None}
    other = write_report(write_evaluation(tmp_path / "l2", evaluation(curves=curves))).read_text()
    assert words_in(svg_after(other, SECTIONS[3]))[:4] == ["0", "0.25", "0.5", "2"]
    assert "random noise" not in words_in(svg_after(other, SECTIONS[3]))


def test_equal_factors_are_equal_distances_and_zero_has_a_place():
    drawing = lines(
        [Series("a", [0, 1, 2, 8], [0.5, 0.5, 0.5, 0.5], "clean")],
        x="x",
        y="y",
        title="t",
        doubling=True,
        level=(0.1, "chance"),
    )
    line = next(d for d, style in paths(drawing) if "var(--clean)" in style)
    x = [float(point) for point in re.findall(r"[ML] ([\d.]+) ", line)]
    steps = np.diff(x)
    assert steps == pytest.approx([steps[0], steps[0], 2 * steps[0]], rel=1e-3)


def paths(svg: str) -> list[tuple[str, str]]:
    return re.findall(r'<path d="([^"]*)"[^>]* style="([^"]*)"', svg, re.DOTALL)


def test_bars_are_as_high_as_their_values_with_whiskers_over_their_intervals():
    series = [
        Bars("clean", [0.8, 0.4, None], "clean", [0.6, 0.3, None], [0.9, 0.5, None], filled=False),
        Bars("attack", [0.4, 0.1, None], "adversarial", [0.3, 0.0, None], [0.5, 0.2, None]),
    ]
    svg = bars(["a", "b", "$c^"], series, y="accuracy", title="t", level=(0.1, "chance"))
    heights = []
    for d, style in paths(svg):
        y = [float(value) for value in re.findall(r"[ML] [-\d.]+ ([-\d.]+)", d)]
        if "var(--clean)" in style and len(y) >= 4 and "clip-path" in svg[svg.index(d) : svg.index(d) + len(d) + 80]:
            heights.append(max(y) - min(y))
    assert heights[:2] == pytest.approx([2 * heights[1], heights[1]], rel=1e-3)
    whiskers = [
        abs(float(b) - float(a))
        for a, b in re.findall(
            r'd="M [\d.]+ ([\d.]+)\s+L [\d.]+ ([\d.]+)\s*" clip-path="[^"]*" style="[^"]*currentColor', svg
        )
    ]
    unit = heights[0] / 0.8
    assert {round(value / unit, 2) for value in whiskers} >= {0.3, 0.2}
    assert {"a", "b", "$c^", "clean", "attack", "chance"} <= set(words_in(svg))


def test_classes_are_shown_with_n_and_empty_ones_said(complete, tmp_path):
    text = complete[2].text
    assert "<b>cat</b> 20 80.0 % 40.0 % 35.0 %" in text
    assert "horse 0 no image no image no image" in text
    assert "<b>cat</b>" not in complete[1]
    assert "autoattack: AutoAttack, Linf, eps 8/255. " in text.replace("in all. ", "")  # the lowest is the one drawn
    many = {"classes": [f"c{i}" for i in range(21)], "n": [1] * 21, "clean": [1.0] * 21, "attacks": {"pgd": [0.0] * 21}}
    document = write_report(write_evaluation(tmp_path / "x", evaluation(per_class=many))).read_text()
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
    assert "was not measured, so there is no relative drop" in text_of(tmp_path / "x", corruptions=official)


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
    entry = evaluation()
    entry["examples"]["clean"].append("horse")
    with pytest.raises(ValueError, match="different numbers of examples"):
        write_report(write_evaluation(tmp_path / "x", entry))


def test_representations_move_by_so_much(complete, tmp_path):
    text = complete[2].text
    assert "feature distance 0.25 2 8 PGD on distance" in text
    assert "Layer h, adv batch norm." in text
    assert "kNN robust: 0.125" in text
    assert "How far representations move" not in text_of(tmp_path / "x", representation=None)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"attacks": {}}, "No attack was run."),
        ({"attacks": {"pgd": {"left_out": "it was <not> asked for"}}}, "pgd was left out: it was <not> asked for."),
        ({"curves": {}}, "Accuracy was not measured at several radii."),
        ({"curves": {}}, "Accuracy was not measured at several numbers of steps."),
        ({"per_class": None}, "Accuracy was not measured per class."),
        ({"corruptions": None}, "Accuracy on corrupted images was not measured."),
        ({"examples": None}, "There are no examples"),
        ({"checks": []}, "No check was made: nothing is known about these figures."),
        ({"verdict": None}, "This evaluation holds no verdict on itself."),
        ({"environment": None}, "robustness.json names no environment"),
    ],
)
def test_what_is_absent_is_said(tmp_path, changes, says):
    assert says in text_of(tmp_path / "x", **changes)


def test_without_arrays_there_are_no_examples(tmp_path):
    path = write_evaluation(tmp_path / "x")
    (path / "robustness.npz").unlink()
    assert "There are no examples (robustness.npz is absent" in Structure(write_report(path).read_text()).text


def test_class_names_of_any_kind_are_text(tmp_path):
    classes = ["$x^", "猫", "<script>"]
    per_class = EVALUATION["per_class"] | {"classes": classes}
    document = write_report(write_evaluation(tmp_path / "x", evaluation(per_class=per_class))).read_text()
    assert {"$x^", "猫", "&lt;script&gt;"} <= set(words_in(svg_after(document, "Per class")))
    assert "script" not in Structure(document).tags


def test_writing_twice_gives_the_same_bytes(complete):
    path, document, _ = complete
    assert write_report(path).read_text() == document
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


def test_the_terminal_says_the_figures_and_what_casts_doubt_on_them(tmp_path, capsys):
    path = write_evaluation(tmp_path / "x")
    summarise_robustness(path)
    printed = [line.split(maxsplit=1) for line in capsys.readouterr().out.strip().splitlines()]
    assert dict(map(tuple, printed[:3])) == {
        "subject": "logistic regression on h of <i>clae</i>, adv batch norm (robustness v1)",
        "images": "folder:pets: a seeded draw of 40 of 1,234 test images",
        "clean": "75.0 %, 95 % interval 10.1 to 70.2, n = 40",
    }
    assert printed[3:] == [
        ["pgd", f"30.0 %, 95 % interval 10.1 to 70.2, n = 40 ({PGD})"],
        ["autoattack", "22.5 %, 95 % interval 10.1 to 70.2, n = 40 (AutoAttack, Linf, eps 8/255)"],
        ["corruptions", "50.0 %, mean of 4 corruptions, 2 severities each, mean error 50.0 %, n = 40"],
        ["verdict", "red: Not to be trusted: <u>Square</u> is stronger."],
        ["failed", "Title of square: Sentence of square."],
        ["doubtful", "Title of logits: Sentence of logits."],
        ["report", str(path / "report.html")],
    ]
    attacks = {"pgd": {"left_out": "nothing was right"}}
    summarise_robustness(write_evaluation(path, evaluation(attacks=attacks, corruptions=None, verdict=None, checks=[])))
    assert [line.split()[0] for line in capsys.readouterr().out.strip().splitlines()][3:] == ["pgd", "report"]
