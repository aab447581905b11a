"""What a report shows of a latent space: representations clean and under attack, their divergences, a map of them.

Everything is measured on one set of images with the encoder in evaluation mode and the batch norms of one domain. An
attack is made on every image, also on those that are wrong before it: divergences are of all of them (ASCL, section 2).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from sparring.analysis import correlation, divergence, latent_map
from sparring.attacks import PGD, Linf, Untargeted, describe
from sparring.evaluation.classifier import OnFeatures, SoftKNN
from sparring.evaluation.entry import figure
from sparring.evaluation.features import evaluation_mode
from sparring.evaluation.robust import device_of, drawing_from, full_precision, stream
from sparring.measuring import LatentConfig

Subject = OnFeatures | SoftKNN
PERPLEXITY = 30.0
MEASURES = ("r_div", "r_div_clean", "intra_adv", "inter_adv", "intra_adv_std", "inter_adv_std")


@dataclass(frozen=True)
class Seen:
    """What a classifier makes of n images, on the CPU."""

    h: Float[Tensor, "n D"]
    """The features that its classifier reads."""
    logits: Float[Tensor, "n K"]


@dataclass(frozen=True)
class Point:
    """One model under one attack: what is written of it, and what was seen under the attack."""

    entry: dict[str, Any]
    seen: Seen


@torch.no_grad()
def seen(model: Subject, x: Float[Tensor, "n C H W"], *, batch_size: int = 250) -> Seen:
    """Features and class scores of images in [0, 1], in evaluation mode and in float32."""
    place = device_of(model, x)
    features = (
        model.features
        if isinstance(model, SoftKNN)
        else OnFeatures(model.encoder, torch.nn.Identity(), model.layer, model.domain)
    )
    rows, scores = [], []
    with evaluation_mode(model), full_precision(place):
        for batch in x.split(batch_size):
            images = batch.to(place)
            rows.append(features(images).float().cpu())
            scores.append(model(images).float().cpu())
    return Seen(torch.cat(rows), torch.cat(scores))


def pgd(config: LatentConfig, eps: float) -> PGD:
    """The attack of that radius: its steps grow with it unless their length is given."""
    return PGD(Linf(eps), config.steps, config.step_size)


def attacked_images(
    model: Subject,
    x: Float[Tensor, "n C H W"],
    y: Int[Tensor, " n"],
    attack: PGD,
    *,
    batch_size: int = 250,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> Float[Tensor, "n C H W"]:
    """x_adv = argmax of the cross-entropy of every image, right or wrong before, on the CPU.

    An image's random start depends on `seed` and its place alone, so radii and models are compared at the same starts.
    `progress` is told how many images were attacked since it was last told.
    """
    place, parts = device_of(model, x), []
    with evaluation_mode(model), drawing_from(seed, place), full_precision(place):
        for number, (images, labels) in enumerate(zip(x.split(batch_size), y.split(batch_size), strict=True)):
            truth = labels.to(place)
            generator = torch.Generator(place).manual_seed(stream(seed, number))

            def climbed(x_adv: Tensor, truth: Tensor = truth) -> Tensor:
                return functional.cross_entropy(model(x_adv), truth, reduction="none")

            parts.append(attack(climbed, images.to(place), generator=generator).cpu())
            if progress is not None:
                progress(len(images))
    return torch.cat(parts)


def point(
    model: Subject,
    x: Float[Tensor, "n C H W"],
    y: Int[Tensor, " n"],
    config: LatentConfig,
    eps: float,
    *,
    clean: Seen,
    progress: Callable[[int], None] | None = None,
) -> Point:
    """Divergences and robust accuracy at one radius; at 0 the images themselves stand for the attacked ones.

    Robust are images that are right before and after. Undefined divergences (nan) are None.
    """
    under = clean
    if eps > 0:
        batch = config.batch_size
        x_adv = attacked_images(model, x, y, pgd(config, eps), batch_size=batch, seed=config.seed, progress=progress)
        under = seen(model, x_adv, batch_size=batch)
    right = clean.logits.argmax(dim=1) == y
    measured = divergence(clean.h, under.h, y, batch_size=config.batch_size)
    entry = {key: finite(value) for key, value in asdict(measured).items()}
    entry |= {"eps": eps, "words": words_of(config, eps)}
    entry |= {"clean": figure(right), "robust": figure(right & (under.logits.argmax(dim=1) == y))}
    return Point(entry, under)


def words_of(config: LatentConfig, eps: float) -> str:
    """The attack of one radius in words."""
    return describe(Untargeted(pgd(config, eps))) if eps > 0 else "eps 0: the images themselves"


def columns(points: list[dict[str, Any]]) -> dict[str, Any]:
    """Several points as one list a measure, with the correlation of R-DIV and robust accuracy over them (ASCL, O1)."""
    table: dict[str, Any] = {key: [entry[key] for entry in points] for key in MEASURES}
    for name in ("clean", "robust"):
        table[f"{name}_accuracy"] = [entry[name]["accuracy"] for entry in points]
        table[f"{name}_interval"] = [entry[name]["interval"] for entry in points]
    return table | {"correlation": related(table["r_div"], table["robust_accuracy"])}


def related(r_div: list[float | None], robust_accuracy: list[float]) -> dict[str, Any]:
    """The correlation as it is written, or why there is none."""
    values = [math.nan if value is None else value for value in r_div]
    try:
        return asdict(correlation(values, robust_accuracy))
    except ValueError as error:
        sentence = str(error)
        for letter, name in (("x and y ", "R-DIV and robust accuracy "), ("x ", "R-DIV "), ("y ", "robust accuracy ")):
            if sentence.startswith(letter):
                sentence = name + sentence.removeprefix(letter)
        return {"left_out": sentence}


def mapped(
    clean: Seen, under: Seen, y: Int[Tensor, " n"], config: LatentConfig
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """t-SNE of the first images, clean and attacked, with the entropy of every prediction (ASCL, Fig. 7)."""
    n, m = min(config.map_images, len(y)), min(config.map_adversarial, len(y))
    perplexity = min(PERPLEXITY, (n + m - 1) / 3)
    try:
        drawn = latent_map(clean.h[:n], under.h[:m], clean.logits[:n], under.logits[:m], perplexity=perplexity)
    except ValueError as error:
        return {"left_out": str(error)}, {}
    arrays = {f"map_{key}": value for key, value in vars(drawn).items() if isinstance(value, np.ndarray)}
    arrays |= {"map_labels": y[:n].numpy(), "map_predicted_adv": under.logits[:m].argmax(dim=1).numpy()}
    entry = {
        "n": n,
        "n_adv": m,
        "perplexity": perplexity,
        # the sum over threads is rounded differently by another number of them
        "kl_divergence": round(drawn.kl_divergence, 4),
        "entropy": float(drawn.entropy.mean()),
        "entropy_adv": float(drawn.entropy_adv.mean()),
        "entropy_of_attacked": float(drawn.entropy[:m].mean()),
    }
    return entry, arrays


def finite(value: float | int) -> float | int | None:
    """`value`, or None where JSON has no word for it."""
    return value if math.isfinite(value) else None
