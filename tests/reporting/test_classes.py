"""The heat map of class pairs: its numbers, what is left out, and the section."""

import numpy as np
import pytest
import torch

from sparring.analysis import alignment, class_distances, effective_rank, uniformity
from sparring.reporting.classes import class_pairs, heat_map
from sparring.reporting.collect_classes import classes
from sparring.reporting.run_folder import RunFolder


@pytest.fixture
def found():
    torch.manual_seed(0)
    y = torch.arange(3).repeat_interleave(5)
    h = torch.randn(3, 4)[y] + 0.3 * torch.randn(15, 4)
    h_adv = h + 0.1 * torch.randn(15, 4)
    return h, h_adv, y


def test_numbers_are_those_of_the_functions_on_arrays(found):
    h, h_adv, y = found
    entry = classes(h, h_adv, y)
    assert entry["ratio"] == class_distances(h, y).ratio > 1
    assert entry["alignment_adv"] == alignment(h, h_adv)
    assert (entry["uniformity"], entry["effective_rank"]) == (uniformity(h), effective_rank(h))
    assert np.asarray(entry["mean"]).shape == (3, 3)


def test_a_class_alone_leaves_the_map_out_and_says_why(found):
    h, h_adv, y = found
    entry = classes(h[:6], h_adv[:6], y[:6])  # five of class 0, one of class 1
    assert (
        "at least 2 instances each, not [5, 1]" in entry["left_out"]
        and entry["uniformity"] < 0
        and "ratio" not in entry
    )


def folder(tmp_path, entry):
    latent = {"data": {"n": 15, "classes": ["a", "b", "c"]}, "subject": {"dimensions": 4}, "classes": entry}
    if entry is None:
        del latent["classes"]
    run = RunFolder.__new__(RunFolder)
    object.__setattr__(run, "latent", latent)
    return run


def test_the_section_shows_the_map_or_says_that_there_is_none(tmp_path, found):
    h, h_adv, y = found
    entry = classes(h, h_adv, y)
    shown = "".join(class_pairs(folder(tmp_path, entry)))
    assert "<svg" in shown and f"mean over class pairs: {entry['ratio']:.2f}" in shown and "n = 15" in shown
    left_out = "".join(class_pairs(folder(tmp_path, classes(h[:6], h_adv[:6], y[:6]))))
    assert "<svg" not in left_out and "There is no map of class pairs" in left_out and "uniformity" in left_out
    assert "Not measured" in "".join(class_pairs(folder(tmp_path, None)))


def test_many_classes_have_no_numbers_in_the_cells():
    few, many = (heat_map(np.random.default_rng(0).random((k, k)), ["x"] * k, title="t") for k in (3, 30))
    assert few.count("<text") >= 9 + 6 or few.count('<g id="text_') > many.count('<g id="text_')
