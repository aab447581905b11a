"""The rows that ASCL's tables and figures share: who is trained how, at the paper's size.

Paper: Bui et al. 2021, "Understanding and Achieving Efficient Robustness with Adversarial Supervised Contrastive
Learning", sections 4.1 and 6. CIFAR-10: 8/255 in steps of 2/255, 10 steps in training, 250 in test; CIFAR-100: 0.01 in
steps of 0.001. PGD and multi-targeted PGD on the whole test set, AutoAttack on 1,000 images. Multi-targeted PGD is not
defined further: here every wrong class in turn (CIFAR-100: the nine with the highest scores), with the same budget.
The paper does not give ADR's settings: as in its published code, ADR has no clean cross-entropy, which the rows beside it
have. Divergences are of 1,000 test images.
"""

from __future__ import annotations

from sparring.config import AttackConfig, DataConfig, EncoderConfig, MethodConfig, RunConfig, TrainingConfig
from sparring.measuring import LatentConfig, RobustnessConfig
from sparring.recipes.recipe import Column, Under, derived

NATURAL = RunConfig(
    method=MethodConfig(name="natural"),
    data=DataConfig(name="cifar10"),
    encoder=EncoderConfig(name="resnet20"),
    training=TrainingConfig(checkpoint_every=10, probe_every=0),
)
ADV = derived(NATURAL, {"method.name": "adversarial_training"})
TRADES = derived(NATURAL, {"method.name": "trades"})
ADR = derived(NATURAL, {"method.name": "adr"})
LEAKED = derived(NATURAL, {"method.name": "ascl", "method.pairs": "leaked"})
GLOBAL = derived(LEAKED, {"method.pairs": "same_label"})
HARD = derived(LEAKED, {"method.pairs": "hard"})
SOFT = derived(LEAKED, {"method.pairs": "soft"})

CIFAR100 = {"data.name": "cifar100", "attack": AttackConfig(eps=0.01, step_size=0.001)}
"""What changes on CIFAR-100, for methods that train against an attack."""

STEPS = {"eps": 8 / 255, "step_size": 2 / 255, "trust": False}
PGD = Under(RobustnessConfig(attack=["pgd-250"], images=None, **STEPS))
MPGD = Under(RobustnessConfig(attack=["mpgd-250"], images=None, **STEPS))
AUTOATTACK = Under(RobustnessConfig(attack=["autoattack"], eps=8 / 255, images=1000, trust=False))
LATENT = LatentConfig(eps=8 / 255, steps=250, step_size=2 / 255, images=1000, batch_size=128)

COLUMNS = (Column("own", "natural"), Column("pgd-250", "pgd250"), Column("autoattack", "aa"))
COST = (
    "ResNet-20, 200 epochs of 13 forward-backward passes an image: about 3 hours a row on one GPU (estimated, not run)"
)
ABSOLUTE = tuple(Column(key) for key in ("intra_adv", "inter_adv", "intra", "inter"))
"""Absolute divergences (section 2 (i)): the paper's, with adversarial members, then those of clean images alone."""
