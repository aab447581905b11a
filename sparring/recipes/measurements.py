"""What is measured of a trained cell: each measurement a value that knows its file and how it is taken."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

from sparring.config import NO_FIGURE, ROOTS, DataConfig, EvaluationConfig, RunConfig
from sparring.measuring import LatentConfig, RobustnessConfig, TransferConfig
from sparring.recipes.workers import loaders


@dataclass(frozen=True)
class Clean:
    """Clean evaluations by their protocols."""

    stage: ClassVar[str] = "clean"
    protocols: tuple[str, ...]
    version: Literal["default", "paper"]
    evaluation: EvaluationConfig
    where: DataConfig | None = None
    """Where the images are now; None is where the run was trained on them."""

    @property
    def name(self) -> str:
        """Of its file."""
        return f"clean-{'-'.join(self.protocols)}-{self.version}-{digest_of(self.evaluation)}"

    @property
    def conditions(self) -> dict[str, Any]:
        """Versions of protocols and all settings that the figures depend on."""
        of = {"version": self.version, "evaluation": changed(self.evaluation)}
        return {"protocols": versions(*self.protocols), **of}

    def take(self, run: Path, state: Path, *, report: bool) -> dict[str, Any]:
        """The figures by protocol."""
        from sparring import experiment

        config = replace(stored(run, self.where), evaluation=self.evaluation)
        return experiment.measure(run, config, protocols=self.protocols, version=self.version, report=report)


@dataclass(frozen=True)
class Perturbed:
    """What the report draws of perturbations and batch norms (CLAE, Figs. 2 to 4), with the classifier that Clean fits."""

    stage: ClassVar[str] = "perturbations"
    evaluation: EvaluationConfig
    where: DataConfig | None = None

    @property
    def name(self) -> str:
        """Of its file."""
        return f"perturbations-{digest_of(self.evaluation)}"

    @property
    def conditions(self) -> dict[str, Any]:
        """Versions of protocols and all settings that the figures depend on."""
        return {"protocols": versions("logistic"), "evaluation": changed(self.evaluation)}

    def take(self, run: Path, state: Path, *, report: bool) -> dict[str, Any]:
        """analysis.json."""
        from sparring import experiment

        config = replace(stored(run, self.where), evaluation=self.evaluation)
        experiment.measure(run, config, protocols=("logistic",))
        return json.loads((run / "analysis.json").read_text())


@dataclass(frozen=True)
class Robust:
    """Attacks and corruptions of one robust evaluation."""

    stage: ClassVar[str] = "robustness"
    config: RobustnessConfig
    evaluation: EvaluationConfig
    where: DataConfig | None = None

    @property
    def name(self) -> str:
        """Of its file."""
        return f"robustness-{digest_of(self.evaluation)}-{digest_of(self._named)}"

    @property
    def conditions(self) -> dict[str, Any]:
        """Versions of protocols and all settings that the figures depend on."""
        fitted = [self.config.classifier] if self.config.classifier else ["own", "logistic"]
        of = {"settings": changed(self._named), "evaluation": changed(self.evaluation)}
        return {"protocols": versions("robustness", *fitted), **of}

    @property
    def _named(self) -> RobustnessConfig:
        """The settings, with the name of a folder of corrupted images in the place of its path."""
        root = self.config.corrupted_root
        return replace(self.config, corrupted_root=root and Path(root).name)

    def take(self, run: Path, state: Path, *, report: bool) -> dict[str, Any]:
        """robustness.json. AutoAttack keeps what it has done in `state`."""
        from sparring import robustness

        robustness.of_a_run(run, settings(self.evaluation, self.where), self.config, state=state, report=report)
        return json.loads((run / "robustness.json").read_text())


@dataclass(frozen=True)
class Latent:
    """A look into the latent space."""

    stage: ClassVar[str] = "latent"
    config: LatentConfig
    evaluation: EvaluationConfig
    where: DataConfig | None = None

    @property
    def name(self) -> str:
        """Of its file."""
        return f"latent-{digest_of(self.evaluation)}-{digest_of(self.config)}"

    @property
    def conditions(self) -> dict[str, Any]:
        """Versions of protocols and all settings that the figures depend on."""
        of = {"settings": changed(self.config), "evaluation": changed(self.evaluation)}
        return {"protocols": versions("latent"), **of}

    def take(self, run: Path, state: Path, *, report: bool) -> dict[str, Any]:
        """latent.json."""
        from sparring import latent

        latent.of_a_run(run, settings(self.evaluation, self.where), self.config, report=report)
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
        """Of its file."""
        return f"{self.key}-{digest_of(self._own)}" + (f"-{self.penalties}" if self.penalties else "")

    @property
    def conditions(self) -> dict[str, Any]:
        """Versions of protocols and all settings that the figures depend on."""
        return {"protocols": versions("transfer"), "settings": changed(self._own), "penalties": self.penalties}

    @property
    def _own(self) -> TransferConfig:
        """The settings; where the images lie changes no figure."""
        return replace(self.config, root=None, download=False, workers=TransferConfig().workers)

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
        targets = transfer.opened(self.config.name, replace(self.config, workers=loaders()), size)
        encoder, channels = transfer.encoder_of(given, checkpoints.latest(run) / checkpoints.WEIGHTS)
        (entry,) = transfer.measure(encoder, targets, protocol, size, channels, device=str(device_of(given))).values()
        if "left_out" in entry:
            raise ValueError(entry["left_out"])
        return entry


Measurement = Clean | Perturbed | Robust | Latent | Transferred


def settings(evaluation: EvaluationConfig, where: DataConfig | None = None) -> dict[str, Any]:
    """The given fields, where the images are, and how many processes decode them, by their dotted names."""
    given = {f"evaluation.{key}": value for key, value in asdict(evaluation).items() if value is not None}
    places = {f"data.{key}": getattr(where, key) for key in HERE} if where else {}
    return given | places | {"data.workers": loaders()}


PATHS = tuple(key.removeprefix("data.") for key in ROOTS)
"""Settings of the data that say where images are, not which."""
HERE = (*PATHS, *(key.removeprefix("data.") for key in NO_FIGURE if key.startswith("data.")))
"""Those that are not the run's, but of where it is measured: they change no figure."""


