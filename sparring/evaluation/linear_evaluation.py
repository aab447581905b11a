"""Linear evaluation as two papers do it: SupCon and SimCLR in paper 003 (SupContrast's code), RoCL in its own.

Both fit one linear layer, with nn.Linear's first weights, on the frozen encoder in evaluation mode.

Code: HobbitLong/SupContrast, main_linear.py, main_ce.py; Kim-Minseon/RoCL, linear_eval.py.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from sparring.attacks import PGD, Linf
from sparring.evaluation.augment import Augment
from sparring.evaluation.slf import LinearFinetuning


@dataclass(frozen=True, kw_only=True)
class Linear003(LinearFinetuning):
    """Linear evaluation of SimCLR in paper 003: SGD 1 with momentum 0.9 and no weight decay, batch 512, 100 epochs, a fifth of
    the rate after 60, 75 and 90; images cropped (area 0.2 to 1), resized and mirrored at random.

    Paper: Gupta et al. 2022 (003), appendix B.3, built on SupContrast; the settings are that code's.
    Differs from: the published script reports the best TEST epoch: `selection="best test epoch"` (protocol version paper).
    """

    augment: Augment = "resized-crop-flip"
    epochs: int = 100
    lr: float = 1.0
    weight_decay: float = 0.0
    milestones: tuple[int, ...] = (60, 75, 90)
    factor: float = 0.2
    attack: None = field(default=None, init=False)
    init: Literal["zero", "uniform"] = field(default="uniform", init=False)
    selection: Literal["last epoch", "best test epoch"] = "last epoch"
    name: ClassVar[str] = "linear-003"


@dataclass(frozen=True, kw_only=True)
class Linear003SupCon(Linear003):
    """The same with the rate that the code uses for SupCon, 5."""

    lr: float = 5.0
    name: ClassVar[str] = "linear-003-supcon"


@dataclass(frozen=True, kw_only=True)
class RoCLLinear(LinearFinetuning):
    """LE, RoCL's linear evaluation: SGD 0.1 with momentum 0.9 and weight decay 5e-4, batch 1,024, 150 epochs, on
    images that are not augmented.

    The published script divides the rate by 10 at the end of the epochs 30, 50 and 100 counted from 0: after 31, 51
    and 101 epochs. (Protocol linear, older here, does so an epoch earlier.) Differs from: nothing known.
    """

    augment: Augment = "none"
    epochs: int = 150
    lr: float = 0.1
    weight_decay: float = 5e-4
    batch_size: int = 1024
    milestones: tuple[int, ...] = (31, 51, 101)
    attack: PGD | None = field(default=None, init=False)
    init: Literal["zero", "uniform"] = field(default="uniform", init=False)
    name: ClassVar[str] = "rocl-linear"


@dataclass(frozen=True, kw_only=True)
class RoCLRobustLinear(RoCLLinear):
    """r-LE, RoCL's robust linear evaluation: LE on PGD-10 examples, steps of 0.007 within 0.0314.

    Differs from: nothing known; the random start is ours where the source is silent.
    """

    attack: PGD = field(default=PGD(Linf(0.0314), steps=10, step_size=0.007))
    name: ClassVar[str] = "rocl-linear-adv"
