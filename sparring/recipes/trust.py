"""Can a robust evaluation be believed? Two honest small CNNs, and three that only look robust.

Table: none of a paper's. Carlini et al. 2019 ("On Evaluating Adversarial Robustness") and Athalye et al. 2018
       ("Obfuscated Gradients Give a False Sense of Security") say what an honest evaluation shows and how a broken one looks.
Rows:  natural, adversarial (PGD adversarial training, Linf 8/255): every trust check must be green.
       saturated (logits times 1e5), quantised (pixels rounded to 8 levels), randomised (noise on the pixels), all three
       the natural CNN: the right checks must turn red.
Data:  an image folder with train/<class>/ and test/<class>/.
Cost:  `short`: 5 to 10 minutes of training for each CNN, then 2 to 30 minutes a row, on 2 CPU cores. `smoke`: a minute.
Run:   python -m sparring.recipes.trust --root IMAGES --budget short
       One JSON a row under results/trust/ and, with --folder, a report a row; finished rows are not repeated.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from sparring.attacks import PGD, Linf
from sparring.config import DataConfig
from sparring.data import ImageSet, load_images
from sparring.encoders import Normalize
from sparring.evaluation.features import evaluation_mode
from sparring.measuring import RobustnessConfig
from sparring.training.run_folder import environment

EXPERIMENT = "trust"
HONEST = ("natural", "adversarial")
BROKEN = ("saturated", "quantised", "randomised")
RED = {
    "saturated": {"nonzero_gradients", "logits", "objectives"},
    "quantised": {"nonzero_gradients", "beats_noise", "beats_square"},
    "randomised": {"deterministic"},
}
"""Checks that must turn red on a broken model, whatever others do."""


@dataclass(frozen=True)
class Budget:
    """How far the experiment is scaled."""

    label: str
    train_images: int | None
    epochs: int
    robustness: RobustnessConfig
    broken: RobustnessConfig


EVERYTHING = RobustnessConfig(
    attack=["fgsm", "pgd-20", "pgd-250", "mpgd-250", "autoattack"], step_size=2 / 255, images=500, corruptions=True
)
FEW = replace(EVERYTHING, attack=["fgsm", "pgd-20"], corruptions=False)
BUDGETS = {
    "short": Budget(
        "short: a CNN of 0.13 million parameters, 20,000 training images, 10 epochs", 20_000, 10, EVERYTHING, FEW
    ),
    "smoke": Budget(
        "smoke: the same CNN, 2,000 training images, 4 epochs, 100 test images",
        2_000,
        4,
        replace(
            EVERYTHING,
            attack=["fgsm", "pgd-5", "square"],
            images=100,
            trust_images=50,
            square_queries=50,
            severities=[3],
        ),
        replace(FEW, attack=["pgd-5"], images=100, trust_images=50, square_queries=50),
    ),
}


def cnn(classes: int) -> nn.Sequential:
    """Four convolutions with batch norm, pooled to a linear layer; pixels of [0, 1] in, logits out."""
    widths, strides = (3, 32, 64, 64, 128), (1, 2, 1, 2)
    layers: list[nn.Module] = [Normalize([0.5] * 3, [0.25] * 3)]
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


def train(train_images: ImageSet, adversarial: bool, epochs: int, seed: int) -> nn.Module:
    """Cross-entropy on flipped and shifted images; `adversarial`: on PGD's (3 steps of 4/255 within 8/255)."""
    assert isinstance(train_images.images, Tensor)
    assert train_images.labels is not None
    torch.manual_seed(seed)
    model, generator = cnn(len(train_images.classes)), torch.Generator().manual_seed(seed)
    attack = PGD(Linf(8 / 255), steps=3, step_size=4 / 255)
    batch_size = 128
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


def trained(name: str, images: ImageSet, budget: Budget, seed: int, weights: Path) -> nn.Module:
    """The natural or the adversarial CNN, from `weights` if it is there."""
    file = weights / f"{name}-{budget.label.split(':')[0]}-seed{seed}.safetensors"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        save_file(train(images, name == "adversarial", budget.epochs, seed).state_dict(), file)
    model = cnn(len(images.classes))
    model.load_state_dict(load_file(file))
    return model.eval()


