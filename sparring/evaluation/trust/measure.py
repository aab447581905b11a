"""The measurements behind the trust checks, each made once, and the curves that they leave for the report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from sparring.attacks import PGD, RandomNoise, Threat, Untargeted
from sparring.attacks.classifier import ClassifierAttack, Model, ObjectiveName
from sparring.attacks.objectives import cross_entropy
from sparring.evaluation.features import evaluation_mode
from sparring.evaluation.intervals import wilson
from sparring.evaluation.robust import attacked, device_of, predictions
from sparring.evaluation.trust import handover
from sparring.evaluation.trust.check import Against
from sparring.evaluation.trust.substitute import fit_substitute

CURVE_STEPS = 20
"""PGD steps at every radius, and of the comparison of objectives."""
RADII = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Radii of the curve, in eps; the last is that of plain grey."""
DRAWS = 10
"""Draws of random noise an image."""
MIN_POOL = 50
"""Images that a substitute must have."""
MIN_RIGHT = 10
"""Right images below which no comparison can exceed chance by much, whatever the model."""
CONFIDENCE = 0.95


class NotMeasured(Exception):
    """Why something could not be measured."""


@dataclass
class Measured:
    """The images of the checks and the attacks on them, made when first asked for. A survivor was right and stayed so."""

    model: Model
    x: Float[Tensor, "n C H W"]
    y: Int[Tensor, " n"]
    threat: Threat
    outputs: Float[Tensor, "n K"]
    right: Bool[Tensor, " n"]
    surrogate: Model | None
    pool: Float[Tensor, "m C H W"]
    seed: int
    steps: tuple[int, ...]
    square_queries: int
    batch_size: int
    std: tuple[float, ...] | None
    runs: dict[str, tuple[float, float]]
    """By attack: the largest distance in eps, and from [0, 1]."""
    asked: Bool[Tensor, " n"] | None = None
    """Survivors of all attacks whose figures are in question; None without them."""
    climbed: dict[Any, Tensor] = field(default_factory=dict)

    def curves(self) -> dict[str, Any]:
        """Accuracy against eps and against steps, for robustness.json; without what could not be measured."""
        curves: dict[str, Any] = {}
        shared = {"norm": self.threat.norm, "space": self.threat.space, "n": len(self.y), "confidence": CONFIDENCE}
        if "at_radii" in self.__dict__:
            words = (
                f"the stronger, image by image, of PGD on cross-entropy and on the margin, {CURVE_STEPS} steps of eps/8"
            )
            noise = [self.noise(eps).double().mean().item() for eps in self.radii]
            figures = self._figures(self.at_radii) | {"noise": noise, "chance": self.chance}
            curves["eps"] = {"words": words, "eps": self.radii} | figures | shared
        if "at_steps" in self.__dict__:
            words = f"PGD on cross-entropy, {self.threat.norm}, eps {self.threat.eps:.4g}, steps of 2.5 eps / steps"
            figures = self._figures(self.at_steps) | {"chance": self.chance}
            curves["steps"] = {"words": words, "steps": list(self.steps)} | figures | shared
        return curves

    def _figures(self, masks: Sequence[Tensor]) -> dict[str, Any]:
        correct, n = [int(mask.sum()) for mask in masks], len(self.y)
        return {"accuracy": [c / n for c in correct], "interval": [list(wilson(c, n, CONFIDENCE)) for c in correct]}

    @property
    def chance(self) -> float:
        """What always answering the same class reaches: the share of the largest class, 1/K at least."""
        return max(1 / self.outputs.shape[1], int(torch.bincount(self.y).max()) / len(self.y))

    @property
    def radii(self) -> list[float]:
        """Those of the curve."""
        return radii_of(self.threat, self.x, self.std)

    @cached_property
    def at_radii(self) -> list[Bool[Tensor, " n"]]:
        """Survivors at each radius, of cross-entropy first and of the margin then."""
        masks = []
        for eps in self.radii:
            if eps == self.threat.eps:
                masks.append(self.climb("cross_entropy", CURVE_STEPS, eps) & self.climb("margin", CURVE_STEPS, eps))
            else:
                ce = self.climb("cross_entropy", CURVE_STEPS, eps)
                masks.append(self.climb("margin", CURVE_STEPS, eps, ce))
        return masks

    @cached_property
    def at_steps(self) -> list[Bool[Tensor, " n"]]:
        """Survivors of each number of steps on cross-entropy."""
        return [self.climb("cross_entropy", steps, self.threat.eps) for steps in self.steps]

    @cached_property
    def white_box(self) -> Bool[Tensor, " n"]:
        """Survivors of every gradient attack at eps."""
        margin = self.climb("margin", CURVE_STEPS, self.threat.eps)
        return margin & self.climb("cross_entropy", CURVE_STEPS, self.threat.eps) & self.at_steps[-1]

    @cached_property
    def gradients(self) -> dict[str, tuple[int, int]] | str:
        """By objective how many right images have a gradient of 0, and one that is not finite; or why there is none."""
        try:
            with evaluation_mode(self.model):
                return handover.gradients(self.model, self.x[self.right], self.y[self.right], self.batch_size)
        except ValueError as error:
            return str(error)

    def climb(
        self, objective: ObjectiveName, steps: int, eps: float, among: Bool[Tensor, " n"] | None = None
    ) -> Bool[Tensor, " n"]:
        """Survivors of PGD, `among` some images or all."""
        self.differentiable()
        key = (objective, steps, eps)
        if key not in self.climbed:
            self.climbed[key] = self.survive(Untargeted(PGD(replace(self.threat, eps=eps), steps), objective), among)
        return self.climbed[key]

    def noise(self, eps: float) -> Bool[Tensor, " n"]:
        """Survivors of several draws of random noise."""
        if ("noise", eps) not in self.climbed:
            attack = Untargeted(RandomNoise(replace(self.threat, eps=eps)), restarts=DRAWS)
            self.climbed["noise", eps] = self.survive(attack)
        return self.climbed["noise", eps]

    def survive(self, attack: ClassifierAttack, among: Bool[Tensor, " n"] | None = None) -> Bool[Tensor, " n"]:
        """Which images stay right, of those that were."""
        self.enough_right()
        try:
            run = attacked(
                self.model, self.x, self.y, attack, correct=self.right if among is None else among,
                batch_size=self.batch_size, seed=self.seed, std=self.std,
            )  # fmt: skip
        except (ValueError, FloatingPointError) as error:
            raise NotMeasured(f"the attack failed ({str(error).rstrip('.')})") from error
        self.runs[run.words] = run.distance, run.outside
        return run.correct

    def transferred(self, surrogate: Model) -> Float[Tensor, "n C H W"]:
        """Adversarial images of the surrogate for the images that the model has right."""
        place, x_adv = device_of(surrogate, self.x), self.x.clone()
        attack = PGD(self.threat, CURVE_STEPS)
        generator = torch.Generator(place).manual_seed(self.seed)
        with evaluation_mode(surrogate):
            for rows in self.right.nonzero().flatten().split(self.batch_size):
                y = self.y[rows].to(place)
                images = attack(
                    lambda images, y=y: cross_entropy(surrogate(images), y), self.x[rows].to(place), std=self.std,
                    generator=generator,
                )  # fmt: skip
                x_adv[rows] = images.cpu()
        return x_adv

    def substitute(self) -> Model:
        """A small network that imitates the model on the pool."""
        if len(self.pool) < MIN_POOL:
            raise NotMeasured(
                f"{len(self.pool)} images are too few to fit a substitute to; at least {MIN_POOL} are needed"
            )
        labels = predictions(self.model, self.pool, batch_size=self.batch_size)
        place = device_of(self.model, self.x)
        return fit_substitute(self.pool.to(place), labels.to(place), self.outputs.shape[1], seed=self.seed)

    def against(self, first: Bool[Tensor, " n"], second: Bool[Tensor, " n"]) -> Against:
        """Two attacks compared by their survivors, on the right images."""
        one, other = self.right & ~first, self.right & ~second
        return Against(
            n=int(self.right.sum()),
            first=int(one.sum()),
            second=int(other.sum()),
            only_first=int((one & ~other).sum()),
            only_second=int((other & ~one).sum()),
        )

    def differentiable(self) -> None:
        """Raises NotMeasured with the reason unless gradients can be taken."""
        self.enough_right()
        if isinstance(self.gradients, str):
            raise NotMeasured(f"there is no gradient, since {self.gradients}")

    def enough_right(self) -> None:
        """Raises NotMeasured if there are too few images to attack."""
        if (right := int(self.right.sum())) < MIN_RIGHT:
            raise NotMeasured(
                f"only {right} of {len(self.y)} images are classified rightly; at least {MIN_RIGHT} are needed to tell "
                "attacks apart"
            )


