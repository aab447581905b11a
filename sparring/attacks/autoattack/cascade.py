"""The cascade of AutoAttack: which member sees which images, in which batches, and what the verdict is."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from sparring.attacks.autoattack.attack import AutoAttack, AutoAttacked
from sparring.attacks.autoattack.members import Logits, costs, members, rounding, square_can_tile
from sparring.attacks.autoattack.model import (
    Model,
    check_labels,
    check_numbers,
    check_scale,
    refusing_training_mode,
)
from sparring.attacks.autoattack.progress import CLEAN, ROBUST, Pace, Progress
from sparring.attacks.autoattack.state import PROBED, Chunk, State, fingerprint, new_chunk
from sparring.attacks.region import Region


class Cascade:
    """One AutoAttack on n images; expects gradients to be off and the random state to be its own."""

    def __init__(
        self,
        attack: AutoAttack,
        model: Model,
        x: Shaped[Tensor, "n C H W"],
        y: Int[Tensor, " n"],
        device: torch.device,
        state: State | None,
        progress: Callable[[Progress], None] | None,
    ) -> None:
        self.start = time.perf_counter()
        self.attack, self.x, self.y = attack, x, y.long()
        self.device, self.state, self.progress = device, state, progress
        if attack.threat.norm != "Linf" and "square" in attack.members and not square_can_tile(x):
            raise ValueError(
                f"x is {x.shape[-2]} pixels high and {x.shape[-1]} wide, into which Square's tiles in "
                f"{attack.threat.norm} do not fit; leave square out, or take another size, such as 8, 16 or 32 pixels."
            )
        self.logits = Logits(model, x.dtype)
        self.probe = self._probe(model)
        self.members = members(attack, self.logits, device)
        self.pace = Pace(costs(attack, self.logits.classes))
        self.done = self.robust = 0

    def run(self) -> AutoAttacked:
        """Every chunk in turn, with the state's folder to itself."""
        if self.state is None:
            return self._run()
        with self.state.held():
            self.state.check(fingerprint(self.attack, self.x, self.y, self.probe, self.device))
            return self._run()

    def check(self) -> None:
        """ValueError if what the state keeps is of other settings, images or model."""
        if self.state is not None and self.state.begun:
            with self.state.held():
                self.state.check(fingerprint(self.attack, self.x, self.y, self.probe, self.device))

    def _run(self) -> AutoAttacked:
        x_adv, codes = self.x.clone(), torch.empty(len(self.x), dtype=torch.int64)
        for number, rows in enumerate(torch.arange(len(self.x)).split(self.attack.chunk)):
            chunk = self._chunk(number, rows)
            codes[rows] = chunk.codes
            broken = chunk.codes >= 0
            x_adv[rows[broken].to(x_adv.device)] = chunk.x_adv[broken].to(x_adv.device)
        names = {ROBUST: "", CLEAN: "clean", **dict(enumerate(self.attack.members))}
        return AutoAttacked(x_adv, (codes == ROBUST).to(self.x.device), [names[code] for code in codes.tolist()])

    def _chunk(self, number: int, rows: Int[Tensor, " m"]) -> Chunk:
        """The verdict on one chunk, continued from where the state has it."""
        x, y = self.x[rows[0] : rows[-1] + 1], self.y[rows[0] : rows[-1] + 1]
        chunk = None if self.state is None else self.state.load(number, x, len(self.attack.members))
        fresh = chunk is None
        if chunk is None:
            chunk = new_chunk(x)
            chunk.codes[~self._right(x, y, rows)] = CLEAN
        self.pace.begin(chunk.codes)
        if fresh:
            self._report(chunk, "clean", 0, int((chunk.codes == ROBUST).sum()))
        last = len(self.attack.members) - 1
        for member, name in enumerate(self.attack.members):
            # Those that withstood every member before it: also the ones that it, or a later one, has broken since.
            faced = ((chunk.codes == ROBUST) | (chunk.codes >= member)).nonzero().flatten()
            for batch, some in enumerate(faced.split(self.attack.batch_size) if len(faced) else ()):
                recalled = (member, batch) < (chunk.member, chunk.batch)
                began = time.perf_counter()
                if not recalled:
                    self._attack(chunk, member, some, x, y, rows)
                    chunk.member, chunk.batch = member, batch + 1
                    if self.state is not None:
                        self.state.save(number, chunk)
                broke = int((chunk.codes[some] == member).sum())
                self.pace.attacked(member, len(some), broke, None if recalled else time.perf_counter() - began)
                if not recalled:
                    self._report(chunk, name, member, len(faced) - (batch + 1) * self.attack.batch_size)
        self._report(chunk, self.attack.members[last], last, 0)
        self.done += len(rows)
        self.robust += int((chunk.codes == ROBUST).sum())
        return chunk

    def _attack(
        self,
        chunk: Chunk,
        member: int,
        some: Int[Tensor, " b"],
        x: Shaped[Tensor, "m C H W"],
        y: Int[Tensor, " m"],
        rows: Int[Tensor, " m"],
    ) -> None:
        """One member on one batch."""
        name = self.attack.members[member]
        images, labels = self._images(x, some), y[some.to(y.device)].to(self.device)
        # The members seed themselves after a first forward; a model that draws numbers there is repeatable as well.
        torch.manual_seed(self.attack.seed)
        x_adv = self._stored(x[some.to(x.device)], images, self.members[name](images, labels).detach())
        logits = self.logits(x_adv.float())
        fooled = logits.max(dim=1).indices != labels
        broken = some[fooled.cpu()]
        check_numbers(logits[fooled], rows[broken], f"as {name} changed it")
        self._verify(name, images[fooled], x_adv[fooled], rows[broken])
        chunk.codes[broken] = member
        chunk.x_adv[broken] = x_adv[fooled].cpu()

    def _verify(
        self,
        name: str,
        images: Float[Tensor, "b C H W"],
        x_adv: Float[Tensor, "b C H W"],
        rows: Int[Tensor, " b"],
    ) -> None:
        """RuntimeError if a member left the ball or the box by more than float32 rounds."""
        threat, pixels = self.attack.threat, images[:1].numel()
        distance = torch.linalg.vector_norm((x_adv.double() - images.double()).flatten(1), threat.order, dim=1)
        outside = torch.maximum(-x_adv, x_adv - 1).flatten(1).amax(dim=1)
        limit = threat.eps * (1 + 1e-5) + rounding(threat.norm, pixels)
        wrong = (~((distance <= limit) & (outside <= 1e-6))).nonzero().flatten()
        if len(wrong):
            first = int(wrong[0])
            raise RuntimeError(
                f"{name} moved image {int(rows[first])} by {distance[first]:.6g} in {threat.norm} and "
                f"{max(float(outside[first]), 0.0):.2g} out of [0, 1], where eps is {threat.eps:.6g}: a fault of this member."
            )

    @staticmethod
    def _in_box(x: Float[Tensor, "b C H W"]) -> Float[Tensor, "b C H W"]:
        """Contiguous float32 images within [0, 1], the only kind the members take."""
        return x.float().clamp(0, 1).contiguous()

    def _images(self, x: Float[Tensor, "m C H W"], some: Int[Tensor, " b"]) -> Float[Tensor, "b C H W"]:
        """A batch as the members take it."""
        return self._in_box(x[some.to(x.device)].to(self.device))

    def _stored(
        self, x: Float[Tensor, "b C H W"], images: Float[Tensor, "b C H W"], x_adv: Float[Tensor, "b C H W"]
    ) -> Float[Tensor, "b C H W"]:
        """x_adv in the dtype of x; rounded towards x if that is coarser than float32, lest it leave the ball."""
        if x.dtype.itemsize >= 4:
            return x_adv.to(x.dtype)
        return Region(self.attack.threat, images.to(x.dtype)).images(x_adv - images)

    def _right(self, x: Float[Tensor, "m C H W"], y: Int[Tensor, " m"], rows: Int[Tensor, " m"]) -> Bool[Tensor, " m"]:
        """Which images the model classifies rightly before any attack."""
        right = []
        torch.manual_seed(self.attack.seed)  # also where a killed run goes on, for a model that draws numbers
        for some in torch.arange(len(x)).split(self.attack.batch_size):
            logits = self.logits(self._images(x, some))
            check_numbers(logits, rows[some], "before any attack")
            right.append(logits.max(dim=1).indices.cpu() == y[some.to(y.device)].cpu())
        return torch.cat(right)

    def _probe(self, model: Model) -> Float[Tensor, "p K"]:
        """Logits of the first images, after every question to the model."""
        images = self._in_box(self.x[:PROBED].to(self.device))
        gradients = [name for name in self.attack.members if name != "square"]
        torch.manual_seed(self.attack.seed)
        with refusing_training_mode(model):
            logits = self.logits(images)
        check_numbers(logits, torch.arange(len(images)), "before any attack")
        if gradients:
            check_scale(logits, self.logits.output_dtype)
            with torch.enable_grad():
                self.logits(images.requires_grad_())
        self.logits.classes = logits.shape[1]
        check_labels(self.y, logits.shape[1])
        return logits.cpu()

    def _report(self, chunk: Chunk, name: str, member: int, waiting: int) -> None:
        """Where things stand when `waiting` images of the chunk still have to face `member`."""
        if self.progress is None:
            return
        robust, waiting = int((chunk.codes == ROBUST).sum()), max(waiting, 0)
        settled = len(chunk.codes) - (waiting if member == len(self.attack.members) - 1 else robust)
        begun = self.done + len(chunk.codes)
        self.progress(
            Progress(
                done=self.done + settled,
                total=len(self.x),
                member=name,
                robust=self.robust + robust,
                begun=begun,
                elapsed=time.perf_counter() - self.start,
                eta=self.pace.eta(member, waiting, robust, len(self.x) - begun),
            )
        )
