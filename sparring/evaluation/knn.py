"""Weighted k-nearest-neighbour classification of the papers of instance discrimination (Wu et al. 2018, CLAE).

score(c) = sum over the k most similar training images j with label c of exp(cos(f, f_j) / T); the highest score wins.

Code: chihhuiho/CLAE, SimCLR/eval_knn.py and Plain/utils.py: k = 200, T the training temperature.
Differs from:
- the published SimCLR script fills its feature bank with the current batch's size, so the last, smaller batch
  overwrites other columns and the bank's end stays zero; here every training image has its own feature;
- weights are exp((cos - max cos) / T), the same decision without overflow at small T.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

CHUNK_BYTES = 128 * 2**20
"""Memory of one block of similarities."""


def knn_predict(
    train_features: Float[Tensor, "N D"],
    train_labels: Int[Tensor, " N"],
    test_features: Float[Tensor, "M D"],
    *,
    k: int = 200,
    temperature: float,
    classes: int | None = None,
    chunk_bytes: int = CHUNK_BYTES,
) -> Int[Tensor, " M"]:
    """The predicted class of every test row, on the CPU.

    Similarities are computed in blocks of at most `chunk_bytes` (at least one row of N). Ties are decided the same way
    every time: among equally similar neighbours at rank k the lower training index is kept, among equally scored
    classes the lower class wins.

    Raises ValueError for k < 1, fewer training images than k, temperature <= 0, or labels outside 0..classes-1.
    """
    bank, labels, classes = checked_bank(train_features, train_labels, k, temperature, classes)
    predictions = []
    for block in test_features.split(max(1, chunk_bytes // (4 * len(bank)))):
        query = functional.normalize(block.to(bank.device).float(), dim=1)
        similarity, neighbour = nearest(query @ bank.T, k)
        predictions.append(votes(similarity, labels[neighbour.cpu()], temperature, classes).argmax(dim=1))
    return torch.cat(predictions) if predictions else torch.empty(0, dtype=torch.int64)


def knn(
    train_features: Float[Tensor, "N D"],
    train_labels: Int[Tensor, " N"],
    test_features: Float[Tensor, "M D"],
    test_labels: Int[Tensor, " M"],
    *,
    k: int = 200,
    temperature: float,
    classes: int | None = None,
) -> float:
    """Accuracy of `knn_predict` as a fraction in [0, 1]."""
    if not len(test_labels) or len(test_labels) != len(test_features):
        raise ValueError(f"{len(test_features)} test features need as many labels, and one at least")
    predicted = knn_predict(train_features, train_labels, test_features, k=k, temperature=temperature, classes=classes)
    return (predicted == test_labels.cpu()).double().mean().item()


def checked_bank(
    features: Float[Tensor, "N D"], labels: Int[Tensor, " N"], k: int, temperature: float, classes: int | None
) -> tuple[Float[Tensor, "N D"], Int[Tensor, " N"], int]:
    """Training features of unit length, their labels on the CPU, and the number of classes; ValueError for what cannot vote."""
    images = len(features)
    if k < 1:
        raise ValueError(f"k must be at least 1, not {k}")
    if images < k:
        raise ValueError(f"k nearest neighbours need at least k training images: k is {k}, there are {images}")
    if not temperature > 0:
        raise ValueError(f"temperature must be above 0, not {temperature}")
    if len(labels) != images:
        raise ValueError(f"{images} training features need as many labels, not {len(labels)}")
    labels = labels.cpu().long()
    classes = int(labels.max()) + 1 if classes is None else classes
    if int(labels.min()) < 0 or int(labels.max()) >= classes:
        raise ValueError(f"training labels must lie in 0..{classes - 1}")
    return functional.normalize(features.float(), dim=1), labels, classes


def votes(
    similarity: Float[Tensor, "M k"], label: Int[Tensor, "M k"], temperature: float, classes: int
) -> Float[Tensor, "M K"]:
    """sum over neighbours with label c of exp((cos - max cos) / T), in float64 on the CPU: there the order of additions,
    and with it the sum, is always the same."""
    similarity = similarity.double().cpu()
    weight = ((similarity - similarity[:, :1]) / temperature).exp()
    return torch.zeros(len(weight), classes, dtype=torch.float64).scatter_add(1, label, weight)


def nearest(similarity: Float[Tensor, "M N"], k: int) -> tuple[Float[Tensor, "M k"], Int[Tensor, "M k"]]:
    """The k highest similarities of every row, highest first; of equal ones the lower index."""
    value, index = similarity.topk(k, dim=1)
    # topk promises nothing about ties at its border: those rows, and only they, are sorted stably
    tied = (similarity >= value[:, -1:]).sum(dim=1) > k
    if tied.any():
        ordered = similarity[tied].sort(dim=1, descending=True, stable=True)
        value[tied], index[tied] = ordered.values[:, :k], ordered.indices[:, :k]
    return value, index
