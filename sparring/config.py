"""The one typed configuration of a run: what the command line, a YAML file and Python set alike.

`None` means "the method's own default" (its paper's setting, in the method's file) and is filled in by
`sparring.training.resolve` before a run starts, so that a run's config.yaml is complete. The line under a field is its
help on the command line. This module imports nothing heavy.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Radius = float
"""A radius as a number or as text such as 8/255 (parsed exactly)."""


@dataclass
class MethodConfig:
    """Which equation is minimised. A field that the chosen method does not have must stay None."""

    name: str = "clae"
    """clae, simclr, ... for encoders; natural, adversarial_training, ascl, ... for classifiers (`sparring list` shows all)."""
    base: str | None = None
    """clae: the method whose loss is attacked (plain, simclr, supcon, uel); None is simclr."""
    alpha: float | None = None
    """clae: weight of the adversarial term, eq. 16; acl: of the adversarial stream, beside 1 for the clean one."""
    mode: Literal["ds", "a2a", "a2s", "s2s"] | None = None
    """acl: a clean and an attacked stream, both views attacked, one attacked, or none (SimCLR)."""
    regularizer: float | None = None
    """rocl: weight of the contrastive loss between the adversarial view and the other one."""
    positives: Literal["outside", "inside"] | None = None
    """rocl: positives summed outside the log (published code) or inside it, for clean anchors alone (paper)."""
    temperature: float | None = None
    """Divides the cosine similarities of the loss."""
    pairs: str | None = None
    """Pair selector: same_image or same_label; same_image without suspected false negatives (`sparring list pairs`); with a
    classifier also hard, soft, leaked or leaked_official."""
    similarity: Literal["cosine", "l1", "l2", "linf"] | None = None
    """ascl: cosine, or minus a distance between rows of unit length."""
    clean_weight: float | None = None
    """adversarial_training, adr, ascl: weight of the clean cross-entropy."""
    lambda_scl: float | None = None
    """ascl, org_scl: weight of the supervised contrastive loss, eq. 6."""
    lambda_vat: float | None = None
    """ascl: weight of KL(clean || adversarial), eq. 6."""
    beta: float | None = None
    """trades: weight of KL(clean || adversarial)."""
    lc: float | None = None
    """adr: weight of local compactness."""
    ls: float | None = None
    """adr: weight of local smoothness."""
    gc: float | None = None
    """adr: weight of global compactness."""
    cf: float | None = None
    """adr: weight of confidence."""
    prototypes: int | None = None
    """swav: prototypes with which embeddings are compared."""
    sinkhorn_eps: float | None = None
    """swav: weight of the codes' entropy; smaller is sharper."""
    sinkhorn_steps: int | None = None
    """swav: steps of Sinkhorn's algorithm."""
    queue: int | None = None
    """swav: earlier embeddings of each view that share the prototypes with the batch; 0 is none."""
    queue_from: int | None = None
    """swav: epoch from which the queue is filled and used."""
    freeze_prototypes: int | None = None
    """swav: first epochs in which prototypes do not move."""
    crops: int | None = None
    """swav: further views of an image, crops of half its side."""
    attack_mode: Literal["train", "eval"] | None = None
    """Supervised methods with an adversary: statistics of batch norms inside the attack, the batch's or the running ones."""
    detach_keys: bool | None = None
    """uel, rocl: whether keys carry no gradient, as published."""
    preset: Literal["paper", "official"] = "paper"
    """Where paper and published code differ: the paper, or the code."""


@dataclass
class AttackConfig:
    """The adversary inside training. Left alone, the method's own."""

    name: Literal["fgsm", "rfgsm", "ffgsm", "pgd", "noise"] | None = None
    """One step, one step from a random start (two ways), several steps, or random noise of the same size."""
    norm: Literal["linf", "l2", "l1"] | None = None
    """Norm of the ball around the image."""
    eps: Radius | None = None
    """Radius of the ball, such as 8/255."""
    space: Literal["pixel", "normalized"] | None = None
    """Unit of eps: pixels in [0, 1], or the encoder's normalised input (the papers of CLAE)."""
    clip: bool | None = None
    """Whether adversarial images stay in [0, 1]."""
    steps: int | None = None
    """pgd: gradient steps."""
    step_size: Radius | None = None
    """pgd and ffgsm: length of a step, in the unit of eps."""
    random_start: bool | None = None
    """Whether pgd starts at a random point of the ball instead of the image; with fgsm it makes it ffgsm (F-FGSM)."""
    start_std: float | None = None
    """pgd: standard deviation of a normal random start, in the unit of eps (trades: 0.001); 0 is uniform in the ball."""
    restarts: int | None = None
    """pgd: attempts of which each image keeps its worst."""
    update_statistics: bool | None = None
    """Whether batch norms update their running statistics inside the attack."""


