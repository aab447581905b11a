"""What a robust evaluation is asked to do, checked before any work: the settings alone, then with images and model."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import replace

from jaxtyping import Float
from torch import Tensor

from sparring.attacks import AutoAttack, check_radius
from sparring.attacks.autoattack.members import square_can_tile
from sparring.attacks.classifier import ClassifierAttack
from sparring.attacks.presets import PRESETS
from sparring.data.corrupted import SEVERITIES
from sparring.evaluation.finetuned import FINETUNED
from sparring.evaluation.named import named_attack
from sparring.measuring import RobustnessConfig


def check_robustness(config: RobustnessConfig, classes: int | None = None) -> dict[str, ClassifierAttack]:
    """The attacks that `config` names; a ValueError for what cannot be measured, before any work.

    eps 0 needs no attack: its figures are the clean ones.
    """
    if not config.attack and not config.corruptions and config.corrupted_root is None and not config.representation:
        raise ValueError(
            "nothing is to be measured: name an attack (--attack pgd), or ask for --corruptions or --representation"
        )
    for name, value, low in (
        ("images", config.images, 1),
        ("trust_images", config.trust_images, 10),
        ("batch_size", config.batch_size, 1),
        ("square_queries", config.square_queries, 1),
        ("targets", config.targets, 1),
        ("steps", config.steps, 1),
        ("restarts", config.restarts, 1),
        ("seed", config.seed, 0),
    ):
        if value is not None and value < low:
            raise ValueError(f"robustness.{name} must be at least {low}, not {value}")
    if not config.eps >= 0:
        raise ValueError(f"robustness.eps must be 0 or more, not {config.eps}")
    if config.step_size is not None and not config.step_size > 0:
        raise ValueError(f"robustness.step_size must be more than 0, such as 2/255, not {config.step_size:g}")
    check_radius("robustness.eps", config.eps, config.norm)
    if (
        not config.severities
        or not set(config.severities) <= set(SEVERITIES)
        or len(set(config.severities)) < len(config.severities)
    ):
        raise ValueError(f"robustness.severities must be among 1, 2, 3, 4, 5, each once, not {config.severities}")
    check_targets(config, classes)
    if isinstance(config.attack, str):
        raise ValueError(f"robustness.attack must be a list of names, such as ['pgd'], not {config.attack!r}")
    if len(set(config.attack)) != len(config.attack):
        raise ValueError(f"robustness.attack names an attack twice: {', '.join(config.attack)}")
    if config.representation and config.eps == 0:
        raise ValueError("robustness.representation attacks the encoder: robustness.eps must be above 0, not 0")
    radius = replace(config, eps=config.eps or 1.0)  # names are checked at eps 0 too
    named = {name: named_attack(name, radius) for name in config.attack}
    for one, other in itertools.combinations(named, 2):
        if named[one] == named[other]:
            raise ValueError(f"robustness.attack names an attack twice: {one} and {other} are the same here")
    return {name: attack for name, attack in named.items() if config.eps > 0 or name in PRESETS}


def only_representation(config: RobustnessConfig) -> bool:
    """Whether nothing is asked for that needs labels."""
    return config.representation and not (config.attack or config.corruptions or config.corrupted_root)


USES = {
    "norm": ("fgsm", "pgd", "mpgd", "autoattack", "square", "noise"),
    "eps": ("fgsm", "pgd", "mpgd", "autoattack", "square", "noise"),
    "steps": ("pgd", "mpgd"),
    "step_size": ("pgd", "mpgd"),
    "objective": ("fgsm", "pgd"),
    "restarts": ("pgd",),
    "targets": ("mpgd",),
}
"""Which attacks a setting is about; pgd-N has its own number of steps, a preset everything."""


def check_used(config: RobustnessConfig, given: Iterable[str]) -> None:
    """A ValueError for a setting of `given` that none of the attacks uses."""
    for name in given:
        if name not in USES or (name in ("eps", "norm") and config.representation):
            continue
        kinds = {
            attack if name == "steps" else attack.partition("-")[0] for attack in config.attack if attack not in PRESETS
        }
        if config.attack and not kinds & set(USES[name]):
            allowed = ", ".join(USES[name])
            raise ValueError(
                f"robustness.{name} is given, but {', '.join(config.attack)} has its own or none; it is for {allowed}"
            )


def check_finetunes(given: Iterable[str], protocols: Iterable[str | None]) -> None:
    """A ValueError if the epochs of finetuning are `given` (dotted names) and no protocol finetunes."""
    if "evaluation.finetune_epochs" in given and not set(protocols) & FINETUNED.keys():
        raise ValueError(
            f"evaluation.finetune_epochs is given, but nothing is finetuned; it is for the protocols {', '.join(FINETUNED)}"
        )


def check_targets(config: RobustnessConfig, classes: int | None) -> None:
    """A ValueError for more target classes than there are wrong ones."""
    if classes is not None and config.targets is not None and config.targets >= classes:
        raise ValueError(f"robustness.targets is {config.targets}, but there are only {classes - 1} wrong classes")


def check_fit(
    config: RobustnessConfig, attacks: dict[str, ClassifierAttack], x: Float[Tensor, "n C H W"], classes: int
) -> None:
    """A ValueError for settings that do not fit the images or the number of classes."""
    check_targets(config, classes)
    if config.objective == "dlr" and classes < 3:
        raise ValueError(f"robustness.objective dlr needs at least 3 classes, not {classes}; use margin")
    for name, attack in attacks.items():
        square = isinstance(attack, AutoAttack) and "square" in attack.members
        if square and attack.threat.norm != "Linf" and not square_can_tile(x):
            raise ValueError(
                f"{name} in {attack.threat.norm} does not fit images of {x.shape[-2]} x {x.shape[-1]} pixels, which Square's "
                "tiles do not cover; use linf, or another size, such as 8, 16 or 32 pixels"
            )
    if config.corruptions and (x.shape[1] not in (1, 3) or min(x.shape[-2:]) < 8):
        raise ValueError(f"corruptions need 1 or 3 channels and 8 pixels a side at least, not {list(x.shape[1:])}")
    if config.representation and len(x) < 2:
        raise ValueError("representation needs at least 2 images, whose distance is the measure")
