"""The latent space of a run: sections from latent.json to pieces of HTML; what is absent is said."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np

from sparring.reporting.classes import class_pairs
from sparring.reporting.figures import Series, lines, png
from sparring.reporting.latent_figures import MOST_CLASSES, class_map, distances, entropy_map, relation
from sparring.reporting.page import figures, fold, paragraph, section, table
from sparring.reporting.run_folder import COUNTS, RunFolder
from sparring.reporting.sections import percent
from sparring.reporting.trust import figure_words

ROWS = ("clean positives", "adversarial positives", "clean negatives", "adversarial negatives")


def latent_space(run: RunFolder) -> list[str]:
    """All sections of a look into the latent space, or the one that says that nobody looked."""
    if not run.latent:
        words = "The latent space was not looked into (latent.json is absent); sparring analyze RUN does."
        return [section("Latent space", paragraph(words, "missing"))]
    return [
        section("Latent space", *overview(run)),
        section("Distances of class pairs", *class_pairs(run)),
        section("Divergence against the radius", *strengths(run)),
        section("Divergence over training", *over_epochs(run)),
        section("Positives and negatives over training", *counts(run)),
        section("A map of the latent space", *maps(run)),
        section("What the selector chose", *selection(run)),
    ]


def about(run: RunFolder) -> str:
    """Whom and what every figure here is of."""
    seen = run.latent
    subject, data = seen["subject"], seen["data"]
    return f"n = {data['n']:,} test images of {data['name']}, seed {data['seed']}, {subject['checkpoint']}"


def overview(run: RunFolder) -> list[str]:
    """Absolute divergences and R-DIV, clean and under attack, with accuracy (Figs. 2a, 6)."""
    seen = run.latent
    subject, data = seen["subject"], seen["data"]
    facts = [
        ("classifier", f"{subject['words']}, {subject['domain']} batch norm"),
        ("features", f"{subject['layer']}, {subject['dimensions']:,} dimensions"),
        ("checkpoint", subject["checkpoint"]),
        ("images", f"{data['name']}: {data['selection']}"),
        ("seed", data["seed"]),
        ("protocol", seen["label"]),
    ]
    items = "".join(f"<li><span>{escape(key)}</span><b>{escape(str(value))}</b></li>" for key, value in facts)
    clean, adv = seen["divergence"]["clean"], seen["divergence"]["adversarial"]
    rows = [
        [name, *[_number(entry[key]) for key in ("r_div", "intra_adv", "inter_adv")], *_accuracy(entry), entry["words"]]
        for name, entry in (("clean", clean), ("adversarial", adv))
    ]
    names = ["clean images", "with adversarial ones"]
    groups = [f"{n}\nR-DIV {_number(e['r_div'])}" for n, e in zip(names, (clean, adv), strict=True)]
    drawing = distances(
        groups,
        [e["intra_adv"] for e in (clean, adv)],
        [e["inter_adv"] for e in (clean, adv)],
        [(e["intra_adv_std"], e["inter_adv_std"]) for e in (clean, adv)],
        title="Absolute divergences",
    )
    size = seen["protocol"]["batch_size"]
    meaning = (
        "From a clean image to the others of its class (intra) and of other classes (inter), clean and adversarial ones "
        f"alike, within mini-batches of {size:,}; R-DIV is intra over inter, lower is better (ASCL, section 2)."
    )
    caption = f"Whiskers: one standard deviation over the anchors. {adv['words']}. {about(run)}."
    left_out = [
        f"{adv[key]:,} of the images had no other of {whose} class in the mini-batch: left out of {kind}."
        for key, whose, kind in (("without_positive", "their", "intra"), ("without_negative", "another", "inter"))
        if adv[key]
    ]
    return [
        f'<ul class="facts">{items}</ul>',
        table(
            ["images", "R-DIV", "intra", "inter", "right before and after", "95 % interval", "attack"],
            rows,
            numbers=(1, 2, 3, 4, 5),
        ),
        paragraph(meaning, "soft"),
        *(paragraph(words, "soft") for words in left_out),
        figures([(drawing, caption)]),
        fold(
            f"Protocol ({seen['label']}): every setting that a figure depends on",
            "\n".join(f"{key}: {figure_words(value)}" for key, value in seen["protocol"].items()),
        ),
        fold("The classifier", "\n".join(f"{k}: {figure_words(v)}" for k, v in subject["fitted"].items())),
    ]


def strengths(run: RunFolder) -> list[str]:
    """R-DIV and robust accuracy against the attack's radius (Figs. 2c, 5)."""
    seen, of = run.latent, run.latent["strengths"]
    if not of["eps"]:
        return [paragraph("No radii were asked for (latent.radii is empty).", "missing")]
    radii = [255 * eps for eps in of["eps"]]
    words = f"{seen['divergence']['adversarial']['words']}, and so at the other radii. {about(run)}"
    if seen["protocol"]["step_size"] is None:
        words = words.replace(", and so at", "; steps grow with the radius at")
    names = [f"{radius:.3g}/255" for radius in radii]
    return _three(of, radii, "eps (Linf, in 255ths)", names, "against the radius", words, "radii")


