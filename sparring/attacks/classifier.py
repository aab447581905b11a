"""Attacks on classifiers: a gradient attack on an objective of the logits, on the images that are still right.

    x_adv = Untargeted(PGD(Linf(8 / 255), steps=20), restarts=5)(model, x, y)
    x_adv = MultiTargeted(PGD(Linf(8 / 255), steps=250))(model, x, y)

`model` is any function from images x [B C H W] in [0, 1] to logits [B K] (an nn.Module or not); y are labels [B]. An
image is wrong where the highest logit is not y's. Wrong images cost nothing more: the model is called on all images
once, and from then on only on those that are still right (an attack of one run is not verified). Per image, x_adv is

- x, if it was wrong before,
- the first end point that the model gets wrong, if there is one,
- else, of all end points, the one of largest margin max_{k != y} z_k - z_y: the nearest to being wrong.

Gradients are taken with respect to the images only, and nothing is left changed (see gradient.py). Mode and precision
of the model are the caller's: in training mode the images of a batch influence each other through batch norm.
Randomness comes from `generator`, on x's device (None: a fresh one seeded 0); an image's random start therefore
depends on which images are attacked together with it.

Raises ValueError, before any step, for images, `std` or a generator that do not fit (see gradient.py); labels that are
not whole numbers, of another shape, on another device or outside the model's classes; a model that returns no logits
[B K] (a tuple, another shape, NaN); an objective that needs more classes; `targets` outside 1 ... K - 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal, Protocol, get_args, runtime_checkable

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from sparring.attacks.gradient import PGD, GradientAttack
from sparring.attacks.objectives import TARGETED, UNTARGETED, margin
from sparring.attacks.protect import leaving_no_trace
from sparring.attacks.region import Region
from sparring.attacks.threat import Threat
from sparring.attacks.watched import in_box, outside

Model = Callable[[Tensor], Tensor]
"""From images in [0, 1] to logits."""

ObjectiveName = Literal["cross_entropy", "margin", "dlr"]
"""What is maximised; formulas in objectives.py."""


@runtime_checkable
class ClassifierAttack(Protocol):
    """From a classifier, images and labels to adversarial images within a threat."""

    @property
    def threat(self) -> Threat:
        """How far it may go."""
        ...

    def __call__(
        self,
        model: Model,
        x: Tensor,
        y: Tensor,
        *,
        std: tuple[float, ...] | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """The adversarial images, detached."""
        ...


@dataclass(frozen=True)
class Untargeted:
    """Away from the true class: `attack` maximises `objective`, up to `restarts` times from other random starts.

    An image counts as robust if it is right after every restart (Madry et al. 2018, Section 3).
    Raises ValueError if restarts is no whole number of at least 1, or more than 1 without a random start; if `attack`
    has restarts of its own; for an unknown objective, naming the nearest.
    """

    attack: GradientAttack
    objective: ObjectiveName = "cross_entropy"
    restarts: int = 1

    def __post_init__(self) -> None:
        check(self, GradientAttack)
        whole(self.restarts, "Untargeted: restarts")
        if self.restarts > 1 and self.attack.starts_at_x:
            raise ValueError(
                f"Untargeted: {self.restarts} restarts need a random start; {type(self.attack).__name__} from x itself "
                "would do the same again."
            )

    @property
    def threat(self) -> Threat:
        """How far the attack may go."""
        return self.attack.threat

    def __call__(
        self,
        model: Model,
        x: Shaped[Tensor, "B *image"],
        y: Tensor,
        *,
        std: tuple[float, ...] | None = None,
        generator: torch.Generator | None = None,
    ) -> Shaped[Tensor, "B *image"]:
        """Adversarial images, detached, in ball and box, of the dtype of x [B C H W]; y [B] holds whole numbers."""
        survivors = Survivors(model, x, y, self.threat, std, generator)
        value = UNTARGETED[self.objective]
        if len(x):
            # Too few classes for the objective are refused even if no image is right.
            value(survivors.logits, survivors.y)
        for _ in range(self.restarts):
            survivors.attack(
                self.attack, lambda logits, rows: value(logits, survivors.y[rows]), only_run=self.restarts == 1
            )
        return survivors.best


@dataclass(frozen=True)
class MultiTargeted:
    """Towards every wrong class in turn, each time with the full budget of `attack`; robust only if all of them fail.

    The multi-targeted PGD ("mPGD") of ASCL (Bui et al. 2021), which gives no formula; the attack is that of Gowal et
    al. 2019, "An Alternative Surrogate Loss for PGD-based Adversarial Testing", whose targeted margin z_t - z_y is the
    default. `targets`: only that many wrong classes, the highest-scored ones of the clean image (of equal scores, the
    lower class first); None is all K - 1.
    Raises ValueError if targets is no whole number of at least 1; if `attack` is no PGD or has restarts of its own;
    for an unknown objective, naming the nearest.

    Differs from Gowal et al.: images already wrong are not attacked towards the remaining classes.
    """

    attack: PGD
    objective: ObjectiveName = "margin"
    targets: int | None = None

    def __post_init__(self) -> None:
        check(self, PGD)
        if self.targets is not None:
            whole(self.targets, "MultiTargeted: targets")

    @property
    def threat(self) -> Threat:
        """How far the attack may go."""
        return self.attack.threat

    def __call__(
        self,
        model: Model,
        x: Shaped[Tensor, "B *image"],
        y: Tensor,
        *,
        std: tuple[float, ...] | None = None,
        generator: torch.Generator | None = None,
    ) -> Shaped[Tensor, "B *image"]:
        """Adversarial images, detached, in ball and box, of the dtype of x [B C H W]; y [B] holds whole numbers."""
        survivors = Survivors(model, x, y, self.threat, std, generator)
        if not len(x):
            return survivors.best
        value = TARGETED[self.objective]
        wrong = wrong_classes(survivors.logits, survivors.y)
        if self.targets is not None and self.targets > wrong.shape[1]:
            raise ValueError(
                f"MultiTargeted: targets is {self.targets}, but the model has {wrong.shape[1]} wrong classes; "
                f"targets must be from 1 to {wrong.shape[1]}, or None for all of them."
            )
        value(survivors.logits, survivors.y, wrong[:, 0])
        targets = wrong[:, : self.targets].unbind(1)
        for target in targets:
            survivors.attack(
                self.attack,
                lambda logits, rows, t=target: value(logits, survivors.y[rows], t[rows]),
                only_run=len(targets) == 1,
            )
        return survivors.best


class Survivors:
    """Images under attack: which are still right, and what came nearest to making the others of them wrong."""

    def __init__(
        self,
        model: Model,
        x: Tensor,
        y: Tensor,
        threat: Threat,
        std: tuple[float, ...] | None,
        generator: torch.Generator | None,
    ) -> None:
        region = Region(threat, x, std)
        low, high = region.extremes()
        if not in_box(low, high):
            raise outside(low, high)
        self.model, self.std = model, std
        self.generator = torch.Generator(x.device).manual_seed(0) if generator is None else generator
        self.x = region.images(region.zero())
        self.best = self.x.clone()
        self.y = labels(y, x)
        self.rows = torch.arange(len(x), device=x.device)
        if len(x):
            self.logits = self.forward(self.x)
            inside(self.y, self.logits.shape[1])
            self.largest = margin(self.logits, self.y).fill_(-torch.inf)
            self.rows = (self.logits.argmax(dim=1) == self.y).nonzero().flatten()

    def attack(self, attack: GradientAttack, value: Callable[[Tensor, Tensor], Tensor], only_run: bool) -> None:
        """One more run on the images still right, maximising value(logits, rows). The only run is not compared."""
        rows, model = self.rows, self.model
        if not len(rows):
            return
        images = attack(lambda x_adv: value(model(x_adv), rows), self.x[rows], std=self.std, generator=self.generator)
        if only_run:
            self.best[rows] = images
            return
        logits = self.forward(images)
        reached = margin(logits, self.y[rows])
        right = logits.argmax(dim=1) == self.y[rows]
        better = ~right | (reached >= self.largest[rows])
        self.best[rows[better]] = images[better]
        self.largest[rows[better]] = reached[better]
        self.rows = rows[right]

    def forward(self, images: Tensor) -> Float[Tensor, "B K"]:
        """Logits, checked."""
        with leaving_no_trace(images.device), torch.no_grad():
            logits = self.model(images)
        if not isinstance(logits, Tensor):
            raise ValueError(
                f"the model returned a {type(logits).__name__}; an attack needs logits [B, K] alone, such as "
                "lambda x: model(x)[0]."
            )
        if logits.ndim != 2 or len(logits) != len(images) or not logits.is_floating_point():
            raise ValueError(
                f"the model returned {logits.dtype} of shape {tuple(logits.shape)} for {len(images)} images; an attack "
                f"needs floating-point logits [{len(images)}, K]."
            )
        if logits.shape[1] < 2:
            raise ValueError("the model returned one logit per image; an attack needs at least 2 classes.")
        if logits.isnan().any():
            count = int(logits.isnan().any(dim=1).sum())
            raise ValueError(f"the model returned NaN logits for {count} of {len(images)} images.")
        return logits


def wrong_classes(logits: Float[Tensor, "B K"], y: Int[Tensor, " B"]) -> Int[Tensor, "B K-1"]:
    """All classes but y, highest logit first, the lower class first where logits tie."""
    order = logits.argsort(dim=1, descending=True, stable=True)
    return order[order != y[:, None]].view(len(y), -1)


def labels(y: Tensor, x: Tensor) -> Int[Tensor, " B"]:
    """y as int64 or a ValueError."""
    if not isinstance(y, Tensor) or y.is_floating_point() or y.is_complex() or y.dtype == torch.bool:
        kind = y.dtype if isinstance(y, Tensor) else type(y).__name__
        raise ValueError(f"y is {kind}; it must be a tensor of whole numbers, one class per image.")
    if y.shape != x.shape[:1]:
        raise ValueError(f"y has shape {tuple(y.shape)} for {len(x)} images; it must be [{len(x)}].")
    if y.device != x.device:
        raise ValueError(f"y is on {y.device} but x on {x.device}; they must share a device.")
    return y.long()


def inside(y: Int[Tensor, " B"], classes: int) -> None:
    """Raise ValueError unless all labels are classes of the model."""
    low, high = (int(v) for v in y.aminmax())
    if low < 0 or high >= classes:
        raise ValueError(f"y has class {low if low < 0 else high}, but the model has classes 0 to {classes - 1}.")


def check(attack: Untargeted | MultiTargeted, kind: type) -> None:
    """Raise ValueError unless the fields that both have are in order."""
    name, inner = type(attack).__name__, attack.attack
    if not isinstance(inner, kind):
        raise ValueError(f"{name}: attack is {inner!r}; it must be a {kind.__name__}, as PGD(Linf(8 / 255)).")
    if inner.runs > 1:
        raise ValueError(
            f"{name}: attack has {inner.runs} restarts of its own, which go on after an image is wrong; give it 1"
            + (" and set Untargeted's restarts." if name == "Untargeted" else ".")
        )
    known = get_args(ObjectiveName)
    if attack.objective not in known:
        near = get_close_matches(str(attack.objective).lower(), known, n=1)
        raise ValueError(
            f"{name}: objective is {attack.objective!r}; it must be one of {', '.join(known)}"
            + (f"; did you mean {near[0]}?" if near else ".")
        )


def whole(value: object, name: str) -> None:
    """Raise ValueError unless `value` is a whole number of at least 1."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{name} is {value!r}; it must be a whole number of at least 1.")
