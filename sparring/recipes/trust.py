"""Can a robust evaluation be believed? Two honest small CNNs, and three that only look robust.

Table: none of a paper's. Carlini et al. 2019 ("On Evaluating Adversarial Robustness") and Athalye et al. 2018
       ("Obfuscated Gradients Give a False Sense of Security") say what an honest evaluation shows and how a broken one looks.
Rows:  natural, adversarial (PGD adversarial training, Linf 8/255): every trust check must be green.
       saturated (logits times 1e5), quantised (pixels rounded to 8 levels), randomised (noise on the pixels), all three
       the natural CNN: the right checks must turn red.
Data:  CIFAR-10, or an image folder with train/<class>/ and test/<class>/.
Cost:  `short`: 5 to 10 minutes of training for each of the two CNNs, then 2 to 30 minutes a row, on 2 CPU cores.
Run:   sparring reproduce trust [--budget short --data folder --root IMAGES]
       One JSON a row under results/trust/; robustness.json and (not at smoke) a report a row in the folder of its CNN.
"""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from sparring.attacks import PGD, Linf
from sparring.config import DataConfig, MethodConfig, RunConfig, TrainingConfig
from sparring.data import ImageSet, load_images
from sparring.encoders import Normalize
from sparring.evaluation.features import evaluation_mode
from sparring.measuring import RobustnessConfig
from sparring.recipes.budgets import Budget
from sparring.recipes.claims import Colours
from sparring.recipes.recipe import Column, Recipe, Row, Under, derived

HONEST = ("natural", "adversarial")
RED = {
    "saturated": ("nonzero_gradients", "logits", "objectives"),
    "quantised": ("nonzero_gradients", "beats_noise", "beats_square"),
    "randomised": ("deterministic",),
}
"""Checks that must turn red on a broken model, whatever others do."""
NATURAL = RunConfig(
    method=MethodConfig(name="natural"),
    data=DataConfig(name="cifar10", image_size=32),
    training=TrainingConfig(epochs=30, batch_size=128),
)
"""Of it data, epochs, batch size and seed count: the CNN and its training are those of this file."""
ADVERSARIAL = derived(NATURAL, {"method.name": "adversarial_training"})
EVERYTHING = RobustnessConfig(
    attack=["fgsm", "pgd-20", "pgd-250", "mpgd-250", "autoattack"], step_size=2 / 255, images=500, corruptions=True
)
FEW = replace(EVERYTHING, attack=["fgsm", "pgd-20"], corruptions=False)


def cnn(classes: int, channels: int = 3) -> nn.Sequential:
    """Four convolutions with batch norm, pooled to a linear layer; pixels of [0, 1] in, logits out."""
    widths, strides = (channels, 32, 64, 64, 128), (1, 2, 1, 2)
    layers: list[nn.Module] = [Normalize([0.5] * channels, [0.25] * channels)]
    for narrow, wide, stride in zip(widths, widths[1:], strides, strict=False):
        layers += [nn.Conv2d(narrow, wide, 3, stride, padding=1, bias=False), nn.BatchNorm2d(wide), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(widths[-1], classes))


class Saturated(nn.Module):
    """The same decisions, logits 1e5 times as large: the softmax is 0 or 1 in float32 and its gradient 0."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        return 1e5 * self.model(x)


class Quantised(Saturated):
    """Pixels rounded to 8 levels first: piecewise constant, so the gradient is 0 wherever it exists."""

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        return self.model((7 * x).round() / 7)


class Randomised(Saturated):
    """Gaussian noise on the pixels in every forward: each gradient is another's."""

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        return self.model(x + 0.1 * torch.randn_like(x))


WRAPPERS = {"saturated": Saturated, "quantised": Quantised, "randomised": Randomised}


def train(train_images: ImageSet, adversarial: bool, epochs: int, seed: int, batch_size: int = 128) -> nn.Module:
    """Cross-entropy on flipped and shifted images; `adversarial`: on PGD's (3 steps of 4/255 within 8/255)."""
    assert isinstance(train_images.images, Tensor)
    assert train_images.labels is not None
    torch.manual_seed(seed)
    model = cnn(len(train_images.classes), train_images.channels)
    generator = torch.Generator().manual_seed(seed)
    attack = PGD(Linf(8 / 255), steps=3, step_size=4 / 255)
    steps = epochs * (len(train_images) // batch_size)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4, nesterov=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.1, total_steps=steps)
    for _ in range(epochs):
        order = torch.randperm(len(train_images), generator=generator)
        for rows in order[: len(order) // batch_size * batch_size].split(batch_size):
            x, y = shifted(train_images.images[rows].float() / 255, generator), train_images.labels[rows]
            if adversarial:
                with evaluation_mode(model):
                    x = attack(partial(error, model, y), x, generator=generator)
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x), y).backward()
            optimizer.step()
            schedule.step()
    return model.eval()


