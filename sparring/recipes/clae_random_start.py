"""Does CLAE's adversary want a random start? SimCLR, CLAE as published, and CLAE with a random start.

Table: none of the paper's; its nearest are the SimCLR rows of Table 1 (CIFAR-10, eps 0 and 0.03), printed beside ours.
       One FGSM step from the image itself carries no gradient of the positive pair (`sparring/methods/clae.py`), so the
       published adversary is steered by negatives only; a uniform start (F-FGSM) brings the positive back.
Data:  an image folder with train/<class>/ and test/<class>/ (CIFAR-10's images for the paper's numbers).
Cost:  `full` (the paper's: ResNet-18, 100 epochs, batch 256): about 1 (SimCLR) to 2 GPU hours a row on one GPU.
       `short` (ResNet-20, a subset, few epochs, bf16): 15 to 40 minutes a row on one CPU core. `smoke`: seconds.
Run:   python -m sparring.recipes.clae_random_start --root IMAGES --budget short --seeds 0 1 2
       One JSON a run under results/clae-random-start/; finished runs are not repeated.

Every figure says its budget: a `short` figure stands beside the paper's only with that label.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from sparring.config import (
    AttackConfig,
    DataConfig,
    EncoderConfig,
    EvaluationConfig,
    MethodConfig,
    RunConfig,
    TrainingConfig,
)
from sparring.recipes.claims import Claim

EXPERIMENT = "clae-random-start"

SIMCLR = RunConfig(
    method=MethodConfig(name="simclr"),
    data=DataConfig(name="folder", views="simclr"),
    encoder=EncoderConfig(name="resnet18", head="mlp", dim=64, mean=[0.5] * 3, std=[0.5] * 3),
    training=TrainingConfig(epochs=100, batch_size=256, checkpoint_every=10, probe_every=0),
    evaluation=EvaluationConfig(
        knn_k=200, knn_temperature=0.5, knn_features="h", logistic_features="h", logistic_epochs=1000
    ),
)
CLAE = replace(SIMCLR, method=MethodConfig(name="clae", base="simclr", alpha=1.0))
FGSM = AttackConfig(name="fgsm", norm="linf", eps=0.03, space="normalized", clip=False)
ROWS = {
    "SimCLR": SIMCLR,
    "CLAE, FGSM": replace(CLAE, attack=FGSM),
    "CLAE, random start": replace(CLAE, attack=replace(FGSM, name="ffgsm")),
}

PAPER = {
    "SimCLR": {"logistic": 0.8327, "knn_z": 0.7592},
    "CLAE, FGSM": {"logistic": 0.8332, "knn_z": 0.7645},
}
"""CLAE Table 1, CIFAR-10, eps 0 and 0.03: ResNet-18, 100 epochs; best test epoch of the logistic regression, kNN on z."""

CLAIMS = (
    Claim("CLAE, FGSM", "SimCLR", "CLAE is better than its baseline (CLAE, Table 1)"),
    Claim("CLAE, random start", "SimCLR", "CLAE with a random start is better than the baseline (nobody's claim)"),
    Claim("CLAE, random start", "CLAE, FGSM", "a random start is better than starting at the image (nobody's claim)"),
)


@dataclass(frozen=True)
class Budget:
    """How far a row is scaled down."""

    label: str
    epochs: int = 100
    train_images: int | None = None
    test_images: int | None = None
    logistic_epochs: int = 1000


BUDGETS = {
    "full": Budget("full: ResNet-18, 100 epochs, batch 256, as in the paper"),
    "short": Budget("short: ResNet-20, 10,000 training images, 8 epochs, batch 128, bf16", 8, 10_000, 10_000),
    "smoke": Budget("smoke: ResNet-20, 400 training images, 1 epoch, batch 128, bf16", 1, 400, 200, 5),
}


def with_budget(row: RunConfig, name: str) -> RunConfig:
    """The row at the paper's size, or scaled down in this one place."""
    if name == "full":
        return row
    budget = BUDGETS[name]
    return replace(
        row,
        data=replace(row.data, train_images=budget.train_images, test_images=budget.test_images),
        encoder=replace(row.encoder, name="resnet20"),
        training=replace(
            row.training, epochs=budget.epochs, batch_size=128, precision="bf16", channels_last=True, progress=False
        ),
        evaluation=replace(
            row.evaluation, logistic_epochs=budget.logistic_epochs, knn_k=min(200, (budget.train_images or 200) // 4)
        ),
    )


def run(row: str, seed: int, budget: str, root: Path, out: Path, data_label: str) -> Path:
    """Train and evaluate one row with one seed and write its JSON; a finished run is left as it is."""
    from sparring import experiment
    from sparring.training.run_folder import load_config

    slug = row.lower().replace(",", "").replace(" ", "-")
    file = out / EXPERIMENT / f"{slug}-{budget}-seed{seed}.json"
    if file.exists():
        return file
    config = with_budget(ROWS[row], budget)
    config = replace(config, data=replace(config.data, root=str(root)), training=replace(config.training, seed=seed))
    with tempfile.TemporaryDirectory() as scratch:
        start = time.perf_counter()
        folder = experiment.run(replace(config, out=str(Path(scratch) / "run")))
        seconds = time.perf_counter() - start
        environment = json.loads((folder / "environment.json").read_text())
        del environment["command"]
        complete = asdict(load_config(folder))
        complete["data"]["root"] = "IMAGES"
        result = {
            "schema": 1,
            "experiment": EXPERIMENT,
            "row": row,
            "seed": seed,
            "data": data_label,
            "budget": BUDGETS[budget].label,
            "rerun": f"python -m sparring.recipes.clae_random_start --root IMAGES --budget {budget}",
            "config": complete,
            "results": json.loads((folder / "results.json").read_text()),
            "epochs": [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()],
            "environment": environment,
            "seconds": seconds,
        }
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(result, indent=1) + "\n")
    return file


def main() -> None:
    """Run the rows, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True, help="image folder with train/ and test/")
    parser.add_argument(
        "--data-label", default=None, help="what the images are called in results (default: folder name)"
    )
    parser.add_argument("--budget", choices=list(BUDGETS), default="short")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--rows", nargs="+", choices=list(ROWS), default=list(ROWS))
    parser.add_argument("--out", type=Path, default=Path("results"))
    args = parser.parse_args()
    files = [
        run(row, seed, args.budget, args.root, args.out, args.data_label or args.root.name)
        for seed in args.seeds
        for row in args.rows
    ]
    from sparring.reporting import read_results, results_table

    print(results_table(files))
    for row, numbers in PAPER.items():
        figures = ", ".join(f"{name} {100 * value:.2f}" for name, value in numbers.items())
        print(f"paper, {row}: {figures} (CLAE Table 1, CIFAR-10, ResNet-18, 100 epochs)")
    for claim in CLAIMS:
        for measure in ("knn", "logistic"):
            print(claim.judge(read_results(files), measure))


if __name__ == "__main__":
    main()