def seeded(place: torch.device, seed: int) -> None:
    """Seed the global random state of the CPU and of `place`, of which a randomised model draws."""
    torch.default_generator.manual_seed(seed)
    if place.type == "cuda":
        with torch.cuda.device(place):
            torch.cuda.manual_seed(seed)


def radii_of(threat: Threat, x: Float[Tensor, "n C H W"], std: tuple[float, ...] | None = None) -> list[float]:
    """Multiples of eps, and last the radius at which every image may become plain grey, 1/2 from white and from black."""
    unit = 1.0 if std is None or threat.space == "pixel" else torch.tensor(std).view(-1, 1, 1)
    grey = torch.linalg.vector_norm((torch.full_like(x[0], 0.5) / unit).flatten(), threat.order).item()
    radii = [factor * threat.eps for factor in RADII if factor <= 1 or factor * threat.eps < grey]
    return [*radii, grey] if grey > radii[-1] else radii


def worst_rise(masks: Sequence[Bool[Tensor, " n"]]) -> tuple[Against, tuple[int, int]]:
    """Of survivors at growing strength: which one has most images right that a weaker one had broken, beyond chance.

    The first of the answer counts images right again, the second those newly broken; then the two places.
    """
    rises = []
    for after in range(1, len(masks)):
        for before in range(after):
            again, broken = masks[after] & ~masks[before], masks[before] & ~masks[after]
            counts = [int(mask.sum()) for mask in (masks[after], masks[before], again, broken)]
            rises.append((Against(len(masks[0]), *counts), (before, after)))
    unchanged = int(masks[0].sum())
    start = (Against(len(masks[0]), unchanged, unchanged, 0, 0), (0, 0))
    return max(rises, key=lambda rise: rise[0].z, default=start)
