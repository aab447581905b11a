"""Flags that need no value, of every verb: a stray word after one is refused by its name, a run after one is read."""

import pytest

from sparring import cli, cli_analyze, cli_compare, cli_evaluate, cli_export, cli_reproduce, configuration
from sparring.cli import main
from sparring.flags import RUN, read_words

TRANSFER = ["evaluate", "run", "--transfer", "pets"]
WEIGHTS = ["evaluate", "weights:file", "--data", "digits"]
VERBS = [
    (["train"], cli.DEBUG | {"print-config": False}, configuration.fields(), "METHOD"),
    (["evaluate", "run"], cli_evaluate.OPTIONS, cli_evaluate.settings_of(False), "RUN"),
    (["evaluate", "python:m.f"], cli_evaluate.OPTIONS, cli_evaluate.settings_of(True), "RUN"),
    (WEIGHTS, cli_evaluate.OPTIONS, cli_evaluate.settings_of_weights(), "RUN"),
    (TRANSFER, cli_evaluate.OPTIONS, cli_evaluate.settings_of_a_transfer(), "RUN"),
    (["analyze", "run"], cli_analyze.OPTIONS, cli_analyze.settings_of(), "RUN"),
    (["report"], cli.DEBUG, {}, "FOLDER"),
    (["compare", "run"], cli_compare.OPTIONS, {}, "RUN"),
    (["reproduce", "ascl.table2"], cli_reproduce.OPTIONS, {}, "NAME"),
    (["leaderboard"], cli_compare.OPTIONS, {}, "folder of RESULTS"),
    (["export", "run"], cli_export.OPTIONS, {}, "RUN"),
    (["list"], cli.DEBUG, {}, "KIND"),
]
MISTAKES = [
    (words, name, "no value", noun)
    for words, options, _, noun in VERBS
    for name, takes in options.items()
    if not takes and name != "help"
] + [
    (words, key, "true, false or no value", noun)
    for words, _, known, noun in VERBS
    for key, field in known.items()
    if field.plain_type is bool
]


def test_every_verb_with_words_and_all_its_kinds_of_flags_are_among_them():
    assert {words[0] for words, *_ in VERBS} == cli.VERBS.keys() - {"doctor"}  # which takes no words, and says so
    assert {"onnx", "download", "print-config", "robustness.trust", "latent.epochs"} <= {
        name for _, name, *_ in MISTAKES
    }


@pytest.mark.parametrize(("words", "name", "takes", "noun"), MISTAKES)
def test_a_stray_word_after_a_flag_is_no_run(words, name, takes, noun, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main([*words, f"--{name}", "perhaps"]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said == f"sparring: error: --{name} takes {takes}, and 'perhaps' after it is no {noun}"
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("flag", ["--trust", "--debug"])
def test_a_run_after_such_a_flag_is_the_run(flag, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    known = cli_evaluate.settings_of(False)
    for run in ("mine", "runs/typo", "weights:file"):
        read = read_words([flag, run], cli_evaluate.OPTIONS, known, RUN)
        assert read.positional == [run] and (read.settings or read.options) in (
            {"robustness.trust": True},
            {"debug": []},
        )
    assert read_words(["--trust", "no", "mine"], {}, known, RUN).settings == {"robustness.trust": False}


def test_a_name_after_such_a_flag_is_the_name_and_a_nearly_right_one_is_told_the_right_one(capsys):
    assert main(["train", "--print-config", "simclr"]) == 0 and "name: simclr" in capsys.readouterr().out
    assert main(["train", "--print-config", "simcl"]) == 2 and "did you mean 'simclr'?" in capsys.readouterr().err
    assert main(["reproduce", "--download", "list"]) == 0
    assert (
        main(["reproduce", "--summary", "ascl.tabel2"]) == 2 and "did you mean ascl.table2" in capsys.readouterr().err
    )
    assert main(["list", "--debug", "methods"]) == 0
    assert main(["doctor", "--debug", "perhaps"]) == 2 and "doctor takes no words" in capsys.readouterr().err


def test_help_is_given_whatever_follows_it(capsys):
    assert main(["train", "--help", "perhaps"]) == 0 and "usage: sparring train" in capsys.readouterr().out
