"""What a person reads on the terminal when a run has been measured."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any


def summarise(run: Path) -> None:
    """The figures, the attack in words, and what to look at or type next."""
    from sparring.reporting.run_folder import read_run
    from sparring.reporting.sections import pairs_words

    folder = read_run(run)
    print()
    _figures(folder.results)
    trained = {entry["epochs_trained"] for entry in folder.results.values() if "epochs_trained" in entry}
    if trained and max(trained) < folder.setting("training.epochs"):
        print(f"unfinished measured after epoch {max(trained)} of {folder.setting('training.epochs')}")
    if folder.setting("method.pairs"):
        print(f"pairs      {pairs_words(folder)}")
    attack = folder.analysis.get("attack", {})
    if attack:
        print(
            f"attack     {attack['words']}{'' if attack['in_training'] else ' (in the report only; not trained against)'}"
        )
    print(f"report     {run / 'report.html'}")
    print(f"again      sparring train --config {shlex.quote(str(run / 'config.yaml'))}")
    if folder.setting("optimizer.schedule") != "cosine":  # which was drawn for the number of epochs
        print(
            f"longer     sparring train --resume {shlex.quote(str(run))} --epochs {2 * folder.setting('training.epochs')}"
        )


def summarise_weights(folder: Path) -> None:
    """How a published checkpoint was read, whether it looks untrained, and its figures without an attack."""
    from sparring.reporting.run_folder import read_run
    from sparring.reporting.trust import MARKS

    read = read_run(folder)
    seen = read.weights
    probe = seen["untrained"]
    print()
    print(f"{'file':10} {seen['file']}: {seen['words']}")
    print(f"{'keys':10} {seen['keys']['sentence']}")
    print(f"{MARKS[probe['colour']][1]:10} {probe['sentence']}")
    _figures(read.results)
    print(f"{'report':10} {folder / 'report.html'}")


def _figures(results: dict[str, Any]) -> None:
    """One line a protocol."""
    width = max((10, *map(len, results)))
    for name, entry in results.items():
        if "accuracy" in entry:
            low, high = (100 * bound for bound in entry["interval"])
            measured = (
                f"{100 * entry['accuracy']:.1f} %, 95 % interval {low:.1f} to {high:.1f}, n = {entry['n_test']:,}"
            )
            print(f"{name:{width}} {measured} ({entry['protocol']}, on {entry['layer']}, {entry['domain']} batch norm)")
        else:
            print(f"{name:{width}} left out: {entry['left_out']}")


def summarise_robustness(folder: Path) -> None:
    """Accuracy clean, under each attack and on corrupted images, and what casts doubt on it."""
    from sparring.reporting.robustness import domain_words
    from sparring.reporting.run_folder import read_run
    from sparring.reporting.trust import MARKS, ordered

    seen = read_run(folder).robustness
    if not seen:
        raise ValueError(f"{folder} holds no robustness.json: there is no evaluation to summarise")
    subject, data, attacks = seen["subject"], seen["data"], seen.get("attacks") or {}
    rows = [
        ("subject", f"{subject.get('words', 'not said')}, {domain_words(subject)} ({seen['label']})"),
        ("images", f"{data.get('name')}: {data.get('selection', 'how they were drawn is not said')}"),
        *([("clean", _measured(seen["clean"]))] if seen["clean"] else []),
    ]
    for name, entry in attacks.items():
        left_out = f"left out: {entry.get('left_out')}"
        measured = f"{_measured(entry)} ({entry.get('words', 'attack not said')})" if "accuracy" in entry else left_out
        rows.append((name, measured))
    if seen.get("worst_case") and len(attacks) > 1:
        rows.append(("all of them", f"{_measured(seen['worst_case'])} (right under every attack)"))
    for name, entry in ((seen.get("representation") or {}).get("attacks") or {}).items():
        ratio = (
            "all images look alike"
            if entry["ratio"] is None
            else f"{entry['ratio']:.3g} times as far as images lie apart"
        )
        rows.append(("moved", f"{ratio}, random noise {entry['noise']['ratio'] or 0:.3g} ({name}: {entry['words']})"))
    corruptions = seen.get("corruptions")
    if corruptions:
        many = f"mean of {len(corruptions['accuracy'])} corruptions at severity {', '.join(map(str, corruptions['severities']))}"
        if corruptions.get("missing"):
            many += f" (missing: {', '.join(corruptions['missing'])})"
        error = f"mean error {100 * corruptions['mean_error']:.1f} %, n = {corruptions['n']:,}"
        rows.append(("corruptions", f"{100 * corruptions['mean_accuracy']:.1f} %, {many}, {error}"))
    verdict = seen.get("verdict")
    if verdict:
        rows.append(("verdict", f"{verdict['colour']}: {verdict['sentence']}"))
    for check in ordered(seen.get("checks") or []):
        if check["colour"] in ("red", "yellow"):
            rows.append((MARKS[check["colour"]][1], f"{check['title']}: {check['sentence']}"))
    rows.append(("report", str(Path(folder) / "report.html")))
    _print(rows)


def summarise_transfer(entries: dict[str, dict[str, Any]]) -> None:
    """One line a data set: the accuracy of the frozen encoder's features with its interval, or why it is left out."""
    _print(
        [
            (name, f"left out: {entry['left_out']}")
            if "left_out" in entry
            else (name, f"{_measured(entry | {'n': entry['n_test']})} ({entry['protocol']}: {entry['words']})")
            for name, entry in entries.items()
        ]
    )


