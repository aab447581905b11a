"""ImageNet100 (section 4.4, in the text): SimCLR with and without CLAE, measured on ImageNet100 itself.

Augmentation, batch, epochs and the classifier are not stated: here those of tiny-ImageNet. Transfer is Table 2.
Differs from the usual training at 224 pixels: views are cropped from the centre square of an image (its shorter side brought
to 224 pixels), not from the whole image.
Data:  ImageNet100 (100 classes of ImageNet).
Cost:  ResNet-18 at 224 pixels, 126,689 images, 100 epochs: about 15 (SimCLR) and 35 GPU hours a row (estimated, not run).
Run:   sparring reproduce clae.imagenet100
"""

from __future__ import annotations

from sparring.recipes.clae_rows import LR, SIMCLR_TINY, against, method_of, name_of, on_tiny
from sparring.recipes.claims import Claim
from sparring.recipes.paper import printed
from sparring.recipes.recipe import Column, Row, derived

SIMCLR = derived(SIMCLR_TINY, {"data.name": "imagenet100"})

RECIPE = on_tiny(
    name="clae.imagenet100",
    title="CLAE over SimCLR, ImageNet100",
    source="CLAE, section 4.4 (ImageNet100, ResNet-18)",
    rows=tuple(
        Row(name_of("SimCLR", eps), against(SIMCLR, eps), printed("001_text", method_of("SimCLR", eps)))
        for eps in (0, 0.03)
    ),
    columns=(Column("logistic", "linear_top1"), Column("logistic, last epoch")),
    claims=(
        Claim(name_of("SimCLR", 0.03), "SimCLR", "CLAE is better than SimCLR on ImageNet100 (CLAE, section 4.4)", LR),
    ),
    cost="ResNet-18 at 224 pixels, 100 epochs: about 15 (SimCLR) and 35 GPU hours a row (estimated, not run)",
)
