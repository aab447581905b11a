"""Relative drops and gaps closed: the printed cells of paper 003, intervals, refusals."""

import numpy as np
import pytest

from sparring.analysis import against_twin, gap_closed, relative_drop

# paper 003, Table 4: clean, then FGSM 8/255, FGSM 16/255, AutoAttack 1/255, AutoAttack 2/255, in percent
ACCURACIES = {
    "supcon": (95.5, [38.8, 31.8, 24.3, 11.5]),
    "simclr": (92.7, [26.8, 13.4, 13.7, 4.3]),
    "frequency": (93.1, [30.1, 21.3, 17.4, 7.5]),
    "cluster": (92.8, [28.9, 18.7, 18.1, 7.8]),
    "precision": (93.5, [33.6, 24.9, 19.3, 8.7]),
    "recall": (91.5, [31.3, 21.6, 19.1, 8.6]),
}
PRINTED_DROPS = {
    "supcon": [59, 67, 74, 88],
    "simclr": [71, 86, 85, 95],
    "frequency": [68, 77, 81, 92],
    "cluster": [69, 80, 80, 91],
    "precision": [64, 73, 79, 90],
    "recall": [66, 76, 79, 90],
}
PRINTED_GAPS = {
    "frequency": [25, 53, 25, 43],
    "cluster": [18, 32, 18, 57],
    "precision": [58, 68, 57, 72],
    "recall": [42, 53, 55, 70],
}
MISFITS = {("frequency", 1), ("frequency", 2), ("cluster", 2), ("precision", 2)}


def drops(name):
    clean, attacked = ACCURACIES[name]
    return relative_drop(clean / 100, np.array(attacked) / 100)


def test_twelve_printed_cells_follow_from_the_printed_drops_and_four_do_not():
    fitting = set()
    for name, printed in PRINTED_GAPS.items():
        whole = {key: np.array(PRINTED_DROPS[key]) / 100 for key in ("simclr", name, "supcon")}
        ours = 100 * gap_closed(whole["simclr"], whole[name], whole["supcon"])
        fitting |= {(name, cell) for cell in range(4) if abs(ours[cell] - printed[cell]) <= 2}
    everything = {(name, cell) for name in PRINTED_GAPS for cell in range(4)}
    assert fitting == everything - MISFITS and len(fitting) == 12


def test_exact_gaps_of_the_precision_strategy():
    exact = 100 * gap_closed(drops("simclr"), drops("precision"), drops("supcon"))
    assert exact == pytest.approx([60.0, 64.6, 55.0, 63.0], abs=0.05)


def test_the_base_closes_nothing_and_the_twin_all():
    assert gap_closed(drops("simclr"), drops("simclr"), drops("supcon")) == pytest.approx([0] * 4)
    assert gap_closed(drops("simclr"), drops("supcon"), drops("supcon")) == pytest.approx([1] * 4)
    assert float(gap_closed(0.5, 0.6, 0.4)) == pytest.approx(-1)


@pytest.mark.parametrize(
    ("clean", "attacked", "printed"),
    [
        (76.71, [38.20, 22.56, 11.53, 28.22, 0.65, 11.3], [50, 71, 85, 63, 99, 85]),  # 003, Table 1, supervised
        (75.34, [23.35, 11.47, 5.95, 11.73, 0.20, 4.1], [69, 85, 92, 84, 100, 95]),  # SwAV
        (68.95, [24.33, 14.43, 8.85, 10.89, 0.24, 5.2], [65, 79, 87, 84, 100, 92]),  # SimCLR
    ],
)
def test_drops_of_table_1_are_those_in_print(clean, attacked, printed):
    assert 100 * relative_drop(clean / 100, np.array(attacked) / 100) == pytest.approx(printed, abs=1)


def test_a_better_accuracy_than_clean_is_a_negative_drop():
    assert relative_drop(0.5, [0.6, 0.5, 0.0]) == pytest.approx([-0.2, 0.0, 1.0])


def test_against_the_twin_of_table_1():
    found = against_twin(0.6895, [0.2433, 0.0024], 0.7671, [0.3820, 0.0065], images=50_000)
    assert found.difference == pytest.approx([(1 - 0.2433 / 0.6895) - (1 - 0.3820 / 0.7671), 0.00499], abs=1e-4)
    assert (found.interval[:, 0] < found.difference).all() and (found.difference < found.interval[:, 1]).all()
    assert (found.interval[:, 0] > 0).all()  # 50,000 images tell the two apart
    few = against_twin(0.6895, [0.2433, 0.0024], 0.7671, [0.3820, 0.0065], images=50)
    assert (few.interval[:, 0] < 0).all() and (np.diff(few.interval) > np.diff(found.interval)).all()
    assert against_twin(0.6, 0.3, 0.6, 0.3).interval is None


def test_the_interval_is_newcombes_published_one():
    # Newcombe 1998, table II, method 10: 56/70 - 48/80 is 0.20, interval 0.0524 to 0.3339
    found = against_twin(0.70, 0.14, 0.80, 0.32, images=100)
    assert found.difference[0] == pytest.approx(0.2)
    assert found.interval[0] == pytest.approx([0.0524, 0.3339], abs=5e-5)


def test_intervals_cover_the_true_difference():
    rng, inside = np.random.default_rng(0), 0
    for _ in range(400):
        n = 200
        right, other = rng.binomial(n, 0.9), rng.binomial(n, 0.8)
        kept, other_kept = rng.binomial(right, 0.3), rng.binomial(other, 0.45)
        low, high = against_twin(right / n, kept / n, other / n, other_kept / n, images=n).interval[0]
        inside += low <= 0.15 <= high
    assert 0.92 <= inside / 400 <= 0.98


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: relative_drop(0.0, 0.0), "never right"),
        (lambda: relative_drop(95.5, 38.8), "clean holds 95.5"),
        (lambda: relative_drop([0.5, 0.6], [0.1, 0.2, 0.3]), "do not fit"),
        (lambda: relative_drop(0.5, []), "attacked holds nothing"),
        (lambda: gap_closed(0.7, 0.6, 0.7), "no gap to close"),
        (lambda: gap_closed([0.7, 0.142], 0.106, [0.6, 0.188]), "no gap to close"),
        (lambda: gap_closed(71, 64, 59), "71 % is 0.71"),
        (lambda: gap_closed([0.7, 0.8], [0.6, 0.5, 0.4], 0.3), "do not fit"),
        (lambda: against_twin(0.5, [0.1, 0.2], 0.5, [0.1]), "one accuracy each an attack"),
        (lambda: against_twin(0.5, 0.6, 0.5, 0.1, images=10), "above the clean one"),
        (lambda: against_twin(0.5, 0.1, 0.5, 0.1, images=0), "at least 1"),
        (lambda: against_twin(0.5, 0.1, 0.5, 0.1, confidence=1.0), "confidence"),
    ],
)
def test_mistakes_are_one_sentence(call, words):
    with pytest.raises(ValueError, match=words):
        call()
