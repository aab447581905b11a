"""The trust checks of an evaluation: what to look at, in which order, and what is left for the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from sparring.attacks import Threat
from sparring.attacks.classifier import ClassifierAttack, Model
from sparring.attacks.describe import within
from sparring.attacks.protect import leaving_no_trace
from sparring.evaluation.classifier import check_images, check_labels
from sparring.evaluation.features import evaluation_mode
from sparring.evaluation.robust import Attacked, Progress, device_of
from sparring.evaluation.trust import handover
from sparring.evaluation.trust.check import TITLES, Check, not_run, verdict
from sparring.evaluation.trust.measure import Measured, NotMeasured, seeded
from sparring.evaluation.trust.questions import QUESTIONS

SUBSTITUTE_IMAGES = 1000


@dataclass(frozen=True)
class Trust:
    """What a robust evaluation thinks of itself."""

    checks: list[Check]
    curves: dict[str, Any]
    """Accuracy against "eps" and "steps" with intervals, as robustness.json holds them; without what could not be run."""
    verdict: dict[str, str]
    """colour and sentence."""


def trust_checks(
    model: Model,
    x: Float[Tensor, "n C H W"],
    y: Int[Tensor, " n"],
    *,
    threat: Threat,
    correct: Bool[Tensor, " n"] | None = None,
    surrogate: Model | None = None,
    train_images: Shaped[Tensor, "m C H W"] | None = None,
    attacks: Mapping[str, Attacked | None] | None = None,
    seed: int = 0,
    steps: Sequence[int] = (1, 2, 5, 10, 20, 50),
    images: int = 200,
    square_queries: int = 1000,
    batch_size: int = 250,
    std: tuple[float, ...] | None = None,
    progress: Progress | None = None,
) -> Trust:
    """Thirteen checks (twelve without `attacks`) of an evaluation of `model` under `threat`, on `images` of the images x
    in [0, 1] (a seeded draw).

    Hand over the model as you would use it: its mode is one of the things looked at. `correct` is where it is right on x,
    if that is known. `surrogate` is another model whose adversarial examples are tried; without one, a small network is
    fitted to the model's predictions on `train_images` (uint8, or float in [0, 1]), or on x. `attacks` are the runs whose
    figures are in question: they are looked at for ball and box, and for being weaker than the checks' own. `std` is for
    threats in normalised units.

    The attacks are PGD from a random start with steps of 2.5 eps / steps (on cross-entropy and margin), FGSM, 10 draws of
    noise, and Square. They take, for each image that is right before, at most sum(steps) + 223 forwards with a backward
    and `square_queries` + 100 without; fitting the substitute takes seconds. Nothing is left changed.

    Raises ValueError for images, labels, outputs and settings that are none; RuntimeError inside torch.inference_mode.
    What a model does not allow (it has no gradient, Square does not know the threat) makes a check grey, with the reason.
    """
    steps = tuple(steps)
    _check_settings(steps, images=images, square_queries=square_queries, batch_size=batch_size)
    _check_images(x, y, correct, train_images)
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randperm(len(x), generator=generator)[:images].sort().values
    pool = x if train_images is None else train_images
    pool = pool[torch.randperm(len(pool), generator=generator)[:SUBSTITUTE_IMAGES].to(pool.device)].cpu()
    pool = pool.float() / (255 if pool.dtype == torch.uint8 else 1)
    place = device_of(model, x)
    x, y = x.detach()[rows.to(x.device)].cpu().float(), y[rows.to(y.device)].cpu().long()
    with leaving_no_trace(place), evaluation_mode(model):
        seeded(place, seed)
        outputs = handover.logits(model, x, batch_size)
    _check_outputs(outputs, y, None if surrogate is None else handover.logits(surrogate, x[:2]).shape[1])
    right = outputs.argmax(dim=1) == y if correct is None else correct.cpu()[rows]
    measured = Measured(
        model, x, y, threat, outputs, right, surrogate, pool, seed, steps, square_queries, batch_size, std,
        {name: (run.distance, run.outside) for name, run in (attacks or {}).items() if run is not None},
        torch.stack([run.correct[rows] for run in attacks.values() if run is not None]).all(dim=0) if attacks else None,
    )  # fmt: skip
    questions = {name: ask for name, ask in QUESTIONS.items() if attacks or name != "strong_enough"}
    checks: dict[str, Check] = {}
    for number, (name, ask) in enumerate(questions.items()):
        if progress is not None:
            progress(f"trust check: {TITLES[name]}", number, len(questions), None)
        try:
            with leaving_no_trace(place):
                seeded(place, seed)
                checks[name] = ask(measured)
        except NotMeasured as reason:
            checks[name] = not_run(name, str(reason))
    in_order = [checks[name] for name in TITLES if name in checks]
    with leaving_no_trace(place):
        seeded(place, seed)
        return Trust(in_order, measured.curves(), verdict(in_order))


def trust_each(
    model: Model,
    x: Float[Tensor, "n C H W"],
    y: Int[Tensor, " n"],
    *,
    attacks: Mapping[str, ClassifierAttack],
    outcomes: Mapping[str, Attacked],
    **settings: Any,
) -> Trust:
    """The checks for each threat among `attacks`, one verdict on all of them, which names the threats, and the first's
    curves. `outcomes` are the attacks' runs by name, `settings` those of `trust_checks`."""
    threats = list(dict.fromkeys(attack.threat for attack in attacks.values()))
    trusts = {
        " ".join(within(threat, settings.get("std"))): trust_checks(
            model,
            x,
            y,
            threat=threat,
            attacks={name: outcomes[name] for name, attack in attacks.items() if attack.threat == threat},
            **settings,
        )
        for threat in threats
    }
    first = next(iter(trusts.values()))
    where = f" ({' and '.join(trusts)}, n = {min(settings.get('images', 200), len(x)):,} images)."
    if len(trusts) == 1:
        checks = first.checks
    else:
        checks = [replace(c, title=f"{words}: {c.title}") for words, trust in trusts.items() for c in trust.checks]
    overall = verdict(checks)
    return Trust(checks, first.curves, overall | {"sentence": overall["sentence"].removesuffix(".") + where})


