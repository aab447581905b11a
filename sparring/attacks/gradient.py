"""Gradient attacks on any objective: one loop; an attack is where it starts and how long its steps are.

    delta <- start;   for length in step_lengths:  delta <- project(delta + steepest ascent step of that length)

| attack | start | step lengths | paper |
|---|---|---|---|
| FGSM | 0 | eps | Goodfellow et al. 2015 |
| R-FGSM | random, of norm eps/2 (Linf: random sign) | eps/2 | Tramer et al. 2018 |
| F-FGSM | uniform in the ball | 1.25 eps | Wong et al. 2020 |
| PGD | uniform in the ball, normal, or 0 | 10 times 2.5 eps/10 | Madry et al. 2018 |
| random noise | random, of norm eps (Linf: random sign) | none | the control of CLAE, Fig. 3 |

All of them: `attack(objective, x, *, std=None, generator=None) -> x_adv`.

- `objective(x_adv)` returns a scalar or one value per image [B] and is maximised; per-image values are summed, so an
  image's perturbation follows its own value unless images interact (batch norm, contrastive losses).
- Differentiates with respect to the images only; works under torch.no_grad and with frozen parameters.
- Randomness comes from `generator`, on x's device. None is a fresh one seeded 0: the same start in every call.
- What the objective draws from the global random state (dropout) is put back afterwards; so are the buffers (running
  statistics) of modules in training mode, unless `update_statistics`, as the published CLAE (chihhuiho/CLAE).
- x_adv is detached, with dtype and layout of x, in ball and box (16-bit images too). Computed in float32 or better.

Raises ValueError for a bad threat, image, std, generator or objective; FloatingPointError that names the step whose
gradient was not finite (looked at once, at the end, on a GPU); RuntimeError in torch.inference_mode.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

import torch
from jaxtyping import Shaped
from torch import Tensor

from sparring.attacks.protect import leaving_no_trace
from sparring.attacks.region import Region
from sparring.attacks.threat import Threat, positive
from sparring.attacks.watched import Watched
from sparring.types import Objective


@dataclass(frozen=True)
class GradientAttack(ABC):
    """The loop that all attacks share."""

    threat: Threat
    update_statistics: bool = field(default=False, kw_only=True)
    """Whether modules in training mode update their running statistics inside the attack."""
    clip_start: bool = field(default=True, kw_only=True)
    """Whether a random start lies in the box too; without it, images do from the first step on (published ACL)."""

    def __post_init__(self) -> None:
        if not isinstance(self.threat, Threat):
            raise ValueError(
                f"{type(self).__name__}: threat is {self.threat!r}; it must be Linf, L2 or L1, as Linf(8 / 255)."
            )

    @property
    @abstractmethod
    def step_lengths(self) -> tuple[float, ...]:
        """Length of each step, in the norm and unit of the threat."""

    @abstractmethod
    def start(self, region: Region, generator: torch.Generator) -> Tensor:
        """The perturbation before the first step."""

    @property
    def starts_at_x(self) -> bool:
        """Whether the objective is evaluated first at x itself (a method may share that forward)."""
        return False

    @property
    def runs(self) -> int:
        """How often the attack starts anew; an image keeps its best end point."""
        return 1

    def __call__(
        self,
        objective: Objective,
        x: Shaped[Tensor, "B *image"],
        *,
        std: tuple[float, ...] | None = None,
        generator: torch.Generator | None = None,
    ) -> Shaped[Tensor, "B *image"]:
        """Images within the threat around x that raise the objective."""
        region = Region(self.threat, x, std)
        if generator is None:
            generator = torch.Generator(x.device).manual_seed(0)
        elif generator.device != x.device:
            raise ValueError(f"generator is on {generator.device} but x on {x.device}; they must share a device.")
        with leaving_no_trace(x.device, self.update_statistics):
            watched = Watched(objective, region, per_image=self.runs > 1)
            best = self._climb(watched, region, generator)
            if self.runs > 1:
                best_value = watched.final_value(best)
                for _ in range(1, self.runs):
                    images = self._climb(watched, region, generator)
                    value = watched.final_value(images)
                    better = (value > best_value).view(-1, *[1] * (x.ndim - 1))
                    best.copy_(torch.where(better, images, best))
                    best_value = torch.maximum(value, best_value)
            watched.raise_if_failed()
        return best

    def _climb(self, watched: Watched, region: Region, generator: torch.Generator) -> Tensor:
        delta = self.start(region, generator)
        if not self.starts_at_x:
            delta = region.project(delta, box=self.clip_start)
        for step, length in enumerate(self.step_lengths, start=1):
            images = region.images(delta, box=self.clip_start or step > 1)
            gradient = watched.gradient(images, f"step {step} of {len(self.step_lengths)}")
            delta = region.ascend(delta, gradient, length)
        return region.images(delta)


@dataclass(frozen=True)
class FGSM(GradientAttack):
    """One step of length eps from x itself. Its first and only gradient is taken exactly at x."""

    @property
    def step_lengths(self) -> tuple[float, ...]:
        """eps."""
        return (self.threat.eps,)

    @property
    def starts_at_x(self) -> bool:
        """Yes."""
        return True

    def start(self, region: Region, generator: torch.Generator) -> Tensor:
        """x."""
        return region.zero()


@dataclass(frozen=True)
class RFGSM(GradientAttack):
    """A random step of norm eps/2 (Linf: a random sign), then an FGSM step of eps/2."""

    @property
    def step_lengths(self) -> tuple[float, ...]:
        """eps / 2."""
        return (self.threat.eps / 2,)

    def start(self, region: Region, generator: torch.Generator) -> Tensor:
        """On the sphere of radius eps / 2."""
        return self.threat.noise(region.centre, generator) / 2


@dataclass(frozen=True)
class FFGSM(GradientAttack):
    """A uniform start in the ball, then one step of `step_size` (None: 1.25 eps), projected back."""

    step_size: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_step_size(self)

    @property
    def step_lengths(self) -> tuple[float, ...]:
        """step_size."""
        return (self.step_size or 1.25 * self.threat.eps,)

    def start(self, region: Region, generator: torch.Generator) -> Tensor:
        """Uniform in the ball."""
        return self.threat.random(region.centre, generator)


@dataclass(frozen=True)
class PGD(GradientAttack):
    """`steps` steps of `step_size` (None: 2.5 eps / steps), each projected back.

    With `restarts` > 1 the attack runs so often from other random starts and each image keeps the end point of largest
    objective; the objective must then return one value per image (ValueError otherwise). `start_std`, in the unit of the
    threat, makes the random start a normal one of that standard deviation (TRADES: 0.001), projected.
    """

    steps: int = 10
    step_size: float | None = None
    random_start: bool = True
    restarts: int = 1
    start_std: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_step_size(self)
        for name, value in (("steps", self.steps), ("restarts", self.restarts)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"PGD: {name} is {value!r}; it must be a whole number of at least 1.")
        if self.restarts > 1 and not self.random_start:
            raise ValueError(f"PGD: {self.restarts} restarts need random_start; they would all be the same.")
        if self.start_std is not None:
            object.__setattr__(self, "start_std", positive(self.start_std, "PGD: start_std"))
            if not self.random_start:
                raise ValueError(
                    f"PGD: start_std is {self.start_std} without random_start; it says how the start is random."
                )

    @property
    def step_lengths(self) -> tuple[float, ...]:
        """step_size, `steps` times."""
        return (self.step_size or 2.5 * self.threat.eps / self.steps,) * self.steps

    @property
    def starts_at_x(self) -> bool:
        """Without a random start."""
        return not self.random_start

    @property
    def runs(self) -> int:
        """The restarts."""
        return self.restarts

    def start(self, region: Region, generator: torch.Generator) -> Tensor:
        """Uniform in the ball, normal, or x."""
        if not self.random_start:
            return region.zero()
        if self.start_std is None:
            return self.threat.random(region.centre, generator)
        x = region.centre
        return self.start_std * torch.randn(x.shape, generator=generator, dtype=x.dtype, device=x.device)


@dataclass(frozen=True)
class RandomNoise(GradientAttack):
    """The control: a random perturbation as large as the threat allows; the objective is not called."""

    @property
    def step_lengths(self) -> tuple[float, ...]:
        """None at all."""
        return ()

    def start(self, region: Region, generator: torch.Generator) -> Tensor:
        """On the sphere of radius eps (Linf: eps times a random sign)."""
        return self.threat.noise(region.centre, generator)


def check_step_size(attack: FFGSM | PGD) -> None:
    """Raise ValueError unless the step size is None or positive."""
    if attack.step_size is not None:
        object.__setattr__(attack, "step_size", positive(attack.step_size, f"{type(attack).__name__}: step_size"))
