"""How a finished run is measured: what `sparring evaluate RUN --attack ...` and `sparring analyze RUN` read.

Not part of a run: its config.yaml does not hold it. This module imports nothing heavy.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from sparring.config import Radius

PROTOCOLS = {
    "knn": "weighted k nearest neighbours",
    "logistic": "logistic regression with Adam on frozen features (CLAE's tables)",
    "linear": "linear layer with SGD on frozen features, after RoCL",
    "own": "the classifier that the method trained: nothing is fitted",
    "slf": "standard linear finetuning: frozen encoder, clean images (DynACL)",
    "alf": "adversarial linear finetuning: frozen encoder, PGD-10 examples (DynACL)",
    "aff": "adversarial full finetuning: TRADES on a copy of the encoder, both batch norms where there are two (ACL, DynACL)",
    "aff-single": "ACL's own: TRADES on a copy with one batch norm left, the adversarial one where there are two",
    "finetune": "clean finetuning: cross-entropy on a copy of the encoder",
    "semi-1": "AFF with 1 % of the labels, a finetuned teacher speaks for the rest (after ACL)",
    "semi-10": "the same with 10 % of the labels",
    "linear-003": "linear evaluation of SimCLR in paper 003 (SupContrast's code): lr 1, 100 epochs, augmented images",
    "linear-003-supcon": "the same with SupCon's rate, 5",
    "rocl-linear": "LE: RoCL's linear evaluation on clean images",
    "rocl-linear-adv": "r-LE: RoCL's linear evaluation on PGD-10 examples",
}
"""How an encoder is measured, each with one line: the names of --protocol."""

Fitted = Literal[
    "own",
    "logistic",
    "linear",
    "knn",
    "slf",
    "alf",
    "aff",
    "aff-single",
    "finetune",
    "semi-1",
    "semi-10",
    "linear-003",
    "linear-003-supcon",
    "rocl-linear",
    "rocl-linear-adv",
]
"""Those names as a type: every protocol's classifier can be attacked."""


TRANSFER: dict[str, Literal["top-1", "mean per class"]] = {
    "cifar10": "top-1",
    "cifar100": "top-1",
    "cars": "top-1",
    "aircraft": "mean per class",
    "dtd": "top-1",
    "pets": "mean per class",
    "caltech101": "mean per class",
    "flowers": "mean per class",
}
"""The data sets to which an encoder is transferred, with their accuracy: of images, or the mean of every class's."""


@dataclass
class TransferConfig:
    """How a frozen encoder is transferred to other data sets: what `sparring evaluate RUN --transfer ...` reads."""

    name: list[str] = field(default_factory=list)
    """Data sets, with commas: cifar10, cifar100, cars, aircraft, dtd, pets, caltech101, flowers; or all."""
    root: str | None = None
    """Folder with a folder for each of them, such as cars/ and pets/; None is ~/.cache/sparring."""
    download: bool = False
    """Whether those that are not there may be downloaded."""
    image_size: int | None = None
    """The shorter side is resized to it (bicubic), the centre cropped; None is 224, or the run's image size if smaller."""
    layer: Literal["h", "z"] = "h"
    """Representation before the head, or embedding."""
    workers: int = 2
    """Processes that decode images."""
    seed: int = 0
    """Which training images are held out where there is no official validation split, and Caltech-101's draw."""
    generated: bool = False
    """Textures made on the spot stand in for every data set, to try it out; the figures say so."""


