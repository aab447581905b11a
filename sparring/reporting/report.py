"""The report as a single HTML file, written from a folder's files alone: of a run, or of a foreign model's evaluation."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

from sparring.reporting import robustness, weights
from sparring.reporting.adversary import batch_norms, examples, perturbations, threat
from sparring.reporting.corrupted import corruptions
from sparring.reporting.latent import latent_space
from sparring.reporting.movement import movement
from sparring.reporting.page import fold, page, paragraph, section, write_page
from sparring.reporting.run_folder import RunFolder, read_run
from sparring.reporting.sections import header, results, training
from sparring.reporting.transfer import transfer
from sparring.reporting.trust import trust


def write_report(run: Path) -> Path:
    """Write `report.html` into the folder of a run, or of a foreign model's evaluation, and return its path.

    Whatever the folder lacks (results, probe, analysis, a second batch norm, robustness) is named in the report. The
    same folder gives the same bytes: nothing but its files enters. Raises ValueError if `run` holds no config.yaml,
    robustness.json or weights.json, or a file of it cannot be read; then no report is written.
    """
    folder = read_run(run)
    if folder.is_run:
        return _write(folder, render(folder))
    return _write(folder, render_weights(folder) if folder.weights else render_robustness(folder))


def write_robustness_report(folder: Path) -> Path:
    """Write `report.html` from robustness.json and robustness.npz alone, and return its path.

    For the evaluation of a model that was not trained here. Raises ValueError if there is no robustness.json, or a
    file cannot be read; then no report is written.
    """
    read = read_run(folder)
    if not read.robustness:
        raise ValueError(f"{folder} holds no robustness.json: there is no evaluation to report")
    return _write(read, render_robustness(read))


def _write(folder: RunFolder, document: str) -> Path:
    return write_page(document, folder.path / "report.html")


def render(folder: RunFolder) -> str:
    """The whole document of a run."""
    title, head = header(folder)
    body = [
        head,
        section("Results", *results(folder)),
        *transfer(folder),
        *robust_sections(folder),
        section("Training", *training(folder)),
        section("Threat model", *threat(folder)),
        section("Adversarial examples", *examples(folder)),
        section("Losses against the radius", *perturbations(folder)),
        section("Clean and adversarial batch norm", *batch_norms(folder)),
        *latent_space(folder),
        section("To rerun it", *_origin(folder)),
    ]
    return page(title, body)


def render_robustness(folder: RunFolder) -> str:
    """The whole document of an evaluation alone."""
    seen = folder.robustness
    title = f"{seen['subject'].get('words', 'a model')} on {seen['data'].get('name')}"
    environment = section("Where it was measured", *_environment(seen.get("environment") or {}, "robustness.json"))
    return page(f"Robustness: {title}", [f"<h1>{escape(title)}</h1>", *robust_sections(folder), environment])


def render_weights(folder: RunFolder) -> str:
    """The whole document of a published checkpoint."""
    title = weights.title(folder)
    body = [
        f"<h1>{escape(title)}</h1>",
        section("The checkpoint", *weights.weights(folder)),
        section("Results", *results(folder)),
        *robust_sections(folder),
        section("Where it was measured", *_environment(folder.weights.get("environment") or {}, "weights.json")),
    ]
    return page(title, body)


def robust_sections(folder: RunFolder) -> list[str]:
    """Accuracy under attack and corruption, with what speaks for and against the figures."""
    if not folder.robustness:
        return [section("Robustness", *robustness.overview(folder))]
    if folder.robustness["clean"] is None:  # of images without labels
        return [section("How far representations move", *movement(folder))]
    sections = [
        section("Robustness", *robustness.overview(folder)),
        section("Can these numbers be trusted?", *trust(folder)),
        section("The threat model in words", *robustness.threats(folder)),
        section("Accuracy against the radius", *robustness.against_eps(folder)),
        section("Accuracy against the number of steps", *robustness.against_steps(folder)),
        section("Per class", *robustness.per_class(folder)),
        section("Corruptions", *corruptions(folder)),
        section("Examples with their predictions", *robustness.examples(folder)),
    ]
    if before := robustness.earlier(folder):
        sections.append(section("Earlier evaluations", *before))
    if folder.robustness.get("representation"):
        sections.append(section("How far representations move", *movement(folder)))
    return sections


def _origin(folder: RunFolder) -> list[str]:
    parts = [
        paragraph("sparring train --config config.yaml, with the file below, repeats the run."),
        fold("Configuration (config.yaml)", folder.config_text),
        *_environment(folder.environment, "environment.json"),
    ]
    if folder.robustness:
        parts += _environment(folder.robustness.get("environment") or {}, "robustness.json")
    if folder.latent:
        parts += _environment(folder.latent.get("environment") or {}, "latent.json")
    return parts


def _environment(environment: dict[str, Any], file: str) -> list[str]:
    if not environment:
        absent = "environment.json is absent" if file == "environment.json" else f"{file} names no environment"
        return [paragraph(f"{absent}: versions and hardware are not known.", "missing")]
    lines = []
    for key, value in environment.items():
        if isinstance(value, dict):
            lines += [f"{key}:", *[f"  {name}: {what}" for name, what in value.items()]]
        elif isinstance(value, list):
            lines.append(f"{key}: {' '.join(map(str, value)) or 'none'}")
        else:
            lines.append(f"{key}: {value}")
    return [fold(f"Environment ({file})", "\n".join(lines))]
