"""Time of PGD-20 (Linf, 8/255, steps of 2/255, no random start) over foolbox's and over ART's, in alternating rounds.

A batch of 32 x 32 images, a small CNN with untrained weights, whose own predictions are the labels, so that no image is
wrong before. All three return the same images but for float32 rounding (the share of equal pixels is printed). The
other two also compute, and leave behind, the gradient of every parameter. Ours is timed as `PGD` on the objective, what
they are, and as `Untargeted(PGD)`, which also looks twice at what is wrong. Expected: at most 0.75 of either.

    pip install foolbox adversarial-robustness-toolbox
    python benchmarks/pgd.py [--rounds 10] [--batch-size 128] [--steps 20] [--device cpu|cuda]
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import time
import warnings

import torch
from torch import nn
from torch.nn import functional as F

from sparring.attacks import PGD, Linf, Untargeted

EPS, STEP = 8 / 255, 2 / 255
PACKAGES = {"foolbox": "foolbox", "art": "adversarial-robustness-toolbox"}


def small_cnn() -> nn.Module:
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for inputs, outputs, stride in ((3, 32, 1), (32, 64, 2), (64, 64, 1), (64, 128, 2)):
        layers += [nn.Conv2d(inputs, outputs, 3, stride, padding=1), nn.BatchNorm2d(outputs), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(128, 10)).eval()


def foolbox_attack(model, x, y, steps: int):
    import foolbox

    wrapped = foolbox.PyTorchModel(model, bounds=(0, 1), device=x.device)
    attack = foolbox.attacks.LinfPGD(steps=steps, abs_stepsize=STEP, random_start=False)
    criterion = foolbox.criteria.Misclassification(y)
    return lambda: attack.run(wrapped, x, criterion, epsilon=EPS)


def art_attack(model, x, y, steps: int):
    from art.attacks.evasion import ProjectedGradientDescentPyTorch
    from art.estimators.classification import PyTorchClassifier

    estimator = PyTorchClassifier(
        model, nn.CrossEntropyLoss(), (3, 32, 32), 10, clip_values=(0, 1), device_type="gpu" if x.is_cuda else "cpu"
    )
    attack = ProjectedGradientDescentPyTorch(
        estimator, eps=EPS, eps_step=STEP, max_iter=steps, num_random_init=0, batch_size=len(x), verbose=False
    )
    images, labels = x.cpu().numpy(), y.cpu().numpy()
    return lambda: torch.from_numpy(attack.generate(images, labels)).to(x.device)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    missing = [package for module, package in PACKAGES.items() if importlib.util.find_spec(module) is None]
    if missing:
        parser.exit(1, f"Not installed, so there is nothing to compare with: pip install {' '.join(missing)}\n")
    warnings.simplefilter("ignore", DeprecationWarning)

    model = small_cnn().to(args.device)
    x = torch.rand(args.batch_size, 3, 32, 32, generator=torch.Generator().manual_seed(1)).to(args.device)
    with torch.no_grad():
        y = model(x).argmax(1)
    pgd = PGD(Linf(EPS), args.steps, STEP, random_start=False)
    untargeted = Untargeted(pgd)
    attacks = {
        "PGD": lambda: pgd(lambda images: F.cross_entropy(model(images), y, reduction="none"), x),
        "Untargeted(PGD)": lambda: untargeted(model, x, y),
        "foolbox": foolbox_attack(model, x, y, args.steps),
        "ART": art_attack(model, x, y, args.steps),
    }

    def seconds(name: str) -> float:
        start = time.perf_counter()
        attacks[name]()
        if args.device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - start

    results = {name: attack() for name, attack in attacks.items()}
    times: dict[str, list[float]] = {name: [] for name in attacks}
    for _ in range(args.rounds):
        for name in attacks:
            times[name].append(seconds(name))

    threads = torch.get_num_threads()
    print(f"PGD-{args.steps}, Linf, batch {args.batch_size}, 32 px, small CNN, {args.device}, {threads} threads")
    for name, result in results.items():
        equal = ((result - results["PGD"]).abs() < 1e-5).double().mean().item()
        print(f"{name:16} median {1e3 * statistics.median(times[name]):8.1f} ms; {equal:.2%} of the pixels as PGD's")
    for ours in ("PGD", "Untargeted(PGD)"):
        for theirs in ("foolbox", "ART"):
            ratios = sorted(a / b for a, b in zip(times[ours], times[theirs], strict=True))
            print(
                f"{ours} / {theirs}: median {statistics.median(ratios):.3f}, min {ratios[0]:.3f}, max {ratios[-1]:.3f}, "
                f"n = {len(ratios)} rounds (expected at most 0.75)"
            )


if __name__ == "__main__":
    main()
