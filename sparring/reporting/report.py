"""The report of one run: a single HTML file, written from the run folder's files alone."""

from __future__ import annotations

from pathlib import Path

from sparring.reporting.adversary import batch_norms, examples, perturbations, threat
from sparring.reporting.page import fold, page, paragraph, section
from sparring.reporting.run_folder import RunFolder, read_run
from sparring.reporting.sections import header, results, training


def write_report(run: Path) -> Path:
    """Write `report.html` into the run folder and return its path.

    Whatever the folder lacks (results, probe, analysis, a second batch norm) is named in the report. The same folder
    gives the same bytes: nothing but its files enters. Raises ValueError if `run` is no run folder or a file of it
    cannot be read; then no report is written.
    """
    folder = read_run(run)
    path = folder.path / "report.html"
    temporary = path.with_name(".report.html.writing")
    temporary.write_text(render(folder), encoding="utf-8")
    return temporary.replace(path)


def render(folder: RunFolder) -> str:
    """The whole document."""
    title, head = header(folder)
    body = [
        head,
        section("Results", *results(folder)),
        section("Training", *training(folder)),
        section("Threat model", *threat(folder)),
        section("Adversarial examples", *examples(folder)),
        section("Losses against the radius", *perturbations(folder)),
        section("Clean and adversarial batch norm", *batch_norms(folder)),
        section("To rerun it", *_origin(folder)),
    ]
    return page(title, body)


def _origin(folder: RunFolder) -> list[str]:
    environment = folder.environment
    parts = [
        paragraph("sparring train --config config.yaml, with the file below, repeats the run."),
        fold("Configuration (config.yaml)", folder.config_text),
    ]
    if not environment:
        return [*parts, paragraph("environment.json is absent: versions and hardware are not known.", "missing")]
    lines = []
    for key, value in environment.items():
        if isinstance(value, dict):
            lines += [f"{key}:", *[f"  {name}: {what}" for name, what in value.items()]]
        elif isinstance(value, list):
            lines.append(f"{key}: {' '.join(map(str, value)) or 'none'}")
        else:
            lines.append(f"{key}: {value}")
    return [*parts, fold("Environment (environment.json)", "\n".join(lines))]
