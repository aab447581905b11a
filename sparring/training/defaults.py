"""What a configuration leaves open: the normalisation, and sizes that few images are too few for."""

from __future__ import annotations

from sparring.config import RunConfig
from sparring.data import about

KNN_K = 200
CIFAR10 = ([0.4914, 0.4822, 0.4465], [0.2023, 0.1994, 0.2010])
CIFAR100 = ([0.5071, 0.4867, 0.4408], [0.2675, 0.2565, 0.2761])
"""Mean and standard deviation per channel, as the published code has them."""
IMAGENET = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
STATISTICS = {
    ("plain", "cifar10"): CIFAR10,
    ("plain", "cifar100"): CIFAR10,
    ("uel", "cifar10"): CIFAR10,
    ("uel", "cifar100"): CIFAR10,
    ("supcon", "cifar10"): CIFAR10,
    ("supcon", "cifar100"): CIFAR100,
}
"""By method (clae: its base) and data set; 0.5 elsewhere, always in SimCLR, and in the methods with a classifier: ASCL says only
that images are in [0, 1] (its code normalises by CIFAR-10's statistics inside the model; radii are in pixels either way)."""


def normalisation(config: RunConfig) -> tuple[list[float], list[float]]:
    """Mean and standard deviation per channel that the method's published code uses on the data set, else 0.5.

    chihhuiho/CLAE: SimCLR normalises by 0.5, Plain and UEL by CIFAR-10's statistics, on CIFAR-100 too; eps in normalised
    units is therefore not one attack strength across methods. SupCon: HobbitLong/SupContrast. RoCL does not normalise;
    ACL's published model does by ImageNet's statistics, on every data set.
    """
    channels = about(config.data.name).channels
    if config.method.name == "rocl":
        return [0.0] * channels, [1.0] * channels
    if config.method.name == "acl" and channels == len(IMAGENET[0]):
        return [*IMAGENET[0]], [*IMAGENET[1]]
    half = [0.5] * channels
    mean, std = STATISTICS.get((config.method.base or config.method.name, config.data.name), (half, half))
    return list(mean), list(std)


def neighbours(images: int) -> int:
    """The neighbours that vote in kNN by default: 200, or a quarter of fewer images than that."""
    return KNN_K if images >= KNN_K else max(1, images // 4)


def shrink(config: RunConfig, given: RunConfig, images: int) -> list[str]:
    """Bring what `given` left open in `config` down to what so many training images allow; a sentence for each change."""
    training, evaluation, said = config.training, config.evaluation, []
    assert training.batch_size is not None and evaluation.knn_k is not None
    if given.training.batch_size is None and training.batch_size > images:
        said.append(
            f"training.batch_size is {images // training.processes * training.processes}, not {training.batch_size}"
        )
        training.batch_size = images // training.processes * training.processes
    if given.evaluation.knn_k is None and evaluation.knn_k > images:
        said.append(f"evaluation.knn_k is {neighbours(images)}, not {evaluation.knn_k}")
        evaluation.knn_k = neighbours(images)
    return [f"{sentence}: there are only {images} training images" for sentence in said]


def never_used(config: RunConfig) -> list[str]:
    """A sentence for a setting that so short a run never comes to."""
    method, epochs = config.method, config.training.epochs
    if method.queue and method.queue_from is not None and epochs is not None and method.queue_from >= epochs:
        return [
            f"the queue of {method.queue:,} embeddings is never used: it is from epoch {method.queue_from} on "
            f"(method.queue_from), and training.epochs is {epochs}"
        ]
    return []