def over_epochs(run: RunFolder) -> list[str]:
    """R-DIV and robust accuracy at every kept checkpoint (Fig. 2b)."""
    of = run.latent["epochs"]
    if "left_out" in of:
        return [_left_out(of)]
    words = f"{of['words']}. {about(run).rpartition(',')[0]}, {len(of['epoch'])} kept checkpoint{'s' * (len(of['epoch']) > 1)}"
    names = [f"epoch {epoch:.3g}" for epoch in of["epoch"]]
    return _three(of, of["epoch"], "epoch", names, "over training", words, "checkpoints")


def _three(
    of: dict[str, Any], x: Sequence[float | int], axis: str, names: list[str], title: str, words: str, points: str
) -> list[str]:
    known = [i for i, value in enumerate(of["r_div"]) if value is not None]
    drawn = []
    if known:
        at = [x[i] for i in known]
        curves = [
            Series("with adversarial", at, [of["r_div"][i] for i in known], "adversarial"),
            Series("clean alone", at, [of["r_div_clean"][i] for i in known], "clean"),
        ]
        drawn.append((lines(curves, x=axis, y="R-DIV", title=f"R-DIV {title}", narrow=True), f"{words}."))
    low, high = zip(*of["robust_interval"], strict=True)
    curves = [
        Series("under attack", x, of["robust_accuracy"], "adversarial", low, high),
        Series("clean", x, of["clean_accuracy"], "clean"),
    ]
    drawing = lines(curves, x=axis, y="accuracy", title=f"Accuracy {title}", percent=True, narrow=True)
    drawn.append((drawing, "Robust: right before and after the same attack; the band is the 95 % Wilson interval."))
    if known:
        robust, ratio = ([of[key][i] for i in known] for key in ("robust_accuracy", "r_div"))
        shown = [names[i] for i in known]
        every = points == "radii" and len(known) <= 8
        drawing = relation(robust, ratio, shown, title=f"R-DIV by robustness, {points}", all_named=every)
        joined = f"One point for each of the {points}, joined in their order."
        drawn.append((drawing, joined if len(known) > 1 else f"The one point of the {points}."))
    parts = [figures(drawn, columns=3), paragraph(correlated(of["correlation"], points))]
    if len(known) < len(x):
        parts.append(paragraph("Where classes have collapsed onto one direction there is no R-DIV.", "missing"))
    return parts


def correlated(of: dict[str, Any], points: str) -> str:
    """The correlation of R-DIV and robust accuracy in words, with what limits it."""
    if "left_out" in of:
        return f"No correlation of R-DIV with robust accuracy: {of['left_out']}."
    low, high = of["spearman_interval"]
    side = "lies below 0, as there" if high < 0 else "lies above 0, against it" if low > 0 else "holds 0: undecided"
    words = [coefficient(of, key) for key in ("spearman", "pearson")]
    return (
        f"R-DIV with robust accuracy over {of['n']} {points}: {words[0]}, {words[1]}. ASCL observed a negative relation, the "
        f"lower R-DIV the more robust; the interval of rho {side}. Both intervals take the {points} as independent, which "
        "those of one run are not: they are too narrow."
    )


def coefficient(of: dict[str, Any], key: str) -> str:
    """One coefficient with its interval."""
    name, (low, high) = {"spearman": "Spearman's rho", "pearson": "Pearson's r"}[key], of[f"{key}_interval"]
    words = f"{name} {of[key]:.2f} ({100 * of['confidence']:.0f} % interval {low:.2f} to {high:.2f})"
    return words.replace("-", "\u2212")


def counts(run: RunFolder) -> list[str]:
    """How many rows the selector chose for an anchor, epoch by epoch (Fig. 4)."""
    of = run.latent["counts"]
    if "left_out" in of:
        return [_left_out(of)]
    drawn = []
    for kind in ("positives", "negatives"):
        curves = [
            Series("both", of["epoch"], of[kind], "third"),
            Series("clean", of["epoch"], of[f"clean_{kind}"], "clean"),
            Series("adversarial", of["epoch"], of[f"adversarial_{kind}"], "adversarial"),
        ]
        title = f"{kind.capitalize()} of an anchor"
        drawing = lines(curves, x="epoch", y="rows", title=title, integer_x=True)
        last = f"{of[kind][0]:.1f} in epoch {of['epoch'][0]}, {of[kind][-1]:.1f} in epoch {of['epoch'][-1]}"
        drawn.append((drawing, f"{kind.capitalize()} chosen by {of['pairs']}: {last}; {of['words']}."))
    return [figures(drawn)]


