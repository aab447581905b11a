"""AutoAttack (Croce & Hein 2020, "Reliable evaluation of adversarial robustness with an ensemble of diverse
parameter-free attacks"): APGD-CE, targeted APGD-DLR, targeted FAB and Square, one after the other, each on the images
that those before it did not break.

The members are pyautoattack's, equal to fra31/auto-attack bit for bit; the cascade is written here, calls each member
on the batches and with the seed of `run_standard_evaluation`, and gives its x_adv bit for bit where that runs and all
images are in one chunk.

Differs from fra31/auto-attack:
- Target classes are min(9, K - 1) (L1: min(5, K - 1) for APGD-T) for K classes; there they are 9 and K < 10 fails.
- The DLR loss divides by a difference to the third logit (targeted: the fourth). Where there is none, APGD maximises
  the margin itself: z_t - z_y for targeted APGD with K < 4, and for APGD-DLR with K = 2.
- Images come in chunks of `chunk`, each with a cascade of its own; batches do not cross chunks.
- A module is attacked in evaluation mode. A function that calls a module in training mode is refused.
- 16-bit images are rounded towards x, so that they stay in the ball, and count as broken only if they still fool.
- The global random state is put back; no checks run within the attack (see the trust checks of `evaluation`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from sparring.attacks.autoattack.model import Model, check_images, place_of, undisturbed
from sparring.attacks.autoattack.progress import Progress
from sparring.attacks.threat import Threat

MEMBERS = ("apgd-ce", "apgd-dlr", "apgd-t", "fab", "fab-t", "square")


@dataclass(frozen=True)
class AutoAttacked:
    """The verdict on n images."""

    x_adv: Float[Tensor, "n C H W"]
    """Of the dtype and layout of x and on its device; x itself where nothing fooled the model, or nothing had to."""
    robust: Bool[Tensor, " n"]
    """Right before, and no member broke it."""
    broken_by: list[str]
    """The member that broke an image; "" if it is robust, "clean" if it was wrong before and so not attacked."""

    @property
    def counts(self) -> dict[str, int]:
        """How many images each member broke, by name; "" the robust, "clean" those wrong before."""
        return {name: self.broken_by.count(name) for name in sorted(set(self.broken_by))}


@dataclass(frozen=True)
class AutoAttack:
    """AutoAttack standard, or any of its `members` in any order; ("square",) alone is the Square attack.

    `iterations` are the steps of APGD and FAB, `queries` those of Square. `threat` is in pixel units and clipped.
    Raises ValueError for anything else, for images outside [0, 1], labels that are no class, and a model that returns
    no logits (a tuple, probabilities, NaN); RuntimeError inside torch.inference_mode, or if a member leaves the ball.
    """

    threat: Threat
    seed: int = 0
    members: tuple[str, ...] = ("apgd-ce", "apgd-t", "fab-t", "square")
    iterations: int = 100
    queries: int = 5000
    batch_size: int = 250
    chunk: int = 1000

    def __post_init__(self) -> None:
        if not isinstance(self.threat, Threat):
            raise ValueError(f"AutoAttack: threat is {self.threat!r}; it must be Linf, L2 or L1, as Linf(8 / 255).")
        if self.threat.space != "pixel" or not self.threat.clip:
            raise ValueError(
                f"AutoAttack: threat has space={self.threat.space!r} and clip={self.threat.clip}; it works within the "
                "box of images only: space='pixel' and clip=True."
            )
        if isinstance(self.members, str) or not self.members:
            raise ValueError(f"AutoAttack: members is {self.members!r}; it must be a tuple of names, as ('square',).")
        object.__setattr__(self, "members", tuple(self.members))
        for name in self.members:
            if name not in MEMBERS:
                near = get_close_matches(str(name), MEMBERS, n=1, cutoff=0)
                raise ValueError(
                    f"AutoAttack: members has {name!r}, which is none of {', '.join(MEMBERS)}; did you mean {near[0]!r}?"
                )
            if self.members.count(name) > 1:
                raise ValueError(f"AutoAttack: members has {name!r} more than once.")
        least = {"seed": 0, "iterations": 1, "queries": 1, "batch_size": 1, "chunk": 1}
        if self.threat.norm == "L1":
            # Three radii one after the other, of 3, 3 and 4 tenths of the steps.
            least["iterations"] = 3
        for name, low in least.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < low:
                raise ValueError(f"AutoAttack: {name} is {value!r}; it must be a whole number of at least {low}.")

    def __call__(
        self,
        model: Model,
        x: Float[Tensor, "n C H W"],
        y: Int[Tensor, " n"],
        *,
        std: tuple[float, ...] | None = None,
        generator: torch.Generator | None = None,
    ) -> Float[Tensor, "n C H W"]:
        """x_adv of `run`. The threat is in pixels, so `std` says nothing; randomness comes from `seed`, as in the
        published attack, not from `generator`."""
        return self.run(model, x, y).x_adv

    def run(
        self,
        model: Model,
        x: Float[Tensor, "n C H W"],
        y: Int[Tensor, " n"],
        *,
        state: Path | None = None,
        progress: Callable[[Progress], None] | None = None,
    ) -> AutoAttacked:
        """Attack the images that `model` classifies as `y`.

        `state` is a folder in which everything done is kept; a call that was killed continues there with the result of
        one that was not, and a finished one returns at once. Other settings, images or model are refused by name.
        `progress` is told where things stand after the predictions and every batch.
        """
        device = place_of(model, x)
        with undisturbed(model, device):
            return self._cascade(model, x, y, device, state, progress).run()

    def check(self, model: Model, x: Float[Tensor, "n C H W"], y: Int[Tensor, " n"], *, state: Path) -> None:
        """Raise the ValueError that `run` would, for what is kept in `state` or for a model that cannot be attacked, without
        attacking."""
        device = place_of(model, x)
        with undisturbed(model, device):
            self._cascade(model, x, y, device, state, None).check()

    def _cascade(
        self,
        model: Model,
        x: Float[Tensor, "n C H W"],
        y: Int[Tensor, " n"],
        device: torch.device,
        state: Path | None,
        progress: Callable[[Progress], None] | None,
    ) -> Any:
        from sparring.attacks.autoattack.cascade import Cascade
        from sparring.attacks.autoattack.state import State

        check_images(x, y)
        keeper = None if state is None else State(Path(state))
        return Cascade(self, model, x.detach(), y.detach(), device, keeper, progress)
