"""Table 1: ImageNet encoders that others trained, supervised and self-supervised, under weak FGSM and PGD.

Data:  ImageNet (ILSVRC 2012), 224 of 256 pixels (the shorter side resized, the centre cropped), all 50,000 validation images.
Cost:  nothing is trained; a row is about 100 forward-backward passes an image, an hour on one GPU (estimated, not run).
Run:   sparring reproduce csl.table1 --data folder --root IMAGENET --weights "Supervised=torchvision:resnet50.IMAGENET1K_V1;
       SwAV=swav_800ep_pretrain.pth.tar, linear=swav_800ep_eval_linear.pth.tar; SimCLR=FILE"
"""

from __future__ import annotations

from sparring.recipes.csl_rows import attacked, given_rows, printed
from sparring.recipes.recipe import Column, Recipe
from sparring.recipes.relative import DROP, against
from sparring.recipes.susceptible import Loses

LOST = (DROP, against("Supervised"))
COLUMNS = (
    Column("clean", "clean"),
    Column("csl-imagenet-fgsm-0.25", "fgsm_linf .25/255", LOST),
    Column("csl-imagenet-fgsm-0.5", "fgsm_linf .5/255", LOST),
    Column("csl-imagenet-fgsm-1", "fgsm_linf 1/255", LOST),
    Column("csl-imagenet-pgd-0.25", "pgd_linf .25/255", LOST),
    Column("csl-imagenet-pgd-1", "pgd_linf 1/255", LOST),
    Column("csl-imagenet-pgd-l2-0.5", "pgd_l2 0.5", LOST),
)
ATTACKS = tuple(column.key for column in COLUMNS[1:])

RECIPE = Recipe(
    name="csl.table1",
    title="Supervised and self-supervised ImageNet encoders under attack",
    source="003, Table 1 (ImageNet, ResNet-50)",
    rows=given_rows(lambda name: printed("003_T1", name, COLUMNS, "imagenet")),
    columns=COLUMNS,
    claims=tuple(
        Loses(name, "Supervised", f"{name} loses a larger share than the supervised encoder (003, Table 1)", ATTACKS)
        for name in ("SwAV", "SimCLR")
    ),
    robustness=(attacked(*ATTACKS),),
    seeds=1,
    cost="nothing is trained; an hour of attacks a row on one GPU (estimated, not run)",
)
