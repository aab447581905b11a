"""What is measured of a trained cell: each measurement a value that knows its file and how it is taken."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

from sparring.config import EvaluationConfig
from sparring.measuring import LatentConfig, RobustnessConfig, TransferConfig


@dataclass(frozen=True)
class Clean:
    """Clean evaluations by their protocols."""

    stage: ClassVar[str] = "clean"
    protocols: tuple[str, ...]
    version: Literal["default", "paper"]
    evaluation: EvaluationConfig

    @property
    def name(self) -> str:
        """Of its file."""
        return f"clean-{'-'.join(self.protocols)}-{self.version}-{digest_of(self.evaluation)}"

    def take(self, run: Path, state: Path, *, report: bool) -> dict[str, Any]:
        """The figures by protocol."""
        from sparring import experiment
        from sparring.training.run_folder import load_config

        config = replace(load_config(run), evaluation=self.evaluation)
        return experiment.measure(run, config, protocols=self.protocols, version=self.version, report=report)


@dataclass(frozen=True)
class Perturbed:
    """What the report draws of perturbations and batch norms (CLAE, Figs. 2 to 4), with the classifier that Clean fits."""

    stage: ClassVar[str] = "perturbations"
    evaluation: EvaluationConfig

    @property
    def name(self) -> str:
        """Of its file."""
        return f"perturbations-{digest_of(self.evaluation)}"

    def take(self, run: Path, state: Path, *, report: bool) -> dict[str, Any]:
        """analysis.json."""
        from sparring import experiment
        from sparring.training.run_folder import load_config

        config = replace(load_config(run), evaluation=self.evaluation)
        experiment.measure(run, config, protocols=("logistic",))
        return json.loads((run / "analysis.json").read_text())


@dataclass(frozen=True)
class Robust:
    """Attacks and corruptions of one robust evaluation."""

    stage: ClassVar[str] = "robustness"
    config: RobustnessConfig
    evaluation: EvaluationConfig

    @property
    def name(self) -> str:
        """Of its file."""
        return f"robustness-{digest_of(self.evaluation)}-{digest_of(self.config)}"

    def take(self, run: Path, state: Path, *, report: bool) -> dict[str, Any]:
        """robustness.json. AutoAttack keeps what it has done in `state`."""
        from sparring import robustness

        robustness.of_a_run(run, settings(self.evaluation), self.config, state=state, report=report)
        return json.loads((run / "robustness.json").read_text())


@dataclass(frozen=True)
class Latent:
    """A look into the latent space."""

    stage: ClassVar[str] = "latent"
    config: LatentConfig
    evaluation: EvaluationConfig

    @property
    def name(self) -> str:
        """Of its file."""
        return f"latent-{digest_of(self.evaluation)}-{digest_of(self.config)}"

    def take(self, run: Path, state: Path, *, report: bool) -> dict[str, Any]:
        """latent.json."""
        from sparring import latent

        latent.of_a_run(run, settings(self.evaluation), self.config, report=report)
        return json.loads((run / "latent.json").read_text())


@dataclass(frozen=True)
class Transferred:
    """The frozen encoder on one other data set."""

    stage: ClassVar[str] = "transfer"
    config: TransferConfig
    """With the one name."""
    penalties: int | None
    """How many l2 penalties are tried; None is the protocol's number."""

    @property
    def key(self) -> str:
        """Of its figure."""
        return f"transfer-{self.config.name[0]}"

    @property
    def name(self) -> str:
        """Of its file; where the images lie changes no figure."""
        own = replace(self.config, root=None, download=False, workers=TransferConfig().workers)
        return f"{self.key}-{digest_of(own)}" + (f"-{self.penalties}" if self.penalties else "")

    def take(self, run: Path, state: Path, *, report: bool) -> dict[str, Any]:
        """The figure, as transfer.json has it. ValueError if the data set is damaged."""
        from sparring import transfer
        from sparring.evaluation import Transfer
        from sparring.training import checkpoints
        from sparring.training.check import device_of
        from sparring.training.run_folder import load_config

        given = load_config(run)
        protocol = Transfer(layer=self.config.layer, domain=given.evaluation.domain or "clean")
        if self.penalties is not None:
            protocol = replace(protocol, count=self.penalties)
        size = transfer.size_of(given, self.config)
        targets = transfer.opened(self.config.name, self.config, size)
        encoder, channels = transfer.encoder_of(given, checkpoints.latest(run) / checkpoints.WEIGHTS)
        (entry,) = transfer.measure(encoder, targets, protocol, size, channels, device=str(device_of(given))).values()
        if "left_out" in entry:
            raise ValueError(entry["left_out"])
        return entry


Measurement = Clean | Perturbed | Robust | Latent | Transferred


def settings(evaluation: EvaluationConfig) -> dict[str, Any]:
    """The given fields by their dotted names."""
    return {f"evaluation.{key}": value for key, value in asdict(evaluation).items() if value is not None}


def once(file: Path, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What `file` holds, or what `make` makes and is then written into it."""
    from sparring.training.run_folder import write_json

    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        write_json(file, make())
    return json.loads(file.read_text())


def digest_of(config: Any) -> str:
    """Eight letters that tell one configuration from another; a setting that came later and is left alone changes none."""
    text = json.dumps(_changed(asdict(config), asdict(type(config)())), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _changed(values: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    """The values that differ from the defaults, group by group."""
    return {
        key: _changed(value, defaults[key]) if isinstance(value, dict) else value
        for key, value in values.items()
        if value != defaults[key]
    }
