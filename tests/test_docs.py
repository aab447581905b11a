"""The documentation's Python is run, and what it says of the command line is what the command line says."""

import re
from pathlib import Path

import pytest

from sparring.cli import VERBS, main

ROOT = Path(__file__).parent.parent
BLOCKS = [
    pytest.param(block, id=f"{page}-{number}")
    for page in (
        "README.md",
        "docs/python.md",
        "docs/command-line.md",
        "docs/robustness.md",
        "docs/recipes.md",
        "docs/pretraining.md",
        "docs/data.md",
    )
    for number, block in enumerate(re.findall(r"^```python\n(.*?)^```", (ROOT / page).read_text(), re.M | re.S))
]
TRANSCRIPT = re.findall(r"^\$ sparring (.*)\n(sparring: .*)$", (ROOT / "docs/command-line.md").read_text(), re.M)


@pytest.mark.parametrize("block", BLOCKS)
def test_python_blocks_run(block, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(block, "documentation", "exec"), {"__name__": "documentation"})


@pytest.mark.parametrize(("command", "sentence"), TRANSCRIPT)
def test_errors_shown_are_those_that_are_printed(command, sentence, capsys):
    assert main(command.split()) == 2
    assert capsys.readouterr().err == f"{sentence}\n"


def test_the_documentation_has_what_is_tested_here():
    assert len(BLOCKS) > 5 and len(TRANSCRIPT) > 3


def test_every_command_of_the_documentation_exists():
    for page in (
        "README.md",
        "docs/command-line.md",
        "docs/robustness.md",
        "docs/recipes.md",
        "docs/pretraining.md",
        "docs/cluster.md",
        "docs/data.md",
    ):
        verbs = set(re.findall(r"^sparring (\w+)", (ROOT / page).read_text(), re.M))
        assert verbs and verbs <= VERBS.keys()