@dataclass
class DataConfig:
    """Images and the views made of them."""

    name: str = "digits"
    """digits, cifar10, tiny-imagenet, imagenet100, pets, ..., folder or synthetic (`sparring list data` shows all)."""
    root: str | None = None
    """Folder of the data set (folder: one sub-folder a class, or images without labels)."""
    test_root: str | None = None
    """folder: evaluation images; without it, train/ and test/ (or val/) below root, else a seeded tenth is held out."""
    download: bool = False
    """Whether a data set that is not there may be downloaded."""
    skip_unreadable: bool = False
    """folder: whether broken files are left out (and named) instead of being an error."""
    image_size: int | None = None
    """Side in pixels to which images are brought (folder: the shorter side is resized, the centre cropped)."""
    resize: int | None = None
    """Evaluation images from files: pixels to which the shorter side is resized before the centre `image_size` is cropped
    (ImageNet is mostly judged on 224 of 256); None is `image_size`. Training images are not cropped further."""
    train_images: int | None = None
    """Only so many training images, a seeded class-balanced subset; None is all."""
    test_images: int | None = None
    """Only so many evaluation images, likewise."""
    views: str | None = None
    """Augmentation pipeline: simclr, uel (Plain and UEL), supcon, rocl, acl, swav, digits, crop-flip, shift-flip (ASCL) or
    none; the method says how many views are made."""
    loading: Literal["auto", "memory", "stream"] = "auto"
    """Whether images are kept as uint8 in memory (or on the GPU) or streamed from workers."""
    workers: int = 2
    """Worker processes when streaming."""


@dataclass
class EncoderConfig:
    """Backbone, normalisation in front of it, head behind it."""

    name: str | None = None
    """resnet18/34/50/101 (3x3 stem), resnet20, wrn-34-10 or any wrn-DEPTH-WIDTH, cnn, cnn-cifar; torchvision:NAME, timm:NAME,
    python:MODULE.FUNCTION."""
    head: Literal["linear", "mlp", "mlp-bn", "mlp3-bn", "p2", "none"] | None = None
    """linear: h -> dim (Plain, UEL; p1 of ASCL); mlp: h -> hidden -> ReLU -> dim (SimCLR); mlp-bn: with a batch norm (SwAV);
    mlp3-bn: three layers with batch norms (ACL); p2: mlp without biases (ASCL);
    none: z is h of unit length."""
    hidden: int | None = None
    """Width of the hidden layer; None is the method's, or h's width (p2: 200)."""
    dim: int | None = None
    """Width of the embedding z."""
    mean: list[float] | None = None
    """Normalisation per channel; None is the data set's for the method."""
    std: list[float] | None = None
    """Standard deviation per channel, in the same units."""
    adv_momentum: float | None = None
    """Momentum of the adversarial batch norm's running statistics (clean: the backbone's own); None is 0.01, and acl's 0.1."""


@dataclass
class OptimizerConfig:
    """Optimiser and learning-rate schedule."""

    name: Literal["sgd", "adam", "lars"] | None = None
    """Which optimiser."""
    lr: float | None = None
    """Base learning rate."""
    momentum: float | None = None
    """Momentum (adam: beta_1)."""
    weight_decay: float | None = None
    """L2 penalty on the weights."""
    schedule: Literal["constant", "step", "cosine"] | None = None
    """How the learning rate goes over the epochs."""
    milestones: list[int] | None = None
    """step: epochs at which the rate becomes lr times the factor beside it."""
    factors: list[float] | None = None
    """step: factors of the base rate, one a milestone."""
    warmup_epochs: int | None = None
    """Linear warm-up from a tenth of a percent of lr."""


