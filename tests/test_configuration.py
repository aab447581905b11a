"""Values from flags and YAML: what is read exactly, what is refused and in which words, and the way back."""

import dataclasses
import re
from pathlib import Path

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparring import configuration, methods
from sparring.cli_evaluate import settings_of, settings_of_a_transfer, settings_of_weights
from sparring.config import NO_FIGURE, ROOTS, AttackConfig, MethodConfig, RunConfig
from sparring.flags import key_of, read_words, short_names

ROOT = Path(__file__).parent.parent
OPTIONS = {"config": True, "print-config": False, "help": False}
EVALUATE = {"protocol", "protocol-version"}


def flags(line: str) -> dict:
    return read_words(line.split(), OPTIONS).settings


def from_yaml(tmp_path: Path, text: str) -> dict:
    (tmp_path / "c.yaml").write_text(text)
    return configuration.read_yaml(tmp_path / "c.yaml")


def test_every_setting_has_a_meaning_and_says_what_it_takes():
    fields = configuration.fields()
    assert {"attack.eps", "method.name", "out"} <= fields.keys()
    assert not [
        field.key for field in fields.values() if not field.meaning or "\n" in field.meaning or not field.allowed
    ]


def test_settings_that_change_no_figure_are_settings_and_those_of_the_data_may_be_given_to_evaluate():
    free = {*NO_FIGURE, *ROOTS}
    assert free < configuration.fields().keys()
    asked = settings_of(False).keys() & configuration.fields().keys()
    assert {key for key in free if key.startswith("data.")} == {key for key in asked if key.startswith("data.")}


@given(st.integers(1, 10_000), st.integers(1, 10_000))
def test_a_fraction_is_the_nearest_float(numerator, denominator):
    assert configuration.radius(f"{numerator}/{denominator}") == numerator / denominator


@pytest.mark.parametrize(
    ("line", "key", "value"),
    [
        ("--eps 8/255", "attack.eps", 8 / 255),
        ("--attack.eps=1e-3", "attack.eps", 0.001),
        ("--lr 1e-3", "optimizer.lr", 0.001),
        ("--lr 1", "optimizer.lr", 1.0),
        ("--data cifar10", "data.name", "cifar10"),
        ("--method uel", "method.name", "uel"),
        ("--batch-size 64", "training.batch_size", 64),
        ("--factors 0.1 0.01", "optimizer.factors", [0.1, 0.01]),
        ("--milestones 1,2", "optimizer.milestones", [1, 2]),
        ("--milestones [1,2]", "optimizer.milestones", [1, 2]),
        ("--attack_eps 0,2/255", "evaluation.attack_eps", [0.0, 2 / 255]),
        ("--overwrite", "overwrite", True),
        ("--progress false", "training.progress", False),
        ("--root 123", "data.root", "123"),
        ("--hidden null", "encoder.hidden", None),
    ],
)
def test_flags_are_read(line, key, value):
    read = flags(line)
    assert read == {key: value} and type(read[key]) is type(value)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("--epps 1", "--epps is no option; did you mean --eps?"),
        ("--attack.epps 1", "--attack.epps is no option; did you mean --attack.eps?"),
        ("--print-confg", "--print-confg is no option; did you mean --print-config?"),
        ("--qqqqq 1", "--qqqqq is no option"),
        ("-e 1", "-e is no option; options begin with two dashes"),
        ("--eps big", "attack.eps must be a number or a fraction such as 8/255, not 'big'"),
        ("--eps 1/0", "attack.eps must be a number or a fraction such as 8/255, not '1/0'"),
        ("--eps nan", "attack.eps must be a number or a fraction such as 8/255, not 'nan'"),
        ("--eps", "--eps needs a value"),
        ("--eps --seed 1", "--eps needs a value"),
        ("--norm l7", "attack.norm must be one of linf, l2, l1, not 'l7'"),
        ("--epochs 2.5", "training.epochs must be a whole number, not '2.5'"),
        ("--lr inf", "optimizer.lr must be a number, not 'inf'"),
        ("--compile=maybe", "training.compile must be true or false, not 'maybe'"),
        ("--mean 0.5,a", "encoder.mean must be a list in which each is a number, not '0.5,a'"),
        ("--help=3", "--help takes no value, not '3'"),
    ],
)
def test_wrong_flags_are_refused_in_one_sentence(line, sentence):
    with pytest.raises(ValueError) as error:
        flags(line)
    assert str(error.value) == sentence


