"""What RoCL and ACL share: views embedded in one forward, and pairs chosen once from the clean ones.

False negatives are removed for a whole mini-batch (Gupta et al. 2022, Algorithms 1 and 2): the pairs are chosen from the
clean views, without gradient, and are then the same in every step of the attack and in every term of the loss, so that
the attack climbs what training descends.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from sparring.methods.supervised import evaluating
from sparring.pairs import fixed, looks_at_embeddings, select
from sparring.types import Batch, Domain, Encoder, Selector, Views


def embed_together(encoder: Encoder, views: Views, domain: Domain = "clean") -> Float[Tensor, "V G D"]:
    """Embeddings of all views from one forward, whose batch norms see them as one batch of V B images.

    G = B, or with an encoder that gathers those of all data-parallel processes, all processes' images.
    """
    count, images = views.shape[:2]
    z = encoder(views.flatten(0, 1), domain=domain)
    return z.unflatten(0, (-1, count, images)).transpose(0, 1).flatten(1, 2)


@torch.no_grad()
def constant(encoder: Encoder, x: Tensor, domain: Domain = "clean") -> Float[Tensor, "G D"]:
    """Embeddings as an attack in evaluation mode sees those of images that it does not move."""
    with evaluating(encoder, True):
        return encoder(x, domain=domain)


def choose(selector: Selector, batch: Batch, embeddings: Callable[[], Float[Tensor, "N D"]]) -> Selector:
    """The selector for the attack and the loss of one mini-batch.

    One that ranks embeddings is asked once, about those of the clean views [a; b], which are made for it alone; its
    answer stands, and `batch.counts` tells what was removed. Any other says the same whenever it is asked.
    """
    return fixed(select(selector, batch, embeddings(), views=2)) if looks_at_embeddings(selector) else selector
