"""What stands under attack: classifiers on a frozen encoder, as modules from images in [0, 1] to logits."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor, nn
from torch.nn import functional

from sparring.attacks.protect import leaving_no_trace
from sparring.attacks.region import OVERSHOOT
from sparring.evaluation.features import Layer, evaluation_mode
from sparring.evaluation.knn import checked_bank, nearest, votes
from sparring.evaluation.robust import device_of
from sparring.norms import has_domains
from sparring.types import Domain


class OnFeatures(nn.Module):
    """`classifier(h)` or `classifier(z)` of a frozen encoder, as a function of the images that an attack can climb.

    The encoder runs through the batch norms of `domain` and, like the classifier, in evaluation mode, whatever their own
    modes are (they are left as they are). Gradients flow to the images. Logits are float32, or float64 if the classifier
    is: images are converted to the encoder's dtype, features to the classifier's, and the classifier ignores autocast.
    `nn.Identity()` as classifier gives the features themselves.

    Raises ValueError for an unknown layer, for layer "h" of an encoder without `represent`, for an unknown domain, and
    for "adv" on an encoder without a second batch norm.
    """

    def __init__(self, encoder: Any, classifier: nn.Module, layer: Layer = "h", domain: Domain = "clean"):
        super().__init__()
        check_branch(encoder, layer, domain)
        self.encoder, self.classifier = encoder, classifier
        self.layer: Layer = layer
        self.domain: Domain = domain

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B K"]:
        """Logits."""
        with evaluation_mode(self):
            features = branch(self.encoder, x, self.layer, self.domain)
            with torch.autocast(x.device.type, enabled=False):
                return at_least_float32(self.classifier(features.to(_dtype(self.classifier, features.dtype))))


class SoftKNN(nn.Module):
    """The logarithm of the votes of weighted k nearest neighbours (`sparring.evaluation.knn`), which an attack can climb.

        logit(c) = log( v(c) / max_c v(c) ),   v(c) = sum over the k nearest j with label c of exp((cos_j - max cos) / T)

    The highest logit is that of `knn_predict` on the same similarities, ties included; it is 0, and the shift keeps
    nearly equal votes apart in float32 (no objective of an attack sees a shift). A class without a vote counts half of
    what its nearest training image would have voted: always below every vote, finite, and with a gradient towards that
    image, without which an image whose k neighbours all agree could not be attacked. A class without training images
    stands one nat below the lowest logit that is possible otherwise.

    `features` [N D] are the training images' of `layer` and `domain`, `labels` [N] theirs. Gradients flow through the
    votes; which images are neighbours is a choice without a gradient.

    Raises ValueError as `OnFeatures` and `knn_predict` do.
    """

    bank: Tensor
    labels: Tensor

    def __init__(
        self,
        encoder: Any,
        features: Float[Tensor, "N D"],
        labels: Int[Tensor, " N"],
        *,
        k: int = 200,
        temperature: float,
        classes: int | None = None,
        layer: Layer = "h",
        domain: Domain = "clean",
    ):
        super().__init__()
        bank, labels, self.classes = checked_bank(features, labels, k, temperature, classes)
        self.features = OnFeatures(encoder, nn.Identity(), layer, domain)
        self.k, self.temperature = k, temperature
        place = device_of(encoder, bank)
        self.register_buffer("bank", bank.detach().to(place), persistent=False)
        self.register_buffer("labels", labels.to(place), persistent=False)

    @property
    def layer(self) -> Layer:
        """h or z."""
        return self.features.layer

    @property
    def domain(self) -> Domain:
        """The batch norm in use."""
        return self.features.domain

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B K"]:
        """Logits."""
        features = self.features(x)
        with torch.autocast(x.device.type, enabled=False):
            query = functional.normalize(features, dim=1)
            similarity = query @ self.bank.to(query).T
            neighbour = nearest(similarity.detach(), self.k)[1]
            cosine = similarity.gather(1, neighbour)
            vote = votes(cosine, self.labels[neighbour].cpu(), self.temperature, self.classes).to(x.device)
            best = vote.amax(dim=1, keepdim=True)
            half = (self._nearest_of_class(similarity) - cosine[:, :1]).double() / self.temperature - math.log(2)
            voted = vote > torch.finfo(vote.dtype).tiny
            # the logarithm of a ratio: that of two votes could round to the same number, and theirs would then be a tie
            share = torch.where(voted, vote / best, 1.0)
            logits = torch.where(voted, share.log(), half - best.log())
        return logits.to(query.dtype)

    def _nearest_of_class(self, similarity: Float[Tensor, "B N"]) -> Float[Tensor, "B K"]:
        """The highest similarity in each class; less than any similarity where a class has no training image."""
        lowest = similarity.new_full((len(similarity), self.classes), -1 - self.temperature)
        return lowest.scatter_reduce(1, self.labels.expand_as(similarity), similarity, "amax")


def check_classifier(
    model: Callable[[Any], Any],
    x: Shaped[Tensor, "..."],
    y: Shaped[Tensor, "..."],
    classes: int | None = None,
    *,
    batch_size: int = 250,
) -> int:
    """How many classes `model` tells apart, once it is certain that attacks on it with images x and labels y mean something.

    One forward of all images in evaluation mode, where the model's parameters are; modes, buffers and the global random
    state are left as they were. Raises ValueError, a sentence each, for: no images; x that is no float tensor [B, C, H, W] in
    [0, 1]; labels y that are not B integers or lie outside the classes; outputs that are no tensor of floating-point
    logits [B, K], K >= 2, that are probabilities, NaN or infinite; and K other than `classes`, the data's.
    """
    check_images(x)
    check_labels(y, len(x))
    rows = [_logits(model, batch, first * batch_size) for first, batch in enumerate(x.split(batch_size))]
    if len(widths := {row.shape[1] for row in rows}) > 1:
        raise ValueError(f"the model returned {sorted(widths)} logits an image; every batch must have the same classes")
    logits = torch.cat(rows)
    found = logits.shape[1]
    tolerance = 1e-4 if logits.dtype in (torch.float32, torch.float64) else 1e-2
    if (logits >= 0).all() and ((logits.double().sum(dim=1) - 1).abs() <= tolerance).all():
        raise ValueError(
            "the model returns probabilities (no value is negative and every row sums to 1); attacks need the logits "
            "before the softmax, which hides gradients"
        )
    if classes is not None and found != classes:
        raise ValueError(f"the model has {found} classes, but the data have {classes}; they must be the same classes")
    low, high = int(y.min()), int(y.max())
    if low < 0 or high >= found:
        raise ValueError(f"labels y lie in {low}..{high}, but the model's {found} classes are 0..{found - 1}")
    return found


def check_images(x: Shaped[Tensor, "..."]) -> None:
    """Raises ValueError unless x are float images [B, C, H, W] in [0, 1], one at least; says what they seem to be."""
    if x.ndim != 4 or not x.is_floating_point():
        hint = "; divide uint8 by 255" if x.dtype == torch.uint8 else ""
        raise ValueError(
            f"x is {x.dtype} of shape {list(x.shape)}; it must be float images [B, C, H, W] in [0, 1]{hint}"
        )
    if not x.numel():
        raise ValueError(f"x has shape {list(x.shape)}: there is no image to classify; at least one is needed")
    if bad := (~x.isfinite()).flatten(1).any(dim=1).nonzero().flatten().tolist():
        raise ValueError(f"image {bad[0]} of x has a NaN or infinite pixel; pixels must lie in [0, 1]")
    low, high = (float(v) for v in x.aminmax())
    if low < -OVERSHOOT or high > 1 + OVERSHOOT:
        if low >= 0 and high <= 255:
            hint = "they look like 0..255: divide by 255"
        elif low >= -1 - OVERSHOOT and high <= 1 + OVERSHOOT:
            hint = "they look scaled to [-1, 1]: normalisation belongs in the model"
        else:
            mean, std = float(x.double().mean()), float(x.double().std())
            hint = f"they look normalised (mean {mean:.2g}, std {std:.2g}): normalisation belongs in the model"
            hint += ", and would be done twice if the model has it already"
        raise ValueError(f"x lies in [{low:.4g}, {high:.4g}], but pixels must lie in [0, 1]; {hint}")
    if 0 < high <= 1 / 255:
        raise ValueError(f"the brightest pixel of x is {high:.3g}, at most 1/255; it looks divided by 255 twice")


def check_labels(y: Shaped[Tensor, "..."], images: int) -> None:
    """Raises ValueError unless y is one integer label an image."""
    if y.shape != (images,) or y.is_floating_point() or y.is_complex() or y.dtype == torch.bool:
        raise ValueError(f"y is {y.dtype} of shape {list(y.shape)}; it must be integer labels [{images}], one an image")


def _logits(model: Callable[[Any], Any], batch: Float[Tensor, "B C H W"], first: int) -> Float[Tensor, "B K"]:
    """The model's logits of one batch on the CPU, whose first image has the number `first`; ValueError for anything else."""
    place = device_of(model, batch)
    with leaving_no_trace(place), evaluation_mode(model), torch.no_grad():
        try:
            logits = model(batch.to(place))
        except torch.OutOfMemoryError:
            raise
        except (RuntimeError, TypeError, IndexError) as error:
            raise ValueError(
                f"the model cannot take float32 images of shape {list(batch.shape)}: {str(error).splitlines()[0]}"
            ) from error
    if not isinstance(logits, Tensor):
        raise ValueError(f"the model returned a {type(logits).__name__}; it must return one tensor of logits [B, K]")
    shape = list(logits.shape)
    if logits.ndim != 2 or len(logits) != len(batch):
        raise ValueError(
            f"the model returned shape {shape} for {len(batch)} images; it must be [{len(batch)}, K] logits"
        )
    if logits.shape[1] < 2:
        raise ValueError(
            f"the model returned shape {shape}, {shape[1]} logit an image; there must be at least 2 classes"
        )
    if not logits.is_floating_point():
        raise ValueError(f"the model returned {logits.dtype}; it must return floating-point logits, not decisions")
    bad = (~logits.isfinite()).any(dim=1).nonzero().flatten().tolist()
    if bad:
        kind = "NaN" if logits[bad[0]].isnan().any() else "infinite"
        others = f" (and of {len(bad) - 1} more of its batch)" if len(bad) > 1 else ""
        raise ValueError(f"a logit of image {first + bad[0]}{others} is {kind}; logits must be finite")
    return logits.cpu()


