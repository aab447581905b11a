"""What a report shows of a trained encoder, computed once and written into the run folder.

`analysis.json` holds numbers and words, `analysis.npz` arrays. Everything is measured on un-augmented held-out images
with the encoder in evaluation mode and one batch norm (`domain`): there a batch's images do not depend on each other
except through the contrastive loss, whose keys are the other images of the batch. Of a method that trains a classifier
the figures attack that classifier's cross-entropy instead, and there is no contrastive loss.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from sparring.analysis import against_eps, effective_rank, statistics, uniformity
from sparring.attacks import RandomNoise, describe
from sparring.attacks.gradient import GradientAttack
from sparring.evaluation import evaluation_mode, features
from sparring.evaluation.features import Layer
from sparring.types import Batch, Domain, Encoder, Objective

EXAMPLES = 8
FITTED = "the logistic regression above"


@dataclass(frozen=True)
class Subject:
    """The encoder under study with all that the figures need to know of it."""

    encoder: Any
    loss: Callable[[Tensor, Tensor, Batch], Tensor] | None
    """None of a method that trains a classifier: `classifier` is then its own."""
    classifier: nn.Module | None
    layer: Layer
    domain: Domain
    seed: int
    batches: Sequence[Float[Tensor, "B C H W"]]
    labels: Sequence[Int[Tensor, " B"] | None]

    def batch(self, number: int) -> Batch:
        """What the loss knows of a batch; the images stand in for both views."""
        images = self.batches[number]
        generator = torch.Generator(images.device).manual_seed(self.seed + number)
        return Batch(torch.stack([images, images]), labels=self.labels[number], generator=generator)

    def perturb(self, attack: GradientAttack) -> Callable[[int, Tensor], Tensor]:
        """The attack on the contrastive loss between the images, held constant, and their copies (CLAE, eq. 15); on the
        cross-entropy of the method's own classifier where it has one."""

        def perturbed(number: int, images: Tensor) -> Tensor:
            batch = self.batch(number)
            make = self._cross_entropies if self.loss is None else self._contrastive
            return attack(make(number, images), images, std=self.encoder.std, generator=batch.generator)

        return perturbed

    def _contrastive(self, number: int, images: Tensor) -> Objective:
        batch, loss = self.batch(number), self.loss
        assert loss is not None
        with torch.no_grad():
            constant = self.encoder(images, domain=self.domain)
        return lambda x: loss(constant, self.encoder(x, domain=self.domain), batch)

    def _cross_entropies(self, number: int, images: Tensor) -> Objective:
        labels = self.labels[number]
        truth = self.scores(images).argmax(dim=1) if labels is None else labels
        return lambda x: functional.cross_entropy(self._scores(x), truth, reduction="none")

    @torch.no_grad()
    def contrastive_loss(self, number: int, images: Tensor, perturbed: Tensor) -> float:
        """The method's loss between the images and their perturbed copies, in nats."""
        assert self.loss is not None
        z, z_perturbed = (self.encoder(x, domain=self.domain) for x in (images, perturbed))
        return self.loss(z, z_perturbed, self.batch(number)).item()

    @torch.no_grad()
    def scores(self, perturbed: Tensor) -> Tensor:
        """Class scores of perturbed images by the classifier: the method's own, or one fitted on clean features."""
        return self._scores(perturbed)

    def _scores(self, perturbed: Tensor) -> Tensor:
        assert self.classifier is not None
        forward = self.encoder.represent if self.layer == "h" else self.encoder
        return self.classifier(forward(perturbed, domain=self.domain).float())

    def cross_entropy(self, number: int, images: Tensor, perturbed: Tensor) -> float:
        """Cross-entropy of that classifier, in nats."""
        return functional.cross_entropy(self.scores(perturbed), self._truth(number)).item()

    def accuracy(self, number: int, images: Tensor, perturbed: Tensor) -> float:
        """Accuracy of that classifier, as a fraction."""
        return (self.scores(perturbed).argmax(dim=1) == self._truth(number)).float().mean().item()

    def _truth(self, number: int) -> Tensor:
        labels = self.labels[number]
        assert labels is not None
        return labels


