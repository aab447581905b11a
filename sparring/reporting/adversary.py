"""What perturbations do to the trained encoder (CLAE, Fig. 2 to 4): sections from the run folder to pieces of HTML."""

from __future__ import annotations

import numpy as np

from sparring.reporting.figures import Series, channels, lines
from sparring.reporting.page import figures, paragraph
from sparring.reporting.pictures import perturbed
from sparring.reporting.run_folder import RunFolder
from sparring.reporting.sections import REMOVAL

CHANNELS = 24
NEGLIGIBLE = 0.01
"""Share of the starting value in running statistics below which nothing is said."""


def threat(run: RunFolder) -> list[str]:
    """The adversary in words."""
    attack = run.analysis.get("attack")
    if not attack:
        return [_no_analysis()]
    role = (
        "This adversary was part of training."
        if attack["in_training"]
        else "Training had no adversary; this one only draws the figures below."
    )
    seen = run.analysis
    if attack.get("climbs") == "cross_entropy":
        what = "In the figures below it maximises the cross-entropy of the run's own classifier. They attack the trained encoder"
    elif attack.get("climbs") == "swapped_prediction":
        what = (
            "It maximises the swapped prediction between an image, held constant, and its copy; the other images of a batch "
            f"of {seen['batch_size']:,} share the prototypes with it. The figures below attack the trained encoder"
        )
    else:
        what = (
            "It maximises the method's contrastive loss between an image, held constant, and its copy; the other images "
            f"of a batch of {seen['batch_size']:,} are the negatives. The figures below attack the trained encoder"
        )
    if run.setting("method.pairs") in REMOVAL:
        what = f"The loss is that of the pairs of the same image, from which nothing is removed. {what}"
    how = (
        f"{role} {what} in evaluation mode with its {seen['domain']} batch norm, on {seen['images']:,} un-augmented held-out "
        f"images of {seen['data']} (seed {seen['seed']})."
    )
    return [paragraph(attack["words"] + "."), paragraph(how, "soft")]


def _no_analysis() -> str:
    return paragraph("The trained encoder was not analysed (analysis.json is absent).", "missing")


def examples(run: RunFolder) -> list[str]:
    """Images, their adversarial copies, and the amplified difference (CLAE, Fig. 2)."""
    if not run.arrays:
        return [_no_analysis()]
    names = run.analysis.get("examples", [])
    original, adversarial = run.arrays["original"], run.arrays["adversarial"]
    grid, words = perturbed(original, adversarial, [("", names)] if names else [])
    return [grid, paragraph(f"eps {run.analysis['attack']['eps']:.3g}, {_unit(run)}. {words}", "soft")]


def _unit(run: RunFolder) -> str:
    return "in normalised units" if run.analysis["attack"]["space"] == "normalized" else "in pixels of [0, 1]"