@dataclass
class TrainingConfig:
    """The loop."""

    epochs: int | None = None
    """Passes over the training images."""
    batch_size: int | None = None
    """Images a step over all processes together (the number of negatives follows from it)."""
    accumulate: int = 1
    """Must stay 1 for contrastive losses: negatives would come from the micro-batch only."""
    seed: int = 0
    """All randomness of the run follows from it."""
    precision: Literal["float32", "bf16"] = "float32"
    """Number format of the forward passes; losses are computed in float32 either way."""
    compile: bool = False
    """Whether torch.compile is used."""
    channels_last: bool = False
    """Memory layout that many convolutions run faster in."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to compute; auto is CUDA where there is a GPU."""
    processes: int = 1
    """Data-parallel processes (one a GPU; gloo on the CPU). Negatives are gathered over all of them."""
    checkpoint_every: int = 10
    """Epochs between checkpoints; the last epoch is always saved."""
    probe_every: int = 5
    """Epochs between kNN probes on held-out training images; 0 is never."""
    progress: bool = True
    """Whether progress is shown while training."""


@dataclass
class EvaluationConfig:
    """How the frozen encoder is measured after training."""

    knn_k: int | None = None
    """Neighbours that vote; None is 200."""
    knn_temperature: float | None = None
    """Divides the similarities of the neighbours' votes; None is the temperature of training."""
    knn_features: Literal["h", "z"] | None = None
    """Representation before the head (the sensible default) or the embedding (CLAE's published SimCLR numbers)."""
    logistic_features: Literal["h", "z"] | None = None
    """Features of logistic regression and linear probe (CLAE's published Plain and UEL numbers: z)."""
    logistic_epochs: int | None = None
    """Epochs of the logistic regression."""
    logistic_lr: float = 3e-4
    """Its learning rate (Adam)."""
    logistic_batch_size: int | None = None
    """Its batch size."""
    finetune_epochs: int | None = None
    """Epochs of slf, alf, aff, finetune, semi-1, semi-10, linear-003 and rocl-linear; None is the protocol's own. Fewer make
    the rate fall earlier in proportion, and the figure's label says so."""
    domain: Literal["clean", "adv"] | None = None
    """Which batch norm the evaluation uses; None is clean, and adv where acl or a published file has two of them. (aff and
    semi use both and keep adv.)"""
    attack_eps: list[Radius] = field(default_factory=lambda: [0.0, 0.01, 0.03, 0.07, 0.1])
    """Radii of the report's loss-against-eps curves, in the units of the training attack."""


@dataclass
class RemovalConfig:
    """How suspected false negatives are removed, with --pairs frequency, pseudo_labels, precision or recall (003)."""

    every: int | None = None
    """precision, recall: epochs between two steps of the schedule, N; None is the paper's, 100 and 75."""
    parts: int = 16
    """recall: into how many parts the batch is divided, R; one part fewer is removed every N epochs."""
    classes: int | None = None
    """frequency: assumed number of classes, C; None is the named data set's. Of an image folder it must be given: its labels
    never influence what is removed."""
    clusters: int = 20
    """pseudo_labels: clusters of k-means on the features of the first stage, K."""
    stage_1: str | None = None
    """pseudo_labels: run folder of the first stage; None trains it first, in the run's folder stage-1."""
    unit: Literal["instance", "view"] = "instance"
    """Whether an image leaves with both of its views, or each view by itself."""
    replacement: Literal["none", "resample", "rescale"] | None = None
    """Whether the removed are made up for: resample from the anchor's other negatives, or rescale their sum; None is none,
    and resample for rocl and acl."""


@dataclass
class RunConfig:
    """Everything that a run depends on."""

    method: MethodConfig = field(default_factory=MethodConfig)
    attack: AttackConfig = field(default_factory=AttackConfig)
    data: DataConfig = field(default_factory=DataConfig)
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    removal: RemovalConfig = field(default_factory=RemovalConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    out: str | None = None
    """Run folder; None is runs/METHOD-DATA-seedN, numbered if taken."""
    overwrite: bool = False
    """Whether a run folder of that name may be replaced."""
    resume: str | None = None
    """Run folder to continue, to the bit."""
    init_from: str | None = None
    """Weights (safetensors, a run or an export) to start from; optimiser, epoch and randomness begin anew."""


NO_FIGURE = ("out", "overwrite", "resume", "data.download", "data.loading", "data.workers", "training.progress")
"""Settings that change no figure. Whatever leaves settings out (resuming, measuring anew, comparing) takes them from here, and
from ROOTS unless it says why not; a setting that is not named counts everywhere."""
ROOTS = ("data.root", "data.test_root")
"""Where images lie: the same images elsewhere give the same figures."""
