"""How good are the features so far: kNN among training images, seeded, without a look at the test images."""

from __future__ import annotations

import torch
from torch import Tensor

from sparring.config import RunConfig
from sparring.data import ImageSet
from sparring.encoders import ContrastiveEncoder
from sparring.evaluation import features, knn
from sparring.training.randomness import generator

QUERIES = 1000
BANK = 10_000


class Probe:
    """kNN accuracy of a seeded tenth (at most 1,000) of the training images against the others (at most 10,000).

    The slice is held out of the neighbours, not of the training, which keeps the paper's training set: the figure says
    whether features improve, not how well they generalise, and for a supervised method it is optimistic.
    """

    def __init__(self, images: ImageSet, config: RunConfig) -> None:
        order = torch.randperm(len(images), generator=generator(config.training.seed, "probe"))
        queries = min(QUERIES, max(1, len(images) // 10))
        self.query, self.bank = images.select(order[:queries]), images.select(order[queries : queries + BANK])
        self.config = config

    def __call__(self, encoder: ContrastiveEncoder, device: torch.device) -> float:
        """The accuracy, as a fraction."""
        evaluation = self.config.evaluation
        assert evaluation.knn_k is not None and evaluation.knn_temperature is not None

        def measured(images: ImageSet) -> tuple[Tensor, Tensor]:
            assert images.labels is not None
            return features(encoder, images.images, layer=evaluation.knn_features or "h", device=device), images.labels

        return knn(
            *measured(self.bank),
            *measured(self.query),
            k=min(evaluation.knn_k, len(self.bank)),
            temperature=evaluation.knn_temperature,
            classes=len(self.bank.classes),
        )
