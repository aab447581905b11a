from __future__ import annotations

import json

import pytest

from sparring.reporting import read_results, results_table

ACCURACIES = {"SimCLR": [0.50, 0.52, 0.54], "CLAE, FGSM": [0.53, 0.54, 0.58], "CLAE, random start": [0.51, 0.50, 0.57]}


def write(folder, row, seed, accuracy, **changes):
    entry = {"accuracy": accuracy, "protocol": "knn v1", "layer": "h", "n_train": 10_000, "n_test": 2_000}
    result = {
        "schema": 1,
        "experiment": "start",
        "row": row,
        "seed": seed,
        "data": "cifar10-jpeg",
        "budget": "short",
        "config": {"method": {"base": None if row == "SimCLR" else "simclr"}},
        "results": {"knn": entry, "logistic": {"left_out": "no labels"}},
        "environment": {"gpus": [], "cpu_count": 2},
    } | changes
    path = folder / f"{row.lower().replace(' ', '-')}-{seed}-{len(list(folder.iterdir()))}.json"
    path.write_text(json.dumps(result))
    return path


@pytest.fixture
def folder(tmp_path):
    for row, values in ACCURACIES.items():
        for seed, accuracy in enumerate(values):
            write(tmp_path, row, seed, accuracy)
    return tmp_path


def test_the_whole_table(folder):
    """Means, sample deviations and paired t intervals (t = 4.303 at 2 degrees of freedom) worked out by hand."""
    assert results_table(folder.glob("*.json")) == (
        "**start** on `cifar10-jpeg`, budget short, 2 CPU cores; accuracy in percent, mean ± standard deviation over "
        "n training seeds.\n"
        "\n"
        "| row | n | knn (knn v1, layer h, 10,000 train / 2,000 test images) |\n"
        "|---|---|---|\n"
        "| SimCLR | 3 | 52.00 ± 2.00 |\n"
        "| CLAE, FGSM | 3 | 55.00 ± 2.65 |\n"
        "| CLAE, random start | 3 | 52.67 ± 3.79 |\n"
        "\n"
        "Difference from SimCLR, seed by seed, in points with its 95 % t interval:\n"
        "\n"
        "- CLAE, FGSM: knn +3.00 [+0.52, +5.48], differs from zero\n"
        "- CLAE, random start: knn +0.67 [-5.58, +6.92], undecided\n"
    )


def test_other_data_budgets_and_machines_have_tables_of_their_own(folder):
    gpus = {"gpus": ["H200", "H200"], "cpu_count": 16}
    write(folder, "SimCLR", 0, 0.8, environment=gpus)
    write(folder, "SimCLR", 0, 0.9, budget="full")
    table = results_table(folder.glob("*.json"))
    assert table.count("| row | n |") == 3
    assert "2 x H200" in table
    assert "budget full" in table
    assert "| SimCLR | 1 | 80.00 |" in table


def test_one_seed_has_no_interval(tmp_path):
    write(tmp_path, "SimCLR", 0, 0.5)
    write(tmp_path, "CLAE, FGSM", 0, 0.6)
    write(tmp_path, "CLAE, random start", 1, 0.6)
    table = results_table(tmp_path.glob("*.json"))
    assert "- CLAE, FGSM: knn +10.00 (one seed, no interval)" in table
    assert "- CLAE, random start: knn no seed in common" in table


def test_what_cannot_share_a_column_is_refused(folder):
    path = write(folder, "SimCLR", 7, 0.5)
    result = json.loads(path.read_text())
    result["results"]["knn"]["layer"] = "z"
    path.write_text(json.dumps(result))
    with pytest.raises(ValueError, match="different protocols cannot share a column"):
        results_table(folder.glob("*.json"))


def test_what_a_file_does_not_say_is_no_crash(folder):
    path = write(folder, "Old", 0, 0.5)
    result = json.loads(path.read_text())
    result["config"], result["results"] = {}, {"knn": {"accuracy": 0.5, "n_test": 6}}
    for other in folder.glob("*.json"):
        other.unlink()
    path.write_text(json.dumps(result))
    assert "knn (protocol not recorded, 6 test images)" in results_table([path])


def test_bad_files_are_one_sentence(folder):
    write(folder, "SimCLR", 0, 0.5)
    with pytest.raises(ValueError, match="two results of row 'SimCLR', seed 0"):
        results_table(folder.glob("*.json"))
    with pytest.raises(ValueError, match="no result files"):
        results_table([])
    bad = folder / "bad.json"
    bad.write_text("{")
    with pytest.raises(ValueError, match=r"bad\.json is not valid JSON"):
        read_results([bad])
    bad.write_text('{"schema": 1, "row": "x"}')
    with pytest.raises(ValueError, match="lacks experiment, seed, data"):
        read_results([bad])
    bad.write_bytes(b"\xff{}")
    with pytest.raises(ValueError, match=r"bad\.json is not valid JSON: 'utf-8' codec"):
        read_results([bad])
    for changes, said in (
        ({"seed": "a"}, "its seed is a, no int"),
        ({"results": []}, r"its results is \[\], no dict"),
        ({"results": {"knn": 0.5}}, "its figure knn is no dict"),
    ):
        bad.write_text(json.dumps(json.loads(write(folder, "SimCLR", 1, 0.5).read_text()) | changes))
        with pytest.raises(ValueError, match=rf"bad\.json is no result file: {said}"):
            read_results([bad])
    with pytest.raises(ValueError, match="has schema 9"):
        read_results([write(folder, "SimCLR", 1, 0.5, schema=9)])