def perturbations(run: RunFolder) -> list[str]:
    """Contrastive loss and downstream cross-entropy against eps, adversarial and random (CLAE, Fig. 3); of a classifying
    method the latter alone."""
    curves = run.analysis.get("curves")
    if not curves:
        return [_no_analysis()]
    eps, drawn = run.analysis["eps"], []
    batches = len(next(iter(curves["adversarial"].values()), {"batches": [[]]})["batches"][0])
    of_what = f"{run.analysis['images']:,} images of {run.analysis['data']}"
    about = f"n = {of_what}, {batches} batch{'es' * (batches > 1)} of {run.analysis['batch_size']:,}"
    band = "; the band is one standard error of the change over batches" if batches > 1 else ""
    for measure, title, unit, words in (
        (
            "contrastive_loss",
            "Contrastive loss",
            "loss (nats)",
            "Loss of the pretext task between images and their copies",
        ),
        (
            "cross_entropy",
            "Downstream cross-entropy",
            "cross-entropy (nats)",
            "The same copies, classified by {classifier}",
        ),
        ("accuracy", "Downstream accuracy", "accuracy", "The same copies and the same classifier"),
    ):
        if measure not in curves["adversarial"]:
            continue
        if "contrastive_loss" not in curves["adversarial"]:
            title, words = title.removeprefix("Downstream ").capitalize(), words.replace("The same copies", "Copies")
        if measure == "contrastive_loss" and run.analysis["attack"].get("climbs") == "swapped_prediction":
            title = "Swapped prediction"
        series = []
        for kind in ("adversarial", "random"):
            values = np.asarray(curves[kind][measure]["batches"])
            mean, low, high = values.mean(axis=1), None, None
            if batches > 1:
                # batches differ in difficulty at every radius alike: what is uncertain is the change
                error = (values - values[:1]).std(axis=1, ddof=1) / np.sqrt(batches)
                low, high = (mean - error).tolist(), (mean + error).tolist()
            series.append(Series(kind, eps, mean.tolist(), kind, low, high))
        drawing = lines(series, x=f"eps, {_unit(run)}", y=unit, title=title, percent=measure == "accuracy", narrow=True)
        caption = words.format(classifier=run.analysis.get("classifier"))
        drawn.append((drawing, f"{caption}; {about}{band}."))
    parts = [figures(drawn, columns=3)] if drawn else []
    if "cross_entropy" not in curves["adversarial"]:
        reason = "the images have no labels" if not run.analysis.get("labels") else "no classifier was fitted"
        parts.append(paragraph(f"Downstream cross-entropy is left out: {reason}.", "missing"))
    noise = (
        "Random noise has the norm of the whole radius, in random directions. At eps 0 both are the images themselves."
    )
    return [*parts, paragraph(noise, "soft")]


def batch_norms(run: RunFolder) -> list[str]:
    """Running mean and variance of both batch norms, some channels of some layers (CLAE, Fig. 4)."""
    layers = run.analysis.get("batch_norm")
    if layers is None:
        return [_no_analysis()]
    if not layers:
        reason = (
            "This encoder has one batch norm a layer: its method keeps no second one for adversarial examples."
            if run.analysis.get("has_batch_norm", True)
            else "This encoder has no batch norm."
        )
        return [paragraph(reason, "missing")]
    draw = np.random.default_rng(0)
    drawn = []
    for index in sorted({0, len(layers) // 2, len(layers) - 1}):
        name = layers[index]["layer"]
        width = len(run.arrays[f"batch_norm_{index}_clean_mean"])
        shown = np.sort(draw.permutation(width)[:CHANNELS])
        for field, word in (("mean", "running mean"), ("var", "running variance")):
            clean, adv = (run.arrays[f"batch_norm_{index}_{domain}_{field}"][shown] for domain in ("clean", "adv"))
            drawing = channels(clean, adv, y=word, title=f"{word.capitalize()}, {name}")
            drawn.append((drawing, f"{len(shown)} of {width} channels, layer {index + 1} of {len(layers)}."))
    gaps = [layer["mean_gap"] for layer in layers]
    widest = layers[int(np.argmax(gaps))]
    ratio = float(np.exp(np.mean(np.log([layer["var_ratio"] for layer in layers]))))
    summary = (
        f"Over {len(layers)} layers the adversarial running means lie {np.mean(gaps):.2f} clean standard deviations "
        f"from the clean ones (most in {widest['layer']}: {widest['mean_gap']:.2f}); adversarial variances are "
        f"{ratio:.2f} times the clean ones (geometric means over channels)."
    )
    return [paragraph(summary), *_unsettled(run), figures(drawn)]


def _unsettled(run: RunFolder) -> list[str]:
    """A warning where a short run leaves much of the adversarial statistics at their starting value."""
    steps, momentum = run.metrics[-1].get("step") if run.metrics else None, run.setting("encoder.adv_momentum")
    if not steps or not momentum:
        return []
    # with updates inside the attack, both of its forwards on clean pixels count beside the training forward
    steps *= 3 if run.setting("attack.update_statistics") else 1
    left = (1 - momentum) ** steps
    if left < NEGLIGIBLE:
        return []
    words = (
        f"Read this gap with care: after {steps:,} updates at momentum {momentum:g}, {100 * left:.0f} % of the adversarial "
        "running statistics is still their starting value (mean 0, variance 1)."
    )
    return [paragraph(words, "warn")]
