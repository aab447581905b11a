"""The evaluation attacks of the papers by name: `preset("ascl-mpgd")`; PRESETS says in one line what each is.

Data, not code. ASCL: Bui et al., "Understanding and Achieving Efficient Robustness with Adversarial Supervised
Contrastive Learning". CSL: Gupta et al. 2022, "On Higher Adversarial Susceptibility of Contrastive Self-Supervised Learning".
RoCL: Kim et al., "Adversarial Self-Supervised Contrastive Learning", and its code (Kim-Minseon/RoCL).

ASCL does not say how its multi-targeted PGD picks classes and what it maximises, CSL states no step size at all. Where
something is `unstated`, the line says so, and this is chosen:

| stated | chosen | why |
|---|---|---|
| 40 steps, Linf | eps/30 | foolbox's default beside its 40 steps; foolbox is the one attack library that CSL names |
| 10 or 4 steps | 2.5 eps/steps | foolbox's steps would add up to eps/4 or less, but CSL's PGD-4 beats its FGSM by far (Table 2) |
| neither, Table 3 | 50 steps of eps/40 | foolbox's default in L2 and L1 |
| neither, Table 5 | 20 steps of eps/10 | RoCL's: CSL "mainly followed" RoCL there |
| "multi-targeted" | every wrong class (CIFAR-100: the top 9), the target's margin | as in Gowal et al. 2019; see classifier.py |

Every PGD starts uniformly in the ball and maximises cross-entropy, the multi-targeted one the target's margin.
AutoAttack needs no preset: the papers run its standard version at a radius.
Differs from foolbox in L1: its step is the gradient divided by its L1 norm, ours moves 1 % of the coordinates.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches

from sparring.attacks.classifier import MultiTargeted, Untargeted
from sparring.attacks.describe import describe
from sparring.attacks.gradient import FGSM, PGD
from sparring.attacks.threat import L1, L2, Linf, Threat


@dataclass(frozen=True)
class Preset:
    """An attack, where it stands, and what does not stand there."""

    attack: Untargeted | MultiTargeted
    source: str
    unstated: str = ""

    @property
    def line(self) -> str:
        """As `sparring list attacks` shows it."""
        missing = f" (unstated: {self.unstated})" if self.unstated else ""
        return f"{self.source}: {describe(self.attack)}{missing}"


def fgsm(levels: float | int) -> Untargeted:
    """FGSM in Linf, the radius in 255ths."""
    return Untargeted(FGSM(Linf(levels / 255)))


def pgd(threat: Threat, steps: int, of_eps: float) -> Untargeted:
    """PGD on cross-entropy whose steps are `of_eps` times eps."""
    return Untargeted(PGD(threat, steps, of_eps * threat.eps))


def mpgd(eps: float, step_size: float, targets: int | None = None) -> MultiTargeted:
    """Multi-targeted PGD in Linf, 250 steps."""
    return MultiTargeted(PGD(Linf(eps), 250, step_size), targets=targets)


FOOLBOX_LINF = "the step size; here eps/30, foolbox's default beside its 40 steps"
FOOLBOX = "steps and step size; here foolbox's defaults, 50 of eps/40"
MADRY = "the step size; here 2.5 eps/steps, since foolbox's default would hardly move in so few steps"
AS_ROCL = "steps and step size; here RoCL's, 20 of eps/10"
EVERY = "which classes and what is maximised; here every wrong class, its logit over the true one"
TOP_9 = "which classes and what is maximised; here 9 as on CIFAR-10, their logits over the true one"

TABLE: dict[str, Preset] = {
    "ascl-pgd": Preset(pgd(Linf(8 / 255), 250, 1 / 4), "ASCL Section 4.1, CIFAR-10"),
    "ascl-mpgd": Preset(mpgd(8 / 255, 2 / 255), "ASCL Section 4.1, CIFAR-10", EVERY),
    "ascl-pgd-cifar100": Preset(pgd(Linf(0.01), 250, 1 / 10), "ASCL Section 4.1, CIFAR-100, eps 0.01"),
    "ascl-mpgd-cifar100": Preset(mpgd(0.01, 0.001, 9), "ASCL Section 4.1, CIFAR-100, eps 0.01", TOP_9),
    "ascl-training": Preset(pgd(Linf(8 / 255), 10, 1 / 4), "ASCL Section 4.1, CIFAR-10, while training"),
    "ascl-training-cifar100": Preset(
        pgd(Linf(0.01), 10, 1 / 10), "ASCL Section 4.1, CIFAR-100, while training, eps 0.01"
    ),
    "rocl-pgd-8": Preset(pgd(Linf(0.0314), 20, 1 / 10), "RoCL's code, eps 0.0314"),
    "rocl-pgd-16": Preset(pgd(Linf(0.0627), 20, 1 / 10), "RoCL's code, eps 0.0627"),
    "csl-imagenet-fgsm-0.25": Preset(fgsm(0.25), "CSL Table 1, ImageNet"),
    "csl-imagenet-fgsm-0.5": Preset(fgsm(0.5), "CSL Table 1, ImageNet"),
    "csl-imagenet-fgsm-1": Preset(fgsm(1), "CSL Table 1, ImageNet"),
    "csl-imagenet-pgd-0.25": Preset(pgd(Linf(0.25 / 255), 40, 1 / 30), "CSL Table 1, ImageNet", FOOLBOX_LINF),
    "csl-imagenet-pgd-1": Preset(pgd(Linf(1 / 255), 40, 1 / 30), "CSL Table 1, ImageNet", FOOLBOX_LINF),
    "csl-imagenet-pgd-l2-0.5": Preset(pgd(L2(0.5), 10, 2.5 / 10), "CSL Table 1, ImageNet", MADRY),
    "csl-video-fgsm-1": Preset(fgsm(1), "CSL Table 2, UCF101"),
    "csl-video-fgsm-2": Preset(fgsm(2), "CSL Table 2, UCF101"),
    "csl-video-fgsm-4": Preset(fgsm(4), "CSL Table 2, UCF101"),
    "csl-video-pgd-1": Preset(pgd(Linf(1 / 255), 4, 2.5 / 4), "CSL Tables 2 and 7, UCF101", MADRY),
    "csl-video-pgd-2": Preset(pgd(Linf(2 / 255), 4, 2.5 / 4), "CSL Tables 2 and 7, UCF101", MADRY),
    "csl-cifar-fgsm-8": Preset(fgsm(8), "CSL Tables 3 and 4, CIFAR-10 and -100"),
    "csl-cifar-fgsm-16": Preset(fgsm(16), "CSL Tables 3 and 4, CIFAR-10 and -100"),
    "csl-cifar-pgd-l2-0.1": Preset(pgd(L2(0.1), 50, 1 / 40), "CSL Table 3, CIFAR-10 and -100", FOOLBOX),
    "csl-cifar-pgd-l2-0.25": Preset(pgd(L2(0.25), 50, 1 / 40), "CSL Table 3, CIFAR-10 and -100", FOOLBOX),
    "csl-cifar-pgd-l1-8": Preset(pgd(L1(8.0), 50, 1 / 40), "CSL Table 3, CIFAR-10 and -100", FOOLBOX),
    "csl-cifar-pgd4-1": Preset(pgd(Linf(1 / 255), 4, 2.5 / 4), "CSL Table 8, CIFAR-10", MADRY),
    "csl-cifar-pgd4-4": Preset(pgd(Linf(4 / 255), 4, 2.5 / 4), "CSL Table 8, CIFAR-10", MADRY),
    "csl-robust-pgd-8": Preset(pgd(Linf(8 / 255), 20, 1 / 10), "CSL Table 5, CIFAR-10", AS_ROCL),
    "csl-robust-pgd-16": Preset(pgd(Linf(16 / 255), 20, 1 / 10), "CSL Table 5, CIFAR-10", AS_ROCL),
    "csl-robust-pgd-l2-0.25": Preset(pgd(L2(0.25), 20, 1 / 10), "CSL Table 5, CIFAR-10", AS_ROCL),
    "csl-robust-pgd-l1-12": Preset(pgd(L1(12.0), 20, 1 / 10), "CSL Table 5, CIFAR-10", AS_ROCL),
}

PRESETS: dict[str, str] = {name: entry.line for name, entry in TABLE.items()}
"""What each preset is, in one line."""


def preset(name: str) -> Untargeted | MultiTargeted:
    """The attack of that name. Raises ValueError that names the nearest one."""
    if name not in TABLE:
        near = get_close_matches(str(name), TABLE, n=1)
        hint = f"did you mean {near[0]}?" if near else f"it must be one of {', '.join(TABLE)}."
        raise ValueError(f"preset is {name!r}, which is none of the papers' attacks; {hint}")
    return TABLE[name].attack