def summarise_latent(folder: Path) -> None:
    """R-DIV with accuracy, how the two go together, what the selector chose, and what was left out."""
    from sparring.reporting.latent import coefficient
    from sparring.reporting.run_folder import read_run

    seen = read_run(folder).latent
    if not seen:
        raise ValueError(f"{folder} holds no latent.json: there is no look into a latent space to summarise")
    subject, data = seen["subject"], seen["data"]
    rows = [
        ("subject", f"{subject['words']}, {subject['domain']} batch norm, {subject['checkpoint']} ({seen['label']})"),
        ("images", f"{data['name']}: {data['selection']}"),
    ]
    for name, entry in seen["divergence"].items():
        ratio = "undefined" if entry["r_div"] is None else f"{entry['r_div']:.3f}"
        distances = f"intra {entry['intra_adv']:.3f}, inter {entry['inter_adv']:.3f}"
        rows.append((name, f"R-DIV {ratio} ({distances}); accuracy {_measured(entry['robust'])}"))
    rows.append(("attack", seen["divergence"]["adversarial"]["words"]))
    for name, points in (("strengths", "radii"), ("epochs", "checkpoints")):
        of = seen[name].get("correlation", seen[name])
        words = f"left out: {of['left_out']}" if "left_out" in of else f"{coefficient(of, 'spearman')}, n = {of['n']}"
        rows.append((points, words if "left_out" in of else f"R-DIV with robust accuracy: {words}"))
    counts = seen["counts"]
    if "left_out" not in counts:
        ends = " to ".join(
            f"{counts['positives'][at]:.1f} positives and {counts['negatives'][at]:.1f} negatives" for at in (0, -1)
        )
        rows.append(("selected", f"{ends} an anchor, epoch {counts['epoch'][0]} to {counts['epoch'][-1]}"))
    for name in ("counts", "map", "selection"):
        if "left_out" in seen[name]:
            rows.append((name, f"left out: {seen[name]['left_out']}"))
    rows.append(("report", str(Path(folder) / "report.html")))
    _print(rows)


def _print(rows: list[tuple[str, str]]) -> None:
    width = max(len(name) for name, _ in rows) + 1
    print()
    for name, words in rows:
        print(f"{name:{width}} {words}")


def _measured(entry: dict[str, Any]) -> str:
    low, high = (100 * bound for bound in entry["interval"])
    confidence = 100 * entry.get("confidence", 0.95)
    return f"{100 * entry['accuracy']:.1f} %, {confidence:.0f} % interval {low:.1f} to {high:.1f}, n = {entry['n']:,}"