def error(model: nn.Module, y: Tensor, x: Tensor) -> Tensor:
    """Cross-entropy, image by image."""
    return nn.functional.cross_entropy(model(x), y, reduction="none")


def shifted(x: Tensor, generator: torch.Generator) -> Tensor:
    """Each image flipped with probability 1/2 and the batch shifted by up to 3 pixels (wrapping around)."""
    flip = torch.rand(len(x), generator=generator) < 0.5
    x = torch.where(flip.view(-1, 1, 1, 1), x.flip(-1), x)
    down, right = torch.randint(-3, 4, (2,), generator=generator).tolist()
    return x.roll((down, right), (-2, -1))


def trained(images: ImageSet, config: RunConfig, file: Path) -> nn.Module:
    """The natural or the adversarial CNN, from `file` if it is there."""
    training = config.training
    assert training.epochs is not None and training.batch_size is not None
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        adversarial = config.method.name == "adversarial_training"
        model = train(images, adversarial, training.epochs, training.seed, training.batch_size)
        save_file(model.state_dict(), file.with_suffix(".part"))
        file.with_suffix(".part").rename(file)
    model = cnn(len(images.classes), images.channels)
    model.load_state_dict(load_file(file))
    return model.eval()


def make(row: Row, config: RunConfig, budget: Budget, home: Path) -> dict[str, Any]:
    """What a row's JSON says of it; the CNN's weights, and robustness.json and a report a row, stay in `home`."""
    from sparring.evaluation import measure_robustness
    from sparring.reporting import write_report
    from sparring.training.run_folder import environment

    start, seed = time.perf_counter(), config.training.seed
    images, test = load_images(config.data, seed=seed)
    assert isinstance(images.images, Tensor) and isinstance(test.images, Tensor)
    assert test.labels is not None
    model = trained(images, config, home / "weights.safetensors")
    if row.name in WRAPPERS:
        model = WRAPPERS[row.name](model).eval()
    scaled = replace(budget.robustness(EVERYTHING if row.name in HONEST else FEW), trust=True)
    result = measure_robustness(
        model,
        test.images,
        test.labels,
        scaled,
        classes=test.classes,
        data=test.name,
        subject=f"small CNN, {row.name}",
        train_images=images.images,
        state=home / row.name / "autoattack",
    )
    machine = environment(seed)
    del machine["command"]
    result.save(home / row.name, environment=machine)
    if budget.report:
        write_report(home / row.name)
    entry = result.entry
    return {
        "config": {
            "train_images": config.data.train_images,
            "epochs": config.training.epochs,
            "robustness": entry["protocol"],
        },
        "results": {"clean": entry["clean"], **entry["attacks"], "worst case": entry["worst_case"]},
        "checks": {check["name"]: check for check in entry["checks"]},
        "verdict": entry["verdict"],
        "corruptions": entry["corruptions"],
        "curves": entry["curves"],
        "environment": machine,
        "seconds": time.perf_counter() - start,
    }


RECIPE = Recipe(
    name="trust",
    title="Can a robust evaluation be believed?",
    source="none of a paper's",
    rows=(
        Row("natural", NATURAL),
        Row("adversarial", ADVERSARIAL),
        *(Row(name, NATURAL) for name in WRAPPERS),
    ),
    columns=tuple(Column(name) for name in ("clean", *EVERYTHING.attack, "worst case")),
    claims=(
        *(Colours(name, "every check of an honest model is green") for name in HONEST),
        *(Colours(name, f"{', '.join(red)} red", red) for name, red in RED.items()),
    ),
    robustness=(Under(EVERYTHING), Under(FEW)),
    seeds=1,
    make=make,
    cost="a CNN of 0.13 million parameters: minutes of training, up to half an hour of attacks a row on 2 CPU cores",
)
