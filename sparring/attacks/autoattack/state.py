"""What an AutoAttack keeps in a folder, so that it can be killed at any moment and continued with the same result.

`settings.json` holds everything the result depends on; `chunk-0007.safetensors` the verdicts of a chunk, the images
that were broken, and which member comes next on which batch. Each file is replaced atomically after every batch.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float, Int, Shaped
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from sparring import __version__
from sparring.attacks.autoattack.progress import no_verdicts

if TYPE_CHECKING:
    from sparring.attacks.autoattack.attack import AutoAttack

SETTINGS, LOCK = "settings.json", "lock"
PROBED = 8
"""Images whose logits tell whether the model is the same."""
SAME = 1e-4
"""How far their logits may be from the recorded ones, as a fraction of the largest: another number of threads rounds
otherwise, another epoch is farther away."""


@dataclass
class Chunk:
    """A chunk of m images under attack. `member` and `batch` come next; `member` counts past the last when all are done."""

    codes: Int[Tensor, " m"]
    """On the CPU: ROBUST, CLEAN, or the member that broke the image."""
    x_adv: Shaped[Tensor, "m C H W"]
    """On the CPU; meaningful where a member broke the image."""
    member: int = 0
    batch: int = 0


def new_chunk(x: Shaped[Tensor, "m C H W"]) -> Chunk:
    """A chunk of which nothing is known yet."""
    return Chunk(no_verdicts(len(x)), torch.empty(x.shape, dtype=x.dtype))


def fingerprint(
    attack: AutoAttack,
    x: Shaped[Tensor, "n C H W"],
    y: Int[Tensor, " n"],
    logits: Float[Tensor, "p K"],
    device: torch.device,
) -> dict[str, Any]:
    """Everything the result depends on; `logits` are those of the first images."""
    return {
        "norm": attack.threat.norm,
        "eps": attack.threat.eps,
        "members": list(attack.members),
        "seed": attack.seed,
        "iterations": attack.iterations,
        "queries": attack.queries,
        "batch_size": attack.batch_size,
        "chunk": attack.chunk,
        "images": len(x),
        "shape": list(x.shape[1:]),
        "dtype": str(x.dtype),
        "pixels": digest(x.split(attack.chunk)),
        "labels": digest([y]),
        "classes": logits.shape[1],
        "device": device.type,
        "torch": torch.__version__,
        "pyautoattack": version("pyautoattack"),
        "sparring": __version__,
        "logits": logits.tolist(),
    }


def digest(parts: list[Tensor] | tuple[Tensor, ...], text: str = "") -> str:
    """SHA-256 of the values of tensors, whatever their layout, and of a text."""
    total = hashlib.sha256(text.encode())
    for part in parts:
        values = part.detach().cpu().contiguous()
        total.update(values.view(torch.uint8).numpy().data if values.numel() else b"")
    return total.hexdigest()


class State:
    """The folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other processes out; the lock goes when the process does, however it ends."""
        if self.folder.exists() and not self.folder.is_dir():
            raise ValueError(f"state: {self.folder} is a file; it must be a folder, new or of an earlier AutoAttack.")
        strangers = [] if not self.folder.exists() else sorted(p.name for p in self.folder.iterdir() if not is_ours(p))
        if strangers:
            raise ValueError(
                f"state: {self.folder} holds {strangers[0]}, which no AutoAttack wrote; choose a folder of its own."
            )
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / LOCK).open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ValueError(
                    f"state: {self.folder} is in use by another AutoAttack; wait, or choose another folder."
                ) from None
            yield

    @property
    def begun(self) -> bool:
        """Whether an AutoAttack was begun here."""
        return (self.folder / SETTINGS).exists()

    def check(self, now: dict[str, Any]) -> None:
        """Record the settings, or compare them with the recorded ones: ValueError that names what differs."""
        path = self.folder / SETTINGS
        if not path.exists():
            if any(self.folder.glob("chunk-*.safetensors")):
                raise ValueError(
                    f"state: {path} is missing, so what is in the folder cannot be told; delete the folder."
                )
            self._replace(path, lambda temporary: temporary.write_text(json.dumps(now, indent=1)))
            return
        try:
            before = json.loads(path.read_text())
            probe = torch.tensor(before["logits"])
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(f"state: {path} is damaged ({error}); delete the folder and start again.") from None
        for name, value in now.items():
            if name != "logits" and before.get(name) != value:
                there, here = (_radius(v) if name == "eps" else v for v in (before.get(name), value))
                raise ValueError(
                    f"an unfinished AutoAttack waits in {self.folder}, which ran with {name} {there}, this one has {here}; "
                    "continue with what it had, or delete that folder to start anew."
                )
        logits = torch.tensor(now["logits"])
        difference = (logits - probe).abs().max().item() if logits.shape == probe.shape else float("inf")
        if not difference <= SAME * logits.abs().max().item():
            raise ValueError(
                f"an unfinished AutoAttack waits in {self.folder}, which ran with another model: logits of the first image "
                f"{_short(probe)}, now {_short(logits)}; continue with the model it had, or delete that folder."
            )

    def load(self, number: int, x: Shaped[Tensor, "m C H W"], members: int) -> Chunk | None:
        """What is known of a chunk; None if nothing. ValueError that names a damaged file."""
        path = self._path(number)
        if not path.exists():
            return None
        try:
            with safe_open(path, framework="pt") as file:
                codes, broken = file.get_tensor("codes"), file.get_tensor("x_adv")
                metadata = file.metadata() or {}
            member, batch = int(metadata["member"]), int(metadata["batch"])
            if metadata["sha256"] != digest([codes, broken], f"{number} {member} {batch}"):
                raise ValueError("its contents are not what was written")
            chunk = new_chunk(x)
            if codes.shape != chunk.codes.shape or codes.max() >= members or not 0 <= member < members:
                raise ValueError("it belongs to other images or members")
            chunk.codes, chunk.member, chunk.batch = codes, member, batch
            chunk.x_adv[codes >= 0] = broken
        except (SafetensorError, ValueError, KeyError, OSError, RuntimeError) as error:
            raise ValueError(f"state: {path} is damaged ({error}); delete it to attack its images again.") from None
        return chunk

    def save(self, number: int, chunk: Chunk) -> None:
        """Replace what was known of a chunk."""
        broken = chunk.x_adv[chunk.codes >= 0].contiguous()
        place = {"member": str(chunk.member), "batch": str(chunk.batch)}
        place["sha256"] = digest([chunk.codes, broken], f"{number} {chunk.member} {chunk.batch}")
        tensors = {"codes": chunk.codes, "x_adv": broken}
        self._replace(self._path(number), lambda temporary: save_file(tensors, temporary, metadata=place))

    def _path(self, number: int) -> Path:
        return self.folder / f"chunk-{number:04d}.safetensors"

    def _replace(self, path: Path, write: Callable[[Path], Any]) -> None:
        temporary = path.with_suffix(".temporary")
        write(temporary)
        _flush(temporary)
        temporary.replace(path)
        _flush(self.folder)


def is_ours(path: Path) -> bool:
    """Whether an AutoAttack writes files of this name."""
    return path.name in (SETTINGS, LOCK) or path.suffix == ".temporary" or path.match("chunk-*.safetensors")


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _radius(eps: float) -> str:
    """With the 255ths that people write."""
    return f"{eps:.6g} ({255 * eps:.4g}/255)"


def _short(logits: Tensor) -> str:
    first = [f"{value:.6g}" for value in logits.flatten()[: min(3, logits.shape[-1])].tolist()]
    return f"[{', '.join(first)}{', ...' if logits.shape[-1] > 3 else ''}]"
