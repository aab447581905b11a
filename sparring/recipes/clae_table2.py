"""Table 2: SimCLR and CLAE, pretrained on ImageNet100, transferred to eight data sets by linear evaluation.

Data:  ImageNet100 (from an ImageNet folder), and the eight sets, each in --transfer-root/NAME; those that are not there are
       left out by name.
Cost:  see COST.
Run:   sparring reproduce clae.table2 --data imagenet100 --root IMAGENET --transfer-root FOLDER
       sparring reproduce clae.table2 --budget smoke      (embedded digits, textures in the place of the eight)

The paper names the data, ResNet-18 and the linear evaluation of SimCLR [12], no more, and its code has no ImageNet. Ours, as
for ImageNet100's own figure: torchvision's ResNet-18 at 224 pixels, and tiny-ImageNet's 100 epochs at batch 128; eps 0.03 and
alpha 1, the paper's defaults. The mean per class for Aircraft, Pets, Caltech-101 and Flowers, as [12]; the table does not say.
Differs from the usual training at 224 pixels: views are cropped from the centre square of an image (its shorter side brought
to 224 pixels), not from the whole image.
"""

from __future__ import annotations

from sparring.config import DataConfig, EncoderConfig, EvaluationConfig, MethodConfig, RunConfig, TrainingConfig
from sparring.measuring import TRANSFER
from sparring.recipes.claims import Claim
from sparring.recipes.paper import Numbers, figure
from sparring.recipes.recipe import Column, Recipe, Row, derived

COST = "ResNet-18 at 224 pixels, 100 epochs: about 15 (SimCLR) and 35 GPU hours a row (estimated, not run)"

SIMCLR = RunConfig(
    method=MethodConfig(name="simclr"),
    data=DataConfig(name="imagenet100", image_size=224),
    encoder=EncoderConfig(name="torchvision:resnet18", mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225]),
    training=TrainingConfig(epochs=100, batch_size=128, checkpoint_every=10, probe_every=0),
    evaluation=EvaluationConfig(logistic_epochs=200),
)
CLAE = derived(SIMCLR, {"method": MethodConfig(name="clae", base="simclr"), "attack.eps": 0.03})
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
            "CLAE transfers better than SimCLR, on seven of eight data sets (CLAE, Table 2; on Pets they are equal)",
            tuple(f"transfer-{name}" for name in TRANSFER if name != "pets"),
        ),
    ),
    transfer=tuple(TRANSFER),
    data="imagenet100",
    cost=COST,
)
