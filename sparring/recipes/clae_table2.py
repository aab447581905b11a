"""Table 2: SimCLR and CLAE, pretrained on ImageNet100, transferred to eight data sets by linear evaluation.

Data:  ImageNet100 (from an ImageNet folder), and the eight sets, each in --transfer-root/NAME; those that are not there are
       left out by name.
Cost:  that of `clae.imagenet100`, whose two encoders these are.
Run:   sparring reproduce clae.table2 --data imagenet100 --root IMAGENET --transfer-root FOLDER
       sparring reproduce clae.table2 --budget smoke      (embedded digits, textures in the place of the eight)

The paper names the data, ResNet-18 and the linear evaluation of SimCLR [12], no more, and its code has no ImageNet. Ours, as
for ImageNet100's own figure: torchvision's ResNet-18 at 224 pixels, and tiny-ImageNet's 100 epochs at batch 128; eps 0.03 and
alpha 1, the paper's defaults. The mean per class for Aircraft, Pets, Caltech-101 and Flowers, as [12]; the table does not say.
Differs from the usual training at 224 pixels: views are cropped from the centre square of an image (its shorter side brought
to 224 pixels), not from the whole image.
"""

from __future__ import annotations

from sparring.measuring import TRANSFER
from sparring.recipes.clae_imagenet100 import RECIPE as ALONE
from sparring.recipes.clae_imagenet100 import SIMCLR
from sparring.recipes.clae_rows import against
from sparring.recipes.claims import Claim
from sparring.recipes.paper import Numbers, figure
from sparring.recipes.recipe import Column, Recipe, Row

CLAE = against(SIMCLR, 0.03)
ROWS = {"SimCLR": SIMCLR, "SimCLR+CLAE": CLAE}


def metric(name: str) -> str:
    """A column's heading: the table calls all of them linear evaluation."""
    return f"linear_top1 {name}{'' if TRANSFER[name] == 'top-1' else f', {TRANSFER[name]}'}"


def printed(method: str) -> Numbers:
    """A row's figures by data set."""
    return {metric(name): figure("001_T2", method, "linear_top1", dataset=name) for name in TRANSFER}


TABLE_2 = Recipe(
    name="clae.table2",
    title="SimCLR and CLAE on ImageNet100, transferred to eight data sets",
    source="CLAE, Table 2 (ImageNet100, ResNet-18)",
    rows=tuple(Row(name, run, printed(name)) for name, run in ROWS.items()),
    columns=tuple(Column(f"transfer-{name}", metric(name)) for name in TRANSFER),
    claims=(
        Claim(
            "SimCLR+CLAE",
            "SimCLR",
            "CLAE transfers better than SimCLR to this data set (CLAE, Table 2; on Pets they are equal)",
            tuple(f"transfer-{name}" for name in TRANSFER if name != "pets"),
        ),
    ),
    transfer=tuple(TRANSFER),
    cost=ALONE.cost,
)
