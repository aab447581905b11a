from __future__ import annotations

import re

import pytest

from sparring.reporting import write_report
from sparring.reporting.trust import MARKS, figure_words
from sparring.summary import summarise_robustness
from tests.reporting.document import Structure
from tests.reporting.evaluations import PGD, evaluation, without_figures, write_evaluation


@pytest.fixture(scope="module")
def complete(tmp_path_factory):
    path = write_evaluation(tmp_path_factory.mktemp("trust") / "theirs", without_figures())
    document = write_report(path).read_text()
    return path, document, Structure(document)


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
    path = write_evaluation(tmp_path / "x", without_figures(**{where: said if where == "verdict" else [said]}))
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


def test_the_terminal_says_the_figures_and_what_casts_doubt_on_them(tmp_path, capsys):
    path = write_evaluation(tmp_path / "x", evaluation())
    summarise_robustness(path)
    printed = [line.split(maxsplit=1) for line in capsys.readouterr().out.strip().splitlines()]
    assert dict(map(tuple, printed[:3])) == {
        "subject": "logistic regression on h of <i>clae</i>, adv batch norm (robustness v1)",
        "images": "folder:pets: a seeded draw of 40 of 1,234 test images",
        "clean": "75.0 %, 95 % interval 10.1 to 70.2, n = 40",
    }
    corrupted = "corruptions at severity 1, 5 (missing: frost)"
    assert printed[3:] == [
        ["pgd", f"30.0 %, 95 % interval 10.1 to 70.2, n = 40 ({PGD})"],
        ["autoattack", "22.5 %, 95 % interval 10.1 to 70.2, n = 40 (AutoAttack, Linf, eps 8/255)"],
        ["all", "of them  20.0 %, 95 % interval 10.1 to 70.2, n = 40 (right under every attack)"],
        ["moved", "0.25 times as far as images lie apart, random noise 0 (feature distance: PGD on distance)"],
        ["corruptions", f"50.0 %, mean of 4 {corrupted}, mean error 50.0 %, n = 40"],
        ["verdict", "red: Not to be trusted: <u>Square</u> is stronger."],
        ["failed", "Title of square: Sentence of square."],
        ["doubtful", "Title of logits: Sentence of logits."],
        ["report", str(path / "report.html")],
    ]
    attacks = {"pgd": {"left_out": "nothing was right"}}
    summarise_robustness(write_evaluation(path, without_figures(attacks=attacks, verdict=None, checks=[])))
    assert [line.split()[0] for line in capsys.readouterr().out.strip().splitlines()][3:] == ["pgd", "moved", "report"]