@dataclass
class LatentConfig:
    """How the latent space of a trained run is looked into: what `sparring analyze RUN` reads."""

    images: int = 1000
    """Test images, a seeded draw."""
    batch_size: int = 128
    """Mini-batch within which same-class and other-class members are looked for (ASCL: 128)."""
    eps: Radius = 8 / 255
    """Radius (Linf) of the attack on the run's classifier, in pixels of [0, 1]."""
    steps: int = 20
    """Gradient steps of the attack (ASCL: 250)."""
    step_size: Radius | None = None
    """Length of a step; None is 2.5 eps / steps (ASCL: 2/255)."""
    radii: list[Radius] = field(default_factory=lambda: [0.0, 2 / 255, 4 / 255, 8 / 255, 12 / 255, 16 / 255])
    """Attack strengths at which divergence and robust accuracy are measured (Figs. 2c, 5)."""
    epochs: bool = True
    """Whether divergence and robust accuracy are measured at every kept checkpoint (Fig. 2b)."""
    classifier: Literal["own", "logistic", "linear", "slf", "knn"] | None = None
    """What is attacked; None is the run's own classifier where its method trains one, else logistic."""
    map_images: int = 1000
    """Clean images on the t-SNE map."""
    map_adversarial: int = 100
    """Adversarial images on it."""
    anchors: int = 3
    """Training images whose selected positives and negatives are shown at three kept checkpoints (Fig. 9)."""
    middle: float = 0.5
    """Share of the training after which the second of those three is shown, between the first and the last."""
    seed: int = 0
    """Which images are drawn, and the random starts."""


@dataclass
class WeightsConfig:
    """How a checkpoint from elsewhere is read (`sparring evaluate weights:FILE`)."""

    layout: Literal["auto", "simclr", "supcon", "swav", "moco", "rocl", "acl", "torchvision"] = "auto"
    """Whose names the file has; auto asks where several look alike, as torchvision, Google's simclr and swav do."""
    name: str | None = None
    """torchvision:NAME, timm:NAME or python:MODULE.FUNCTION; without it the ResNet that the file's shapes describe."""
    projector: str | None = None
    """rocl: the separate file with the projector, for z."""
    linear: str | None = None
    """A separate file with the linear classifier on the representation (swav's eval_linear), for protocol own."""
    mean: list[float] | None = None
    """Normalisation per channel; None is the layout's (supcon: must be given if the file does not say its data)."""
    std: list[float] | None = None
    """Standard deviation per channel, in the same units."""


@dataclass
class RobustnessConfig:
    """How a classifier is attacked and corrupted: what `sparring evaluate RUN --attack ...` reads, not part of a run."""

    attack: list[str] = field(default_factory=list)
    """Attacks, with commas: fgsm, pgd, pgd-N (N steps), mpgd, mpgd-N, autoattack, square, noise, or a paper's preset."""
    eps: Radius = 8 / 255
    """Radius of the ball in pixels of [0, 1]; 0 measures the images themselves. Presets have their own."""
    norm: Literal["linf", "l2", "l1"] = "linf"
    """Norm of the ball."""
    steps: int = 20
    """pgd and mpgd: gradient steps."""
    step_size: Radius | None = None
    """pgd and mpgd: length of a step; None is 2.5 eps / steps."""
    objective: Literal["cross_entropy", "margin", "dlr"] = "cross_entropy"
    """What fgsm and pgd maximise (mpgd: a class's margin over the true one)."""
    restarts: int = 1
    """pgd: attempts; an image is robust if all fail."""
    targets: int | None = None
    """mpgd: wrong classes that are tried, the highest-scored first; None is all."""
    images: int | None = 500
    """Test images under attack, a seeded draw; None is all."""
    classifier: Fitted | None = None
    """Protocol whose classifier is attacked (`sparring list protocols`); None is the run's own classifier where its method
    trains one, else logistic."""
    corruptions: bool = False
    """Whether the 15 corruptions of ImageNet-C are measured, at every severity."""
    corruption_table: Literal["cifar", "imagenet"] = "cifar"
    """Strength of the corruptions: CIFAR-C's constants (32 pixels) or ImageNet-C's (224)."""
    corrupted_root: str | None = None
    """Folder of an official CIFAR-10-C, CIFAR-100-C or ImageNet-C, to be used as it is."""
    severities: list[int] = field(default_factory=lambda: [1, 2, 3, 4, 5])
    """Severities of the corruptions."""
    trust: bool = True
    """Whether the evaluation doubts itself: thirteen checks that say if the attacks can be believed."""
    trust_images: int = 200
    """Images on which the checks are made."""
    square_queries: int = 1000
    """square, and the check against it: queries an image."""
    representation: bool = False
    """Whether the encoder is also attacked without labels: how far representations move."""
    seed: int = 0
    """Which images are drawn, and the random starts."""
    batch_size: int = 250
    """Images attacked at a time."""