def _check_settings(steps: tuple[int, ...], **least_one: int) -> None:
    whole = all(isinstance(s, int) and not isinstance(s, bool) and s > 0 for s in steps)
    if not steps or not whole or sorted(set(steps)) != list(steps):
        raise ValueError(
            f"steps is {steps}; it must be rising whole numbers of at least 1, such as (1, 2, 5, 10, 20, 50)"
        )
    for name, value in least_one.items():
        if value < 1:
            raise ValueError(f"{name} must be at least 1, not {value}")


def _check_images(x: Tensor, y: Tensor, correct: Tensor | None, train_images: Tensor | None) -> None:
    check_images(x)
    check_labels(y, len(x))
    if correct is not None and len(correct) != len(x):
        raise ValueError(f"correct has {len(correct)} entries for {len(x)} images")
    if train_images is not None:
        if train_images.shape[1:] != x.shape[1:]:
            raise ValueError(
                f"train_images are {list(train_images.shape[1:])} but x {list(x.shape[1:])}; they must be alike [C, H, W]"
            )
        if train_images.dtype != torch.uint8:
            check_images(train_images)


def _check_outputs(outputs: Tensor, y: Tensor, classes_of_surrogate: int | None) -> None:
    bad = int((~outputs.isfinite()).any(dim=1).sum())
    if bad:
        raise ValueError(f"the model's logits are NaN or infinite for {bad} of {len(outputs)} images")
    low, high = int(y.min()), int(y.max())
    if low < 0 or high >= outputs.shape[1]:
        raise ValueError(f"labels y lie in {low}..{high}, but the model's classes are 0..{outputs.shape[1] - 1}")
    if classes_of_surrogate not in (None, outputs.shape[1]):
        raise ValueError(f"the surrogate has {classes_of_surrogate} classes, but the model {outputs.shape[1]}")