def stored(run: Path, where: DataConfig | None) -> RunConfig:
    """The configuration of a run folder, its images where they are now."""
    from sparring.training.run_folder import load_config

    config = load_config(run)
    moved = {key: getattr(where, key) for key in HERE} if where else {}
    return replace(config, data=replace(config.data, **moved | {"workers": loaders()}))


def versions(*names: str) -> dict[str, int]:
    """Of protocols by their names, or of all."""
    from sparring.evaluation import Transfer
    from sparring.evaluation.finetuned import FINETUNED
    from sparring.evaluation.protocols import KNN, Linear, Logistic, Own
    from sparring.evaluation.robustness import VERSION as ROBUSTNESS
    from sparring.latent import VERSION as LATENT

    known = {kind.name: kind.version for kind in (KNN, Logistic, Linear, Own, Transfer, *FINETUNED.values())}
    known |= {"robustness": ROBUSTNESS, "latent": LATENT}
    return {name: known[name] for name in names or known}


def digest_of(config: Any) -> str:
    """Eight letters that tell one configuration from another; a setting that came later and is left alone changes none."""
    return hashlib.sha256(json.dumps(changed(config), sort_keys=True).encode()).hexdigest()[:8]


def changed(config: Any) -> dict[str, Any]:
    """The settings that differ from the defaults, group by group."""
    return _changed(asdict(config), asdict(type(config)()))


def _changed(values: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    return {
        key: _changed(value, defaults[key]) if isinstance(value, dict) else value
        for key, value in values.items()
        if value != defaults[key]
    }
