"""The files of a run folder, where more than one writes them."""

import json
import os
from concurrent.futures import ThreadPoolExecutor

from sparring.training.run_folder import write_json


def test_two_may_write_one_json_at_once(tmp_path):
    file = tmp_path / "summary.json"
    with ThreadPoolExecutor(2) as both:
        list(both.map(lambda number: write_json(file, {"number": number}), range(600)))
    assert json.loads(file.read_text())["number"] in range(600)
    assert list(tmp_path.iterdir()) == [file]


def test_what_is_renamed_is_on_the_disk(tmp_path, monkeypatch):
    written = []
    monkeypatch.setattr("os.fsync", lambda number: written.append(os.fstat(number).st_size))
    write_json(tmp_path / "a.json", {"b": 1})
    assert written == [(tmp_path / "a.json").stat().st_size]
