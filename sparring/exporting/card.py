"""The model card: what an exported encoder is and how good, from the files of its run and nothing else."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

from sparring.attacks import describe
from sparring.data import about
from sparring.encoders.exported import WEIGHTS, WHOLE
from sparring.evaluation.aff import FullFinetuning
from sparring.evaluation.finetuned import FINETUNED
from sparring.exporting.figures import Figures, figures_of
from sparring.exporting.keys import loading_lines
from sparring.exporting.onnx import MODEL
from sparring.reporting.run_folder import RunFolder, read_run
from sparring.reporting.sections import data_label, pairs_words
from sparring.reporting.table import hardware
from sparring.training import build_attack, run_folder
from sparring.training.build import has_attack

CARD = "README.md"
MARK = {
    "green": "green",
    "yellow": "yellow (doubtful)",
    "red": "red (do not believe them)",
    "grey": "grey (not checked)",
}


def model_card(run: Path, config: dict[str, Any], onnx: dict[str, Any] | None, data_licence: str | None) -> str:
    """The card of the encoder that `config` (config.json) describes, as Markdown. What was not measured is said to be so."""
    read = read_run(run)
    found = figures_of(run, config["checkpoint"], config["domain"])
    method = read.setting("method.name")
    front = ["---", "library_name: sparring", "pipeline_tag: image-feature-extraction", "tags:"]
    front += [f"- {tag}" for tag in ("adversarial-robustness", "representation-learning", str(method))] + ["---"]
    title = f"# {_spoken(config['name'])} by {method} on {data_label(read)}"
    sections = [
        title,
        "Written by `sparring export` from the files of the run; nothing here was typed by hand.",
        _use(config, onnx),
        "## Encoder\n\n" + _rows(_encoder(config)),
        "## Training\n\n" + _rows(_training(read, config)),
        "## Clean accuracy\n\n" + _clean(found, config),
        "## Robust accuracy\n\n" + _robust(found),
        "## Corruptions and transfer\n\n" + _elsewhere(found),
        "## Limits\n\n" + _bullets(_limits(read, config, found)),
        "## Licence\n\n" + _bullets(_licences(data_licence)),
    ]
    return "\n".join(front) + "\n\n" + "\n\n".join(sections) + "\n"


def method_words(name: str) -> tuple[str, str]:
    """A method in one sentence, and its paper: the first line and the `Paper:` lines of its file."""
    import sparring.methods

    file = Path(sparring.methods.__file__).parent / f"{name}.py"
    lines = (ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or "").splitlines()
    start = next((i for i, line in enumerate(lines) if line.startswith("Paper:")), None)
    if start is None:
        return lines[0], "no paper is named in its file"
    paper = [lines[start].removeprefix("Paper:").strip()]
    for line in lines[start + 1 :]:
        if not line.startswith(" "):
            break
        paper.append(line.strip())
    return lines[0], " ".join(paper)


def _use(config: dict[str, Any], onnx: dict[str, Any] | None) -> str:
    side, channels = config["image_size"], config["channels"]
    pixels = f"torch.rand(1, {channels}, {side}, {side})"
    lines = [
        "import torch",
        "",
        "import sparring",
        "",
        'encoder = sparring.from_pretrained(".")  # this folder, or its hub id',
    ]
    lines.append(f"h = encoder({pixels})  # pixels in [0, 1] -> [1, {config['features']}]; the normalisation is inside")
    parts = ["## Use", _code(lines)]
    if config["name"].startswith("python:"):
        parts = [
            "## Use",
            f"The backbone is `{config['name']}`, code that is not in this folder: build it and load {WEIGHTS}.",
        ]
    if config["format"] != WHOLE:
        library = config["format"]
        parts.append(f"Without sparring: {WEIGHTS} has {library}'s keys and goes strictly into its network.")
        made = loading_lines(config["name"], library, channels, side)
        made += [
            f"mean, std = (torch.tensor(each).view(-1, 1, 1) for each in ({config['mean']}, {config['std']}))",
            f"h = network(({pixels} - mean) / std)",
        ]
        parts.append(_code(made))
    if onnx is not None:
        parts.append(
            f"`{MODEL}`: images [batch, {channels}, {side}, {side}] in [0, 1] to features [batch, {config['features']}]. ONNX "
            f"Runtime and torch differ by at most {onnx['relative_difference']:.1e} of the largest feature on "
            f"{onnx['images']} random images ({onnx['tolerance']:.0e} was allowed)."
        )
    return "\n\n".join(parts)


def _encoder(config: dict[str, Any]) -> list[tuple[str, str]]:
    constants = [" ".join(f"{value:.6g}" for value in config[name]) for name in ("mean", "std")]
    held = "backbone, head and classifier (if any)" if config["format"] == WHOLE else "the backbone alone"
    return [
        ("architecture", config["name"]),
        ("images", f"{config['channels']} x {config['image_size']} x {config['image_size']}, pixels in [0, 1]"),
        ("normalisation", f"mean {constants[0]}, std {constants[1]}"),
        ("features", f"{config['features']:,}"),
        ("batch norms", f"{config['norms']}; domain {config['domain']}"),
        ("weights", f"{WEIGHTS}, {held}, keys of {config['format'] if config['format'] != WHOLE else 'sparring'}"),
        ("checkpoint", f"{config['checkpoint']} of {config['run']}"),
        *((f"{when} with", _version(config[when])) for when in ("trained", "exported")),
    ]


def _training(read: RunFolder, config: dict[str, Any]) -> list[tuple[str, str]]:
    run = run_folder.load_config(read.path)
    data, method = data_label(read), str(run.method.name)
    line, paper = method_words(method)
    known = run.data.name if run.data.name not in ("folder",) else None
    rows = [("data", f"{data} ({about(known).line})" if known else f"{data}, a folder of images")]
    rows.append(("method", f"`{method}`{f' over `{run.method.base}`' if run.method.base else ''}: {line}"))
    rows.append(("paper", paper))
    if pairs_words(read):
        rows.append(("pairs", pairs_words(read)))
    adversary = describe(build_attack(run), run.encoder.std) if has_attack(run) else "none"
    rows.append(("adversary in training", adversary))
    done = int(config["checkpoint"].split("-")[1])
    rows.append(("epochs", f"{done:,} of {run.training.epochs:,}, batch size {run.training.batch_size:,}"))
    limited = f"; at most {run.data.train_images:,} training images" if run.data.train_images else ""
    rows.append(("seed", f"{run.training.seed}{limited}"))
    machine = read.environment
    cores = f"{machine.get('cpu_count', '?')} cores of {machine.get('cpu', '?')}"
    rows.append(("hardware", f"{hardware(machine) if machine.get('gpus') else cores}, {run.training.precision}"))
    return rows


def _clean(found: Figures, config: dict[str, Any]) -> str:
    if not found.clean:
        return f"Not measured at {config['checkpoint']} with the {config['domain']} batch norm."
    head = ["protocol", "data", "features", "accuracy", "interval", "n", "trained on"]
    rows, notes = [], []
    for name, entry in found.clean:
        low, high = (100 * bound for bound in entry["interval"])
        rows.append(
            [
                str(entry["protocol"]),
                str(entry.get("data", "not said")),
                str(entry.get("layer", "not said")),
                f"{100 * entry['accuracy']:.1f} %",
                f"{low:.1f} to {high:.1f} % ({100 * entry.get('confidence', 0.95):.0f} %)",
                f"{entry['n_test']:,}",
                f"{entry['n_train']:,}",
            ]
        )
        if entry.get("selection", "last epoch") != "last epoch":
            notes.append(f"{entry['protocol']}: the {entry['selection']}, chosen on the test images")
        if name in FINETUNED and issubclass(FINETUNED[name], FullFinetuning):
            notes.append(f"{entry['protocol']}: of a finetuned copy of the encoder, which is not in this folder")
    return _table(head, rows) + (f"\n\n{_bullets(notes)}" if notes else "")


def _robust(found: Figures) -> str:
    parts = []
    for read in found.robust:
        data, rows = read["data"], []
        if read.get("clean"):
            rows.append(["none (clean)", *_figure(read["clean"])])
        for entry in (read.get("attacks") or {}).values():
            if "accuracy" in entry:
                rows.append([entry["words"], *_figure(entry)])
        if read.get("worst_case") and len(rows) > 2:
            rows.append(["right under every attack above", *_figure(read["worst_case"])])
        if len(rows) > bool(read.get("clean")):
            parts.append(f"{read['subject']['words']}, {read['label']}, {data.get('name')}: {data.get('selection')}.")
            parts += [_table(["attack", "accuracy", "interval", "n"], rows), _trust(read)]
        for name, entry in ((read.get("representation") or {}).get("attacks") or {}).items():
            ratio = "not known" if entry.get("ratio") is None else f"{entry['ratio']:.3g}"
            parts.append(
                f"Without labels, {name} ({entry['words']}): h moves {ratio} times as far as images lie apart."
            )
    if not parts:
        return "Not measured: nothing is known of its robustness to attacks."
    return "\n\n".join(parts)


def _trust(read: dict[str, Any]) -> str:
    checks, verdict = read.get("checks") or [], read.get("verdict")
    if not checks or not verdict:
        return "Trust checks: not run, so nothing says whether these figures can be believed."
    doubtful = [f"{check['title']}: {check['colour']}" for check in checks if check["colour"] != "green"]
    green = len(checks) - len(doubtful)
    words = f"Trust checks: {MARK[verdict['colour']]}; {green} of {len(checks)} are green. {verdict['sentence']}"
    return words + (f"\n\n{_bullets(doubtful)}" if doubtful else "")


def _elsewhere(found: Figures) -> str:
    lines = []
    for read in found.robust:
        seen = read.get("corruptions")
        if seen:
            lines.append(
                f"Corruptions: {100 * seen['mean_accuracy']:.1f} %, mean of {len(seen['accuracy'])} at severities "
                f"{', '.join(map(str, seen['severities']))}, {seen['table']} table, n = {seen['n']:,} "
                f"({read['subject']['words']})."
            )
    if not lines:
        lines.append("Corruptions: not measured.")
    transferred = [entry for read in found.transfer for entry in read["sets"].values() if "accuracy" in entry]
    for entry in transferred:
        accuracy, interval, n = _figure(entry | {"n": entry["n_test"]})
        lines.append(
            f"Transfer to {entry['data']}: {accuracy}, {interval}, n = {n} ({entry['protocol']}: {entry['words']})."
        )
    if not transferred:
        lines.append("Transfer to other data sets: not measured.")
    return _bullets(lines)


def _limits(read: RunFolder, config: dict[str, Any], found: Figures) -> list[str]:
    side, label = config["image_size"], data_label(read)
    lines = [
        f"Trained on {label} at {side} x {side} pixels. Other images and other sizes were not measured"
        + (" beyond the transfers above." if found.transfer else "."),
        f"One run, seed {read.setting('training.seed')}: the intervals hold the sampling of test images, not that of training.",
    ]
    done, planned = int(config["checkpoint"].split("-")[1]), read.setting("training.epochs")
    if done < planned:
        lines.append(f"An early checkpoint: {done:,} of {planned:,} epochs.")
    if found.robust:
        lines.append("Robust figures hold for the attacks and classifiers named; a stronger attack may find less.")
        lines.append("The attacked classifier, where it was fitted on the features, is not in this folder.")
    if "two" in config["norms"]:
        other = "clean" if config["domain"] == "adv" else "adv"
        lines.append(
            f"The run has a second batch norm, {other}, which is not here; figures through it do not hold for this encoder."
        )
    if found.others:
        lines.append(
            f"{found.others:,} figures of the run belong to another checkpoint or batch norm and are left out."
        )
    return lines


def _licences(data_licence: str | None) -> list[str]:
    data = data_licence or "unknown: it was not given; look it up before you use or pass on these weights"
    return [f"Data: {data}.", "Weights: not said; whoever publishes this folder says it here."]


def _figure(entry: dict[str, Any]) -> list[str]:
    low, high = (100 * bound for bound in entry["interval"])
    interval = f"{low:.1f} to {high:.1f} % ({100 * entry.get('confidence', 0.95):.0f} %)"
    return [f"{100 * entry['accuracy']:.1f} %", interval, f"{entry['n']:,}"]


def _version(made: dict[str, Any]) -> str:
    return f"sparring {made['sparring'] or 'of an unknown version'}, commit {made['commit'] or 'unknown'}"


def _spoken(name: str) -> str:
    return name.rpartition(":")[2]


def _code(lines: list[str]) -> str:
    return "\n".join(["```python", *lines, "```"])


def _rows(rows: list[tuple[str, str]]) -> str:
    return _table(["", ""], [[name, words] for name, words in rows])


def _table(head: list[str], rows: list[list[str]]) -> str:
    written = [[cell.replace("|", "\\|") for cell in row] for row in (head, ["---"] * len(head), *rows)]
    return "\n".join(f"| {' | '.join(row)} |" for row in written)


def _bullets(lines: list[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)