def branch(encoder: Any, x: Float[Tensor, "B C H W"], layer: Layer, domain: Domain) -> Float[Tensor, "B D"]:
    """h or z in float32 at least."""
    forward = encoder.represent if layer == "h" else encoder
    return at_least_float32(forward(x.to(_dtype(encoder, x.dtype)), domain))


def check_branch(encoder: Any, layer: str, domain: str) -> None:
    """Raises ValueError unless `encoder` has the layer and the domain."""
    kind = type(encoder).__name__
    if layer not in ("h", "z"):
        raise ValueError(f"layer must be 'h' (representation) or 'z' (embedding), not {layer!r}")
    if domain not in ("clean", "adv"):
        raise ValueError(f"domain must be 'clean' or 'adv', not {domain!r}")
    if layer == "h" and not callable(getattr(encoder, "represent", None)):
        raise ValueError(f"layer is 'h', but {kind} has no represent(x, domain); use layer 'z' or give it one")
    if domain == "adv" and not (isinstance(encoder, nn.Module) and has_domains(encoder)):
        raise ValueError(
            f"domain is 'adv', but {kind} has no second batch norm; use 'clean' (see sparring.norms.convert)"
        )


def at_least_float32(x: Tensor) -> Tensor:
    """16-bit numbers as float32, others as they are."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _dtype(module: Any, otherwise: torch.dtype) -> torch.dtype:
    """The dtype of a module's first floating-point parameter."""
    parameters = module.parameters() if isinstance(module, nn.Module) else ()
    return next((p.dtype for p in parameters if p.is_floating_point()), otherwise)