def collect(
    run: Path,
    encoder: Encoder,
    method: Any,
    attack: GradientAttack,
    *,
    images: Any,
    labels: Int[Tensor, " n"] | None,
    classes: Sequence[str],
    data: str,
    eps: Sequence[float | int],
    classifier: nn.Module | None = None,
    layer: Layer = "h",
    domain: Domain = "clean",
    batch_size: int = 256,
    max_images: int = 512,
    seed: int = 0,
    device: torch.device | str | None = None,
) -> Path:
    """Write analysis.json and analysis.npz into `run` and return the path of the first.

    `images` are uint8 [n C H W], or a set that gives such a tensor when indexed by one (streamed from files).
    `method` is the trained one (for CLAE its base's loss is studied, for SwAV its loss with the encoder's prototypes),
    `attack` the one of its training; for a method without an attack, any: the report says that it was not part of
    training. A method that `classifies` is studied by its encoder's own classifier, whose predictions stand in for absent
    labels. `eps` are the radii of the curves, in the attack's own units; step sizes grow with them. `classifier` was
    fitted on clean features of `layer`; without it, or without labels, the downstream curves are left out. At most
    `max_images` images are used, a seeded choice, in whole batches where there are enough of them.
    """
    if len(images) < 2:
        raise ValueError(f"the report's analysis needs at least 2 images, not {len(images)}")
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))[:max_images]
    batch_size = min(batch_size, len(order))
    order = order[: len(order) // batch_size * batch_size]
    chosen, truth = images[order], None if labels is None else labels[order]
    whole = {
        layer_name: features(encoder, chosen, layer=layer_name, domain=domain, device=device)
        for layer_name in ("h", "z")
    }
    place = (
        next((p.device for p in encoder.parameters()), torch.device("cpu")) if isinstance(encoder, nn.Module) else "cpu"
    )
    pixels = (chosen.to(place).float() / 255).split(batch_size)
    own = getattr(method, "classifies", False)
    if own:
        classifier, layer = getattr(encoder, "classifier"), "h"  # noqa: B009  (no part of the Encoder protocol)
    studied = getattr(method, "base", method)
    clusters = hasattr(studied, "loss_on")
    subject = Subject(
        encoder=encoder,
        loss=None if own else studied.loss_on(encoder) if clusters else studied.loss,
        classifier=None if classifier is None or (truth is None and not own) else classifier.to(place),
        layer=layer,
        domain=domain,
        seed=seed,
        batches=pixels,
        labels=[None] * len(pixels) if truth is None else truth.to(place).split(batch_size),
    )
    measures = {} if own else {"contrastive_loss": subject.contrastive_loss}
    if subject.classifier is not None and truth is not None:
        measures |= {"cross_entropy": subject.cross_entropy, "accuracy": subject.accuracy}
    noise = RandomNoise(attack.threat)
    with evaluation_mode(encoder):
        curves = against_eps(
            pixels,
            eps,
            {
                "adversarial": lambda radius: subject.perturb(with_radius(attack, radius)),
                "random": lambda radius: subject.perturb(with_radius(noise, radius)),
            },
            measures,
        )
        adversarial = subject.perturb(attack)(0, pixels[0])
    shown = _one_of_each_class(None if truth is None else truth[:batch_size], batch_size)
    arrays = {"original": pixels[0][shown].cpu().numpy(), "adversarial": adversarial[shown].cpu().numpy()}
    layers = statistics(encoder) if isinstance(encoder, nn.Module) else {}
    for index, values in enumerate(layers.values()):
        for field in ("clean_mean", "adv_mean", "clean_var", "adv_var"):
            arrays[f"batch_norm_{index}_{field}"] = getattr(values, field)
    names = [] if truth is None else [str(classes[int(label)]) for label in truth[shown]]
    written = {
        "schema": 1,
        "method": _words(method),
        "data": data,
        "images": len(order),
        "batch_size": batch_size,
        "seed": seed,
        "domain": domain,
        "attack": {
            "words": describe(attack, encoder.std),
            "in_training": hasattr(method, "attack") and getattr(method, "adversarial", True),
            "climbs": "cross_entropy" if own else "swapped_prediction" if clusters else "contrastive_loss",
            "eps": attack.threat.eps,
            "space": attack.threat.space,
        },
        "eps": [float(radius) for radius in eps],
        "curves": {
            kind: {measure: {"mean": v.mean(axis=1).tolist(), "batches": v.tolist()} for measure, v in of.items()}
            for kind, of in curves.items()
        },
        "classifier": None if subject.classifier is None else f"{'its own classifier' if own else FITTED}, on {layer}",
        "labels": truth is not None,
        "examples": names,
        "has_batch_norm": isinstance(encoder, nn.Module) and any(isinstance(m, _BatchNorm) for m in encoder.modules()),
        "batch_norm": [
            {"layer": name, "mean_gap": values.mean_gap, "var_ratio": values.var_ratio}
            for name, values in layers.items()
        ],
        "geometry": {
            name: {"dim": rows.shape[1], "effective_rank": effective_rank(rows), "uniformity": uniformity(rows)}
            for name, rows in whole.items()
        },
    }
    path = Path(run) / "analysis.json"
    np.savez_compressed(path.with_suffix(".npz"), **arrays)
    path.write_text(json.dumps(written, indent=1) + "\n")
    return path


def with_radius(attack: Any, eps: float) -> Any:
    """The same attack with another radius; a step size keeps its ratio to the radius."""
    changes: dict[str, Any] = {"threat": replace(attack.threat, eps=eps)}
    if getattr(attack, "step_size", None) is not None:
        changes["step_size"] = attack.step_size * eps / attack.threat.eps
    return replace(attack, **changes)


def _words(method: Any) -> dict[str, Any]:
    """What the method's file says it is: its first sentence, its four lines, and what its paper trains with."""
    lines = (sys.modules[type(method).__module__].__doc__ or type(method).__name__).splitlines()
    settings = getattr(method, "settings", None)
    encoders = [settings.encoder, *(prefix for prefix, _ in settings.others)] if settings else []
    return {
        "sentence": lines[0],
        "equation": [line for line in lines[1:] if line.split(":")[0] in ("views", "pairs", "loss", "norm")],
        "paper": {
            key: getattr(settings, key) for key in ("encoder", "epochs", "batch_size") if getattr(settings, key, None)
        }
        | ({"encoders": encoders} if len(encoders) > 1 else {}),
    }


def _one_of_each_class(labels: Tensor | None, images: int) -> list[int]:
    """Positions of the first image of each class, then of the next ones, at most EXAMPLES in all."""
    first: dict[int, int] = {}
    if labels is not None:
        for position, label in enumerate(labels.tolist()):
            first.setdefault(label, position)
    chosen = [first[label] for label in sorted(first)]
    return (chosen + [position for position in range(images) if position not in chosen])[:EXAMPLES]