def test_an_ambiguous_short_name_lists_what_it_may_mean():
    ambiguous = {name for name, keys in short_names(configuration.fields()).items() if len(keys) > 1}
    assert ambiguous == {"name"}
    with pytest.raises(ValueError, match=r"--name is ambiguous: it may mean --method\.name or --attack\.name or"):
        flags("--name x")


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        ("attack: {eps: 8/255}", {"attack.eps": 8 / 255}),
        ("optimizer: {lr: 1e-3}", {"optimizer.lr": 0.001}),  # PyYAML reads 1e-3 as text
        ("evaluation: {attack_eps: [0, 2/255]}", {"evaluation.attack_eps": [0.0, 2 / 255]}),
        ("out: runs/a\nattack:\n", {"out": "runs/a"}),
        ("", {}),
    ],
)
def test_yaml_is_read(tmp_path, text, settings):
    assert from_yaml(tmp_path, text) == settings


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("attack: {epss: 1}", "{file} has an unknown setting, attack.epss; did you mean attack.eps?"),
        ("atack: {eps: 1}", "{file} has an unknown setting, atack; did you mean attack?"),
        ("eps: 1", "{file} has an unknown setting, eps; did you mean attack.eps?"),
        ("1: 2", "{file} has an unknown setting, 1"),
        ("data: cifar10", "data must be a group of settings (key: value), not 'cifar10' (in {file})"),
        ("training: {epochs: 2.5}", "training.epochs must be a whole number, not 2.5 (in {file})"),
        ("training: {seed: null}", "training.seed must be a whole number, not empty (in {file})"),
        ("optimizer: {lr: true}", "optimizer.lr must be a number, not true (in {file})"),
        ("attack: {eps: .nan}", "attack.eps must be a number or a fraction such as 8/255, not nan (in {file})"),
        ("data: {root: 3}", "data.root must be text, not 3 (in {file})"),
        ("- 1", "{file} must hold settings such as `method: {{name: clae}}`, not [1]"),
        ("a: [", "{file}, line 1 is not valid YAML: expected the node content, but found '<stream end>'"),
    ],
)
def test_wrong_yaml_is_refused_in_one_sentence_with_the_file(tmp_path, text, sentence):
    with pytest.raises(ValueError) as error:
        from_yaml(tmp_path, text)
    assert str(error.value) == sentence.format(file=tmp_path / "c.yaml")


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"--config is .*nope\.yaml, but there is no such file"):
        configuration.read_yaml(tmp_path / "nope.yaml")
    with pytest.raises(ValueError, match="which is a folder; name its YAML file"):
        configuration.read_yaml(tmp_path)
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match=r"binary\.yaml"):
        configuration.read_yaml(tmp_path / "binary.yaml")


@hypothesis.settings(max_examples=30, deadline=None)
@given(
    eps=st.floats(1e-12, 1e3), lr=st.floats(1e-9, 10), factors=st.lists(st.floats(1e-6, 1)), out=st.text("ab1 :#'\"é/")
)
def test_yaml_brings_back_exactly_what_was_written(tmp_path_factory, eps, lr, factors, out):
    made = RunConfig(attack=AttackConfig(eps=eps, norm="l2", clip=False), out=out)
    made.optimizer.lr, made.optimizer.factors = lr, factors
    file = tmp_path_factory.mktemp("yaml") / "config.yaml"
    file.write_text(configuration.to_yaml(made), encoding="utf-8")
    assert configuration.build(configuration.read_yaml(file)) == made


def test_every_option_of_every_method_is_a_setting():
    ours = {field.name for field in dataclasses.fields(MethodConfig)}
    classes = [cls for name in methods.__all__ if dataclasses.is_dataclass(cls := getattr(methods, name))]
    assert len(classes) > 5
    for cls in classes:
        if cls is not methods.Settings:
            assert {field.name for field in dataclasses.fields(cls)} - {"attack"} <= ours, cls


@pytest.mark.parametrize("page", ["README.md", "docs/command-line.md", "docs/python.md", "docs/robustness.md"])
def test_flags_in_the_documentation_exist_and_mean_one_thing(page):
    blocks = "".join(re.findall(r"^```bash\n(.*?)^```", (ROOT / page).read_text(), re.M | re.S))
    commands = re.findall(r"sparring (train|evaluate) ([^\n#]*)", blocks)
    assert commands or page == "docs/python.md"
    for verb, words in commands:
        known = settings_of("python:" in words) if verb == "evaluate" else None
        known = settings_of_a_transfer() if "--transfer" in words else known
        known = settings_of_weights() if "weights:" in words else known
        for flag in re.findall(r"--([A-Za-z][\w.-]*)", words):
            assert flag in {*OPTIONS, *EVALUATE} or key_of(flag, known=known), words
