"""From what is measured of a run to the keys of a result's `results`: each an accuracy or a value, and what it is in words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

from sparring.reporting.run_folder import read_lines

ABSOLUTE = {
    "intra": "mean cosine distance to the other clean images of the class",
    "inter": "mean cosine distance to the clean images of other classes",
    "intra_adv": "mean cosine distance to the other images of the class, clean and adversarial",
    "inter_adv": "mean cosine distance to the images of other classes, clean and adversarial",
}
"""Absolute divergences of clean anchors (ASCL, section 2 (i)); R-DIV is intra_adv over inter_adv."""


def distances(entry: Mapping[str, Any]) -> dict[str, Any]:
    """`divergences`, and inter_over_intra where there are classes to compare, of latent.json."""
    results = {}
    if "ratio" in entry["classes"]:
        apart = f"mean {entry['classes']['distance']} distance between classes over that within them"
        results["inter_over_intra"] = {"value": entry["classes"]["ratio"], "n": entry["data"]["n"], "words": apart}
    return results | divergences(entry)


def divergences(entry: Mapping[str, Any]) -> dict[str, Any]:
    """What ASCL draws of a look into the latent space (Figs. 2, 5, 6), of latent.json or a result's `latent`:

    r_div, and intra, inter, intra_adv, inter_adv behind it; at every attack radius r_div 4/255 and robust_accuracy pgd 4/255.
    """
    found, of = entry["divergence"]["adversarial"], entry["strengths"]
    results = {"r_div": {"value": found["r_div"], "n": found["anchors"], "words": found["words"]}}
    about = {"n": found["anchors"], "protocol": entry["label"]}
    for key, words in ABSOLUTE.items():
        under = f"; {found['words']}" if key.endswith("_adv") else ""
        results[key] = {"value": found[key], **about, "words": f"{words}{under}"}
    for eps, r_div, robust in zip(of["eps"], of["r_div"], of["robust_accuracy"], strict=True):
        radius = in_255ths(eps)
        words = f"under the attack of r_div at radius {radius}"
        results[f"r_div {radius}"] = {"value": r_div, **about, "words": f"R-DIV {words}"}
        right = f"right before and after, {words}, on its images"
        results[f"robust_accuracy pgd {radius}"] = {"accuracy": robust, **about, "words": right}
    return results


def in_255ths(eps: float | int) -> str:
    """A radius as keys have it, such as 8/255."""
    return f"{255 * eps:.4g}/255"


def completed(result: dict[str, Any]) -> dict[str, Any]:
    """A result file with the keys that it lacks and its stored look into the latent space has: those of an earlier version
    say r_div alone."""
    if not result.get("latent", {}).keys() >= {"divergence", "strengths"}:
        return result
    return result | {"results": divergences(result["latent"]) | result["results"]}


def attacked(entry: Mapping[str, Any], suffix: str) -> dict[str, Any]:
    """clean, each attack with the suffix, corruptions (the mean) and each of them with its severity (fog 1), of
    robustness.json.

    Each but the first says as `clean_accuracy` what the classifier has on the same images without attack or corruption.
    """
    label, before = {"protocol": entry["label"]}, {"clean_accuracy": entry["clean"]["accuracy"]}
    results = {"clean": entry["clean"] | label | {"words": entry["subject"]["words"]}}
    results |= {f"{name}{suffix}": figure | label | before for name, figure in entry["attacks"].items()}
    if found := entry.get("corruptions"):
        before = {"clean_accuracy": found.get("clean_accuracy", entry["clean"]["accuracy"])}
        mean = {"accuracy": found["mean_accuracy"], "n": found["n"], "words": found["words"]} | before
        results[f"corruptions{suffix}"] = mean
        for name, accuracies in found["accuracy"].items():
            for severity, accuracy in zip(found["severities"], accuracies, strict=True):
                results[f"{name} {severity}{suffix}"] = {"accuracy": accuracy, "n": found["n"]} | before
    return results


def last_epochs(results: dict[str, Any]) -> dict[str, Any]:
    """Beside every figure of the best test epoch, that of the last one, which looked at no test image before."""
    return {
        f"{name}, last epoch": {
            "accuracy": entry["last_epoch_accuracy"],
            "n_test": entry["n_test"],
            "protocol": entry["protocol"].partition(",")[0],
        }
        for name, entry in results.items()
        if "last_epoch_accuracy" in entry
    }


def counts(run: Path) -> dict[str, Any]:
    """Positives and negatives an anchor of a method that selects them, in the first and the last epoch (ASCL, Fig. 4)."""
    epochs = read_lines(run / "metrics.jsonl")
    found = {}
    for when, epoch in (("first", epochs[0]), ("last", epochs[-1])):
        for short, name in (("pos", "positives"), ("neg", "negatives")):
            if f"clean_{name}" in epoch:
                value = epoch[f"clean_{name}"] + epoch[f"adversarial_{name}"]
                found[f"num_{short}_{when}"] = {"value": value, "words": f"{name} an anchor, mean of the {when} epoch"}
        for short, domain in (("clean", "clean"), ("adv", "adversarial")):
            if f"{domain}_negatives" in epoch:
                words = f"{domain} images among the negatives of an anchor, mean of the {when} epoch"
                found[f"num_neg_{short}_{when}"] = {"value": epoch[f"{domain}_negatives"], "words": words}
    return found


def perturbations(analysis: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What a run's report draws of perturbations (CLAE, Figs. 2 to 4), of analysis.json.

    `KIND` is adversarial (the attack of training, or CLAE's) or random (noise of the same size), EPS in the attack's units:

        contrastive_loss KIND EPS, cross_entropy KIND EPS, accuracy KIND EPS
        bn_mean_gap      mean over layers and channels of |mean_adv - mean_clean| / sqrt(var_clean)
        bn_var_ratio     var_adv / var_clean, geometric mean over layers and channels

    Those that the run's encoder or data do not have are absent.
    """
    found: dict[str, dict[str, Any]] = {}
    n, attack = analysis["images"], analysis["attack"]
    who = {"adversarial": attack["words"].partition(",")[0], "random": "random noise"}
    unit = "normalised units" if attack["space"] == "normalized" else "pixels of [0, 1]"
    for kind, measures in analysis["curves"].items():
        for measure, values in measures.items():
            for eps, value in zip(analysis["eps"], values["mean"], strict=True):
                words = f"{measure.replace('_', ' ')} of images under {who[kind]} of radius {eps:g} in {unit}"
                of = "accuracy" if measure == "accuracy" else "value"
                found[f"{measure} {kind} {eps:g}"] = {of: value, "n": n, "words": words}
    if layers := analysis["batch_norm"]:
        gap = fmean(layer["mean_gap"] for layer in layers)
        ratio = math.exp(fmean(math.log(layer["var_ratio"]) for layer in layers))
        words = "running statistics, adversarial against clean batch norms"
        found["bn_mean_gap"] = {"value": gap, "words": f"{words}: distance of means in clean standard deviations"}
        found["bn_var_ratio"] = {"value": ratio, "words": f"{words}: ratio of variances"}
    return found
