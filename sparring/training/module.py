"""One LightningModule for every method: views on the device, the method's terms, their sum."""

from __future__ import annotations

from typing import Any

import lightning
import torch
from torch import Tensor

from sparring.attacks.watched import Check, first_failed, keeping_checks
from sparring.config import RunConfig
from sparring.data import Pipeline, make_views
from sparring.encoders import ContrastiveEncoder
from sparring.training.gather import Gathered, gather_rows, processes
from sparring.training.optimisers import build_optimizer
from sparring.training.randomness import generator, reseed_network
from sparring.training.schedules import learning_rate
from sparring.types import Batch, Method, Terms


class ContrastiveModule(lightning.LightningModule):
    """Trains `encoder` by `method`: the method's terms are summed, nothing else is added.

    `start_epoch` and `start_step` say where a resumed run continues. `terms` and `counts` hold the last step's values
    and `first_bad` the first step of the epoch at which a term was not finite (-1: none), all on the device, as is what
    attacks have to complain of since the last look: reading them is left to whoever can afford to wait for it.
    """

    def __init__(
        self,
        encoder: ContrastiveEncoder,
        method: Method,
        pipeline: Pipeline,
        config: RunConfig,
        *,
        crops: Pipeline | None = None,
        steps_per_epoch: int,
        start_epoch: int = 0,
        start_step: int = 0,
        pseudo_labels: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.method = method
        self.pipeline = pipeline
        self.crops = crops
        self.config = config
        self.steps_per_epoch = steps_per_epoch
        self.start_epoch = start_epoch
        self.start_step = start_step
        self.pseudo_labels = pseudo_labels
        self.terms: Terms = {}
        self.counts: dict[str, Tensor] = {}
        self.sums: Tensor | None = None
        self.first_bad: Tensor | None = None
        self.attacks: list[tuple[int, list[Check]]] = []

    @property
    def epoch(self) -> int:
        """The epoch of the run, counted over resumptions."""
        return self.start_epoch + self.current_epoch

    def step_in_epoch(self, batch_index: int) -> int:
        """The step of the epoch, counted over resumptions."""
        return batch_index + (self.start_step if self.current_epoch == 0 else 0)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """The optimiser of the configuration; its rate is set before every step by `rate`.

        After every step prototypes are brought back to unit length.
        """
        optimizer, prototypes = build_optimizer(self.encoder, self.config.optimizer), self.encoder.prototypes
        if prototypes is not None:
            optimizer.register_step_post_hook(lambda *_: prototypes.normalize_())
        return optimizer

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """In the first epochs, prototypes do not move."""
        if self.encoder.prototypes is not None and self.epoch < (self.config.method.freeze_prototypes or 0):
            self.encoder.prototypes.weight.grad = None

    def rate(self, step: int) -> float:
        """The learning rate at a step of the current epoch."""
        optimizer, epochs = self.config.optimizer, self.config.training.epochs
        assert optimizer.lr is not None and optimizer.schedule is not None and epochs is not None
        return learning_rate(
            self.epoch + step / self.steps_per_epoch,
            schedule=optimizer.schedule,
            lr=optimizer.lr,
            epochs=epochs,
            milestones=optimizer.milestones or (),
            factors=optimizer.factors or (),
            warmup_epochs=optimizer.warmup_epochs or 0,
        )

    def training_step(self, batch: tuple[Tensor, Tensor | None, Tensor], batch_index: int) -> Tensor:
        """The sum of the method's terms, times the number of processes (see gather.py)."""
        seed, epoch, step, rank = (
            self.config.training.seed,
            self.epoch,
            self.step_in_epoch(batch_index),
            self.global_rank,
        )
        for group in self.trainer.optimizers[0].param_groups:
            group["lr"] = self.rate(step)
        reseed_network(seed, epoch, step, rank)
        images, labels, index = batch
        place = images.device
        index = gather_rows(index, dim=0)
        if self.pseudo_labels is not None:
            self.pseudo_labels = self.pseudo_labels.to(place)
        place_in_run: dict[str, Any] = {
            "seed": seed,
            "epoch": epoch,
            "step": step,
            "rank": rank,
            "world_size": processes(),
        }
        views = make_views(images, self.pipeline, **place_in_run)
        crops = self.crops and make_views(images, self.crops, **place_in_run, purpose="crops")
        if self.config.training.channels_last:
            views = views.permute(0, 1, 3, 4, 2).contiguous().permute(0, 1, 4, 2, 3)
        known = Batch(
            views,
            labels=None if labels is None else gather_rows(labels, dim=0),
            epoch=epoch,
            generator=generator(seed, "attack", epoch, step, rank, place),
            first=rank * len(images),
            index=index,
            pseudo_labels=None if self.pseudo_labels is None else self.pseudo_labels[index],
            shared_generator=generator(seed, "pairs", epoch, step, device=place),
            crops=crops,
        )
        try:
            with keeping_checks() as checks:
                terms = self.method(Gathered(self.encoder), known)
        except FloatingPointError as error:
            raise self._in_attack(error, step) from None
        if checks:
            self.attacks.append((step, checks))
        self._record(terms, known.counts, step)
        return torch.stack(list(terms.values())).sum() * processes()

    def _record(self, terms: Terms, counts: dict[str, Tensor], step: int) -> None:
        """Keeps values on the device: no step waits for the numbers it logs."""
        self.terms = {name: term.detach() for name, term in terms.items()}
        self.counts = {name: count.detach() for name, count in counts.items()}
        last = torch.stack([value.double() for value in (self.terms | self.counts).values()])
        self.sums = last if self.sums is None else self.sums + last
        bad = torch.where(last.isfinite(), -1, step)
        self.first_bad = bad if self.first_bad is None else torch.where(self.first_bad < 0, bad, self.first_bad)

    def begin_epoch(self, sums: Tensor | None = None) -> None:
        """Forgets the last epoch's values; `sums` are those of the part of the epoch that ran before a resumption."""
        self.sums = sums
        self.first_bad = None
        self.attacks = []

    def means(self, steps: int) -> dict[str, float]:
        """The mean over the epoch's `steps` of every term and count."""
        assert self.sums is not None
        return dict(zip((self.terms | self.counts), (self.sums / steps).tolist(), strict=True))

    def check_finite(self) -> None:
        """Raises what an attack would have raised, or FloatingPointError with the step and the name of the first term of
        the epoch that was not finite, whichever came first."""
        if self.first_bad is None:
            return
        steps = dict(zip((self.terms | self.counts), self.first_bad.tolist(), strict=True))
        bad = {name: step for name, step in steps.items() if step >= 0}
        self._check_attacks(min(bad.values(), default=self.steps_per_epoch))
        if bad:
            name = min(bad, key=lambda key: bad[key])
            value = "" if len(self.terms) == 1 else f" of the terms {', '.join(self.terms)}"
            raise FloatingPointError(
                f"training stopped: the term {name!r}{value} became NaN or infinite at step {bad[name]} of epoch "
                f"{self.epoch}; try a smaller optimizer.lr or a higher method.temperature"
            )

    def _check_attacks(self, until: int) -> None:
        """Raises the first error of the attacks since the last look, unless a term was bad at an earlier step."""
        checks = [(step, fine, error) for step, checks in self.attacks for fine, error in checks]
        self.attacks = []
        failed = first_failed(torch.stack([fine for _, fine, _ in checks])) if checks else None
        if failed is None or checks[failed][0] > until:
            return
        step, _, make = checks[failed]
        error = make()
        raise self._in_attack(error, step) if isinstance(error, FloatingPointError) else error

    def _in_attack(self, error: FloatingPointError, step: int) -> FloatingPointError:
        return FloatingPointError(f"training stopped at step {step} of epoch {self.epoch}, inside the attack: {error}")