def run(
    row: str, seed: int, budget_name: str, root: Path, out: Path, data: str, folder: Path | None, weights: Path
) -> Path:
    """Measure one row and write its JSON; a finished one is left as it is."""
    from sparring.evaluation import measure_robustness

    file = out / EXPERIMENT / f"{row}-{budget_name}-seed{seed}.json"
    if file.exists():
        return file
    budget, start = BUDGETS[budget_name], time.perf_counter()
    images, test = load_images(DataConfig(name="folder", root=str(root), train_images=budget.train_images), seed=seed)
    assert isinstance(images.images, Tensor) and isinstance(test.images, Tensor)
    assert test.labels is not None
    natural = row if row in HONEST else "natural"
    model: nn.Module = trained(natural, images, budget, seed, weights)
    if row in WRAPPERS:
        model = WRAPPERS[row](model).eval()
    config = budget.robustness if row in HONEST else budget.broken
    words = f"small CNN, {row}"
    result = measure_robustness(
        model,
        test.images,
        test.labels,
        config,
        classes=test.classes,
        data=data,
        subject=words,
        train_images=images.images,
        state=None if folder is None else folder / row / "autoattack",
        progress=lambda what, done, total, left: print(f"{row}: {what}, {done} of {total}", flush=True),
    )
    machine = environment(seed)
    del machine["command"]
    if folder is not None:
        from sparring.reporting import write_report

        result.save(folder / row, environment=machine)
        write_report(folder / row)
    entry = result.entry
    written = {
        "schema": 1,
        "experiment": EXPERIMENT,
        "row": row,
        "seed": seed,
        "data": data,
        "budget": budget.label,
        "rerun": f"python -m sparring.recipes.trust --root IMAGES --budget {budget_name} --rows {row}",
        "config": {"train_images": budget.train_images, "epochs": budget.epochs, "robustness": entry["protocol"]},
        "results": {"clean": entry["clean"], **entry["attacks"], "worst case": entry["worst_case"]},
        "checks": {check["name"]: check for check in entry["checks"]},
        "verdict": entry["verdict"],
        "corruptions": entry["corruptions"],
        "curves": entry["curves"],
        "environment": machine,
        "seconds": time.perf_counter() - start,
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(written, indent=1) + "\n")
    return file


def judge(file: Path) -> str:
    """Whether the checks of a row came out as they must, in one line."""
    result = json.loads(file.read_text())
    row, colours = result["row"], {name: check["colour"] for name, check in result["checks"].items()}
    other = {name: colour for name, colour in colours.items() if colour != "green"}
    if row in HONEST:
        verdict = "holds" if not other else "fails"
        return f"{row}: every check is green: {verdict} {other or ''}".rstrip()
    missing = {name for name in RED[row] if colours.get(name) != "red"}
    return f"{row}: {', '.join(sorted(RED[row]))} red: {'fails' if missing else 'holds'} (not green: {other})"


def main() -> None:
    """Run the rows and judge them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True, help="image folder with train/ and test/")
    parser.add_argument("--data-label", default=None, help="what the images are called (default: the folder's name)")
    parser.add_argument("--budget", choices=list(BUDGETS), default="short")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rows", nargs="+", choices=[*HONEST, *BROKEN], default=[*HONEST, *BROKEN])
    parser.add_argument("--out", type=Path, default=Path("results"))
    parser.add_argument("--folder", type=Path, default=None, help="where each row leaves robustness.json and a report")
    parser.add_argument("--weights", type=Path, default=Path("runs/trust-weights"), help="where the CNNs are kept")
    args = parser.parse_args()
    for row in args.rows:
        label = args.data_label or args.root.name
        print(
            judge(run(row, args.seed, args.budget, args.root, args.out, label, args.folder, args.weights)), flush=True
        )


if __name__ == "__main__":
    main()
