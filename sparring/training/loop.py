"""What happens around the steps: records, probe, checkpoints, and stopping for a signal or a loss that is no number."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import lightning
import torch
import torch.distributed as dist
from torch.utils.tensorboard.writer import SummaryWriter

from sparring.config import RunConfig
from sparring.training import checkpoints, run_folder
from sparring.training.gather import processes
from sparring.training.module import ContrastiveModule
from sparring.training.probe import Probe
from sparring.training.progress import Display
from sparring.training.signals import Stopped, StopRequest
from sparring.training.uniform import PATIENCE, still_uniform

METRICS = "metrics.jsonl"
LOOK_EVERY = 50
"""At most so many steps between two looks at values that live on a GPU: each look waits for it."""
LOOK_SECONDS = 5.0
"""At most about so many seconds between two looks of several processes: who asks them to stop waits a while, then kills."""


class Loop(lightning.Callback):
    """One line of metrics an epoch, a checkpoint every k epochs; only the first process writes."""

    def __init__(
        self,
        run: Path,
        config: RunConfig,
        display: Display,
        *,
        probe: Probe | None,
        uniform: float | None,
        request: StopRequest,
        resume: checkpoints.State | None = None,
    ) -> None:
        self.run, self.config, self.display = run, config, display
        self.probe, self.uniform, self.request, self.resume = probe, uniform, request, resume
        self.losses: list[float] = []
        self.writer: SummaryWriter | None = None
        self.started = time.perf_counter()
        self.measured_from = (self.started, 0)
        self.look_every = 1  # how long a step takes is not known yet
        self.steps_unseen, self.looked = 0, self.started

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Continue the optimiser and the records from the checkpoint."""
        module = _ours(pl_module)
        if self.resume is not None:
            trainer.optimizers[0].load_state_dict(self.resume.optimizer)
        first, epochs = module.start_epoch, self.config.training.epochs
        assert epochs is not None
        if trainer.is_global_zero:
            run_folder.keep_epochs(self.run / METRICS, first)
            self.writer = SummaryWriter(str(self.run / "tensorboard"), purge_step=first if self.resume else None)
            done = first * module.steps_per_epoch + module.start_step
            self.display.start(epochs * module.steps_per_epoch, done)

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Begin the epoch's sums and its clock."""
        module, resumed = _ours(pl_module), self.resume if trainer.current_epoch == 0 else None
        sums = None if resumed is None or resumed.sums is None else resumed.sums.to(module.device)
        module.begin_epoch(sums)
        self.started = time.perf_counter()
        self.measured_from = (self.started, module.step_in_epoch(0))
        self.steps_unseen, self.looked = 0, self.started

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Look at the loss now and then, draw the bar, stop if asked to."""
        module, done = _ours(pl_module), _ours(pl_module).step_in_epoch(batch_idx) + 1
        self.steps_unseen += 1
        free = _looks_are_free(module)
        look = free or self.steps_unseen >= self.look_every
        if look:
            module.check_finite()
        if look and not free:
            self._plan_next_look(module)
        if self.display.due:
            loss = float(sum(term.item() for term in module.terms.values()))
            epoch = f"{module.epoch + 1}/{self.config.training.epochs}"
            self.display.update(module.epoch * module.steps_per_epoch + done, epoch, loss, self._speed(done))
        # The last step's request is served after the epoch's end, whose records belong to it.
        if done < module.steps_per_epoch and (look or processes() == 1) and self._asked_to_stop(module):
            module.check_finite()
            self._stop(trainer, module, done)

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Probe, records, checkpoint."""
        module = _ours(pl_module)
        module.check_finite()
        training = self.config.training
        done = module.epoch + 1
        seconds = time.perf_counter() - self.started
        means = module.means(module.steps_per_epoch)
        loss = sum(means[name] for name in module.terms)
        record: dict[str, Any] = {"epoch": module.epoch, "step": done * module.steps_per_epoch, "loss": loss}
        record |= means | {"lr": module.rate(module.steps_per_epoch - 1)}
        record |= {"images_per_second": self._speed(module.steps_per_epoch), "seconds": seconds}
        due = training.probe_every and (done % training.probe_every == 0 or done == training.epochs)
        if due and self.probe is not None and trainer.is_global_zero:
            record["probe_knn_accuracy"] = self.probe(module.encoder, module.device)
        if trainer.is_global_zero:
            self._write(record)
        self._warn_if_uniform(module, loss)
        stopping = self._asked_to_stop(module)
        if done % training.checkpoint_every == 0 or done == training.epochs or stopping:
            self._save(trainer, module, done, 0)
        if stopping and done != training.epochs:
            raise self._stopped(done, 0)

    def teardown(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str) -> None:
        """Close what was opened, also after an error."""
        self.display.stop()
        if self.writer is not None:
            self.writer.close()

    def _speed(self, done: int) -> float:
        """Images a second over all processes since the epoch (or its resumed part) began."""
        began, first = self.measured_from
        assert self.config.training.batch_size is not None
        return (done - first) * self.config.training.batch_size / max(time.perf_counter() - began, 1e-9)

    def _write(self, record: dict[str, Any]) -> None:
        run_folder.append_line(self.run / METRICS, record)
        assert self.writer is not None
        for name, value in record.items():
            if name not in ("epoch", "step"):
                self.writer.add_scalar(name, value, record["epoch"])
        probe = f", kNN probe {100 * record['probe_knn_accuracy']:.1f} %" if "probe_knn_accuracy" in record else ""
        sentence = (
            f"epoch {record['epoch'] + 1}/{self.config.training.epochs}: loss {record['loss']:.4f}{probe}, "
            f"{record['images_per_second']:,.0f} images/s"
        )
        (self.display.note if not self.display.bar.disable and not probe else self.display.say)(sentence)

    def _warn_if_uniform(self, module: ContrastiveModule, loss: float) -> None:
        if self.uniform is not None and module.epoch < PATIENCE:
            self.losses.append(loss)
            if still_uniform(self.losses, self.uniform):
                self.display.say(
                    f"warning: after {PATIENCE} epochs the loss ({loss:.4f}) is within 1 % of {self.uniform:.4f}, "
                    "its value when all embeddings are equal: nothing is learnt; change optimizer.lr or temperature"
                )

    def _asked_to_stop(self, module: ContrastiveModule) -> bool:
        """Whether any process was asked to: all must stop after the same step."""
        if processes() == 1:
            return bool(self.request.signal)
        signal = torch.tensor(self.request.signal, device=module.device)
        dist.all_reduce(signal, op=dist.ReduceOp.MAX)
        self.request.signal = int(signal.item())
        return bool(self.request.signal)

    def _plan_next_look(self, module: ContrastiveModule) -> None:
        """After as many steps as the slowest process makes in LOOK_SECONDS: all must ask one another after the same step."""
        seconds = (time.perf_counter() - self.looked) / self.steps_unseen
        if processes() > 1:
            slowest = torch.tensor(seconds, device=module.device)
            dist.all_reduce(slowest, op=dist.ReduceOp.MAX)
            seconds = slowest.item()
        self.look_every = min(LOOK_EVERY, max(1, int(LOOK_SECONDS / max(seconds, 1e-9))))
        self.steps_unseen, self.looked = 0, time.perf_counter()

    def _stop(self, trainer: lightning.Trainer, module: ContrastiveModule, step: int) -> None:
        self._save(trainer, module, module.epoch, step)
        raise self._stopped(module.epoch, step)

    def _stopped(self, epoch: int, step: int) -> Stopped:
        where = f"{epoch} epochs" + (f" and {step} steps" if step else "")
        message = f"stopped by a signal after {where}, saved; continue with: sparring train --resume {self.run}"
        self.display.say(message)
        return Stopped(128 + self.request.signal, message)

    def _save(self, trainer: lightning.Trainer, module: ContrastiveModule, epoch: int, step: int) -> None:
        if trainer.is_global_zero:
            sums = module.sums.cpu() if step and module.sums is not None else None
            state = checkpoints.State(epoch, step, trainer.optimizers[0].state_dict(), sums)
            checkpoints.save(self.run, module.encoder, state)
        if processes() > 1:
            dist.barrier()


def _looks_are_free(module: ContrastiveModule) -> bool:
    """Whether there is nothing to wait for."""
    return module.device.type == "cpu"


def _ours(module: lightning.LightningModule) -> ContrastiveModule:
    assert isinstance(module, ContrastiveModule)
    return module
