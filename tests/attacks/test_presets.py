"""The papers' attacks by name: each number once more, typed from the papers and not from the table."""

import pytest

from sparring.attacks import FGSM, L1, L2, PGD, PRESETS, Linf, MultiTargeted, Untargeted, describe, preset
from sparring.attacks.presets import TABLE

STATED = {
    "ascl-pgd": (Linf, 8 / 255, 250, 2 / 255),
    "ascl-mpgd": (Linf, 8 / 255, 250, 2 / 255),
    "ascl-pgd-cifar100": (Linf, 0.01, 250, 0.001),
    "ascl-mpgd-cifar100": (Linf, 0.01, 250, 0.001),
    "ascl-training": (Linf, 8 / 255, 10, 2 / 255),
    "ascl-training-cifar100": (Linf, 0.01, 10, 0.001),
    "rocl-pgd-8": (Linf, 0.0314, 20, 0.00314),
    "rocl-pgd-16": (Linf, 0.0627, 20, 0.00627),
    "csl-imagenet-pgd-0.25": (Linf, 0.25 / 255, 40, None),
    "csl-imagenet-pgd-1": (Linf, 1 / 255, 40, None),
    "csl-imagenet-pgd-l2-0.5": (L2, 0.5, 10, None),
    "csl-video-pgd-1": (Linf, 1 / 255, 4, None),
    "csl-video-pgd-2": (Linf, 2 / 255, 4, None),
    "csl-cifar-pgd-l2-0.1": (L2, 0.1, None, None),
    "csl-cifar-pgd-l2-0.25": (L2, 0.25, None, None),
    "csl-cifar-pgd-l1-8": (L1, 8, None, None),
    "csl-cifar-pgd4-1": (Linf, 1 / 255, 4, None),
    "csl-cifar-pgd4-4": (Linf, 4 / 255, 4, None),
    "csl-robust-pgd-8": (Linf, 8 / 255, None, None),
    "csl-robust-pgd-16": (Linf, 16 / 255, None, None),
    "csl-robust-pgd-l2-0.25": (L2, 0.25, None, None),
    "csl-robust-pgd-l1-12": (L1, 12, None, None),
}
"""Norm, eps, steps and step size of every PGD; None where the paper is silent."""

FGSM_LEVELS = {"csl-imagenet": [0.25, 0.5, 1], "csl-video": [1, 2, 4], "csl-cifar": [8, 16]}


@pytest.mark.parametrize("name", STATED)
def test_pgd_has_the_papers_numbers(name):
    norm, eps, steps, step_size = STATED[name]
    attack = preset(name).attack
    assert isinstance(attack, PGD)
    assert type(attack.threat) is norm
    assert attack.threat.eps == pytest.approx(eps)
    assert attack.threat.clip
    assert attack.threat.space == "pixel"
    assert attack.random_start
    if steps is not None:
        assert attack.steps == steps
    if step_size is not None:
        assert attack.step_lengths == pytest.approx([step_size] * steps)
    silent = ["steps"] * (steps is None) + ["step size"] * (step_size is None)
    assert ("unstated: " in PRESETS[name]) == (bool(silent) or "mpgd" in name)
    assert all(what in PRESETS[name].split("unstated: ")[1].split(";")[0] for what in silent)


def test_what_is_unstated_is_what_the_line_says():
    """eps/30 and eps/40 are foolbox's defaults, eps/10 RoCL's, 2.5 eps/steps Madry's; a PGD can cross its ball."""
    for name, entry in TABLE.items():
        attack = entry.attack.attack
        of_eps = attack.step_lengths[0] / attack.threat.eps
        for words, expected in (("eps/30", 1 / 30), ("50 of eps/40", 1 / 40), ("20 of eps/10", 1 / 10)):
            if words in entry.unstated:
                assert of_eps == pytest.approx(expected), name
                assert words.split(" of ")[0] in (words, str(attack.steps)), name
        if "2.5 eps/steps" in entry.unstated:
            assert of_eps * attack.steps == pytest.approx(2.5), name
        assert of_eps * len(attack.step_lengths) >= 1, name


def test_fgsm_has_the_papers_radii():
    for prefix, levels in FGSM_LEVELS.items():
        for level in levels:
            attack = preset(f"{prefix}-fgsm-{level:g}")
            assert attack == Untargeted(FGSM(Linf(level / 255)))
    named = sum(map(len, FGSM_LEVELS.values()))
    assert {name for name in TABLE if "fgsm" in name} | set(STATED) == set(TABLE)
    assert len(TABLE) == named + len(STATED)


def test_multi_targeted_presets():
    for name in TABLE:
        attack = preset(name)
        assert isinstance(attack, MultiTargeted) == ("mpgd" in name)
        assert attack.objective == ("margin" if "mpgd" in name else "cross_entropy")
    assert preset("ascl-mpgd").targets is None
    assert preset("ascl-mpgd-cifar100").targets == 9
    assert preset("ascl-mpgd").attack == preset("ascl-pgd").attack


def test_every_preset_has_one_line_that_names_its_source_and_itself():
    assert list(PRESETS) == list(TABLE)
    for name, line in PRESETS.items():
        assert "\n" not in line
        assert line.startswith(("ASCL Section", "RoCL's code", "CSL Table"))
        assert describe(preset(name)) in line
    assert len(set(PRESETS.values())) == len(PRESETS)


def test_an_unknown_name_names_the_nearest():
    with pytest.raises(ValueError, match="'ascl-mpdg', which is none of the papers' attacks; did you mean ascl-mpgd"):
        preset("ascl-mpdg")