def maps(run: RunFolder) -> list[str]:
    """t-SNE by class and by entropy (Fig. 7)."""
    of, arrays = run.latent["map"], run.latent_arrays
    if "left_out" in of:
        return [_left_out(of)]
    if "map_position" not in arrays:
        return [paragraph("There is no map (latent.npz is absent or holds none).", "missing")]
    classes = [str(name) for name in run.latent["data"]["classes"]]
    at, at_adv = arrays["map_position"], arrays["map_position_adv"]
    entropy, entropy_adv = arrays["map_entropy"], arrays["map_entropy_adv"]
    attack = run.latent["divergence"]["adversarial"]["words"]
    what = (
        f"t-SNE of {of['n']:,} clean images and of {of['n_adv']:,} of them attacked, perplexity {of['perplexity']:.3g}; "
        f"{attack}; seed {run.latent['data']['seed']}, {run.latent['subject']['checkpoint']}."
    )
    colours = "" if len(classes) <= MOST_CLASSES else f" There are {len(classes)} classes, more than colours."
    curves = [
        Series(name, np.sort(values).tolist(), (np.arange(1, len(values) + 1) / len(values)).tolist(), color)
        for name, values, color in (
            ("clean", entropy[: of["n_adv"]], "clean"),
            ("adversarial", entropy_adv, "adversarial"),
        )
    ]
    drawn = [
        (class_map(at, at_adv, arrays["map_labels"], classes, title="Map by class"), f"{what}{colours}"),
        (
            entropy_map(at, at_adv, entropy, entropy_adv, title="Map by entropy"),
            "The same map; colour is the entropy of each prediction over log K: 0 certain, 1 all classes alike.",
        ),
        (
            lines(
                curves, x="entropy / log K", y="share of images at most so uncertain", title="Entropies", percent=True
            ),
            f"The same {of['n_adv']:,} images before and after the attack: mean entropy {of['entropy_of_attacked']:.2f} and "
            f"{of['entropy_adv']:.2f}.",
        ),
    ]
    caution = "A t-SNE map keeps neighbours; distances between clusters, their sizes and its axes mean nothing."
    return [figures(drawn), paragraph(caution, "soft")]


def selection(run: RunFolder) -> list[str]:
    """Positives and negatives of some anchors of one mini-batch as pictures, over training (Fig. 9)."""
    of, arrays = run.latent["selection"], run.latent_arrays
    if "left_out" in of:
        return [_left_out(of)]
    if "selection_anchor_0" not in arrays:
        return [paragraph("There are no pictures (latent.npz is absent or holds none).", "missing")]
    words = (
        f"Chosen by {of['pairs']} on one mini-batch of {of['batch_size']:,} training images of {of['data']} (seed "
        f"{of['seed']}), the same at every checkpoint, with the network in training mode; the second copy of an image is its "
        f"{of['second']}. The number chosen, then at most {of['shown']} of them."
    )
    return [paragraph(words, "soft"), *(_anchor(of, arrays, number) for number in range(len(of["anchors"])))]


def _anchor(of: dict[str, Any], arrays: dict[str, np.ndarray], number: int) -> str:
    anchor, checkpoints = of["anchors"][number], of["checkpoints"]
    picture = _picture(arrays[f"selection_anchor_{number}"], f"anchor: {anchor['class']}").replace(
        "<img ", '<img class="anchor" '
    )
    head = f"<div>{picture}<br>anchor: <b>{escape(str(anchor['class']))}</b></div>"
    cells = [head, *(f"<div><b>{escape(_when(at))}</b></div>" for at in checkpoints)]
    for kind, row in zip(COUNTS, ROWS, strict=True):
        row = row if "adversarial" in of["second"] else row.replace("clean", "first").replace("adversarial", "second")
        cells.append(f"<div>{row}</div>")
        for place, at in enumerate(checkpoints):
            pictures = "".join(_picture(image, row) for image in arrays[f"selection_{place}_{number}_{kind}"])
            cells.append(f"<div><b>{at['anchors'][number][kind]}</b> {pictures}</div>")
    columns = f"grid-template-columns: 7.5rem repeat({len(checkpoints)}, minmax(11rem, 1fr))"
    return f'<div class="scroll"><div class="chosen" style="{columns}">{"".join(cells)}</div></div>'


def _when(at: dict[str, Any]) -> str:
    return f"after epoch {at['epoch']}" + (f" and {at['step']} steps" if at["step"] else "")


def _picture(image: np.ndarray, alt: str) -> str:
    return png(image / 255, alt)


def _left_out(of: dict[str, Any]) -> str:
    return paragraph(f"Left out: {of['left_out']}.", "missing")


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.3g}"


def _accuracy(entry: dict[str, Any]) -> list[str]:
    low, high = entry["robust"]["interval"]
    return [percent(entry["robust"]["accuracy"]), f"{100 * low:.1f} to {100 * high:.1f} %"]
