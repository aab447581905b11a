"""The rows that the tables of paper 003 share: who is trained how, at the paper's size.

Paper: Gupta et al. 2023, "Contrastive Self-Supervised Learning Leads to Higher Adversarial Susceptibility" (003), appendix
       B.3: batch 1,024, 1,000 epochs (cross-entropy 500), cosine schedule from a peak rate of 1.0 "with warmup".
Where it is silent, its code base's defaults (HobbitLong/SupContrast): ResNet-50, a head to 128 dimensions, temperature 0.1
(SupCon) and 0.5 (SimCLR), SGD with momentum 0.9 and weight decay 1e-4, 10 epochs of warm-up, pixels normalised by CIFAR's
moments; a linear classifier on frozen features, where ours is judged after its last epoch. RoCL and ACL: ResNet-18 and the
settings of their own papers.

That code multiplies its contrastive losses by T / 0.07. Ours are the equation's; `published_scale` moves the factor s into
the optimiser, where SGD of rate s lr and decay wd / s takes exactly the steps that rate lr and decay wd take on s times the
loss.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sparring.config import DataConfig, EncoderConfig, MethodConfig, OptimizerConfig, RunConfig, TrainingConfig
from sparring.measuring import Fitted, LatentConfig, RobustnessConfig
from sparring.recipes.paper import Numbers, figure
from sparring.recipes.recipe import Column, Given, Row, Under, derived


def published_scale(temperature: float) -> OptimizerConfig:
    """SupContrast's SGD for a loss that it multiplies by T / 0.07."""
    scale = temperature / 0.07
    return OptimizerConfig(
        name="sgd", lr=scale * 1.0, momentum=0.9, weight_decay=1e-4 / scale, schedule="cosine", warmup_epochs=10
    )


SIMCLR = RunConfig(
    method=MethodConfig(name="simclr", temperature=0.5),
    data=DataConfig(name="cifar10", views="supcon"),
    encoder=EncoderConfig(
        name="resnet50", head="mlp", dim=128, mean=[0.4914, 0.4822, 0.4465], std=[0.2023, 0.1994, 0.2010]
    ),
    optimizer=published_scale(0.5),
    training=TrainingConfig(epochs=1000, batch_size=1024, checkpoint_every=100, probe_every=0),
)
SUPCON = derived(SIMCLR, {"method": MethodConfig(name="supcon", temperature=0.1), "optimizer": published_scale(0.1)})
SUPCE = derived(
    SIMCLR, {"method": MethodConfig(name="natural"), "data.views": "supcon-ce", "training.epochs": 500,
             "encoder.head": None, "encoder.dim": None, "optimizer.lr": 1.0, "optimizer.weight_decay": 1e-4}
)  # fmt: skip
CIFAR_100: Mapping[str, object] = {
    "data.name": "cifar100", "encoder.mean": [0.5071, 0.4867, 0.4408], "encoder.std": [0.2675, 0.2565, 0.2761]
}  # fmt: skip
"""What differs on CIFAR-100: the images and their moments."""
REMOVALS: Mapping[str, Mapping[str, object]] = {
    "frequency": {"method.pairs": "frequency", "removal.classes": 10},
    "cluster(K=20)": {"method.pairs": "pseudo_labels", "removal.clusters": 20},
    "precision(N=100)": {"method.pairs": "precision", "removal.every": 100},
    "recall(N=75;R=16)": {"method.pairs": "recall", "removal.every": 75, "removal.parts": 16},
}
"""Ways of removing suspected false negatives, by their names in the table's figures.

Clusters are labels: with them the second stage is SupCon, the others are SimCLR."""


def without_false_negatives(name: str) -> RunConfig:
    """SimCLR, or for clusters SupCon, with the removal of that name."""
    return derived(SUPCON if name.startswith("cluster") else SIMCLR, REMOVALS[name])


FREQUENCY, CLUSTER, PRECISION, RECALL = map(without_false_negatives, REMOVALS)

ROCL = RunConfig(
    method=MethodConfig(name="rocl"),
    data=DataConfig(name="cifar10"),
    training=TrainingConfig(checkpoint_every=100, probe_every=0),
)
ACL = derived(ROCL, {"method.name": "acl", "evaluation.domain": "adv"})
STATIC, DYNAMIC = REMOVALS["frequency"], REMOVALS["precision(N=100)"]


GIVEN: Mapping[str, Given] = {
    "Supervised": Given("a supervised ResNet-50 of 76.71 %, of which it does not say whose", "torchvision"),
    "SwAV": Given("facebookresearch/swav's ResNet-50 (its 800 epochs have 75.3 %), classifier apart", "swav"),
    "SimCLR": Given("google-research/simclr's ResNet-50 (1x, 69.1 %) with its classifier, as PyTorch", "simclr"),
}
"""The ImageNet encoders of section 4.1, in Table 1's order (appendix B.2 names the repositories)."""
IMAGENET = RunConfig(
    data=DataConfig(name="imagenet", image_size=224, resize=256), training=TrainingConfig(batch_size=256)
)


def given_rows(printed_of: Callable[[str], Numbers]) -> tuple[Row, ...]:
    """A row for each of them with its printed figures; evaluated by the classifier that the weights bring."""
    return tuple(Row(name, IMAGENET, printed_of(name), given=given) for name, given in GIVEN.items())


LOOK = LatentConfig(eps=1 / 255, steps=4, radii=[0.0, 1 / 255], epochs=False, images=10_000)
"""For distances of class pairs, on all test images of CIFAR-10."""


def classifier_of(name: str) -> Fitted:
    """What stands on the encoder of a row: the run's own classifier, SupContrast's linear evaluation, or RoCL's."""
    if name == "SupCE":
        return "own"
    if "RoCL" in name or "ACL" in name:
        return "rocl-linear"
    return "linear-003-supcon" if name == "SupCon" or "cluster" in name else "linear-003"


COST = "ResNet-50, 1,000 epochs at batch 1,024: about 40 GPU hours a row (estimated, not run)"


def attacked(*names: str, images: int | None = None, **settings: object) -> Under:
    """An evaluation under attacks without the trust checks, which are for one model at a time."""
    return Under(RobustnessConfig(attack=list(names), images=images, trust=False, **settings))  # type: ignore[arg-type]


def autoattack(k: int, images: int = 1000) -> Under:
    """AutoAttack at k/255."""
    return Under(RobustnessConfig(attack=["autoattack"], eps=k / 255, images=images, trust=False), f" {k}/255")


def printed(table: str, method: str, columns: tuple[Column, ...], dataset: str = "cifar10") -> Numbers:
    """A row's figures by the column's name for them, "pgd_l2 0.25" being metric pgd_l2 at eps 0.25."""
    numbers = {}
    for column in columns:
        if column.paper is None:
            continue
        metric, _, eps = column.paper.partition(" ")
        setting = {"eps": eps if "/" in eps else float(eps)} if eps else {}
        numbers[column.paper] = figure(table, method, metric, dataset=dataset, **setting)
        for each in column.derived:
            if each.paper and method not in each.references and method in (each.rows or (method,)):
                value = figure(table, method, f"{each.paper}_{metric}", dataset=dataset, **setting)
                numbers[f"{each.paper}_{column.paper}"] = value
    return numbers
