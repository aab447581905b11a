"""Linear evaluation by L-BFGS: against scikit-learn, on the right splits, with the right mean."""

import math

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch.nn import functional

from sparring.evaluation import Transfer, fit_l2, mean_per_class, wilson
from sparring.evaluation.protocols import Split
from sparring.evaluation.transfer import accuracy


def blobs(n, seed, spread=1.0, width=5, classes=3, skew=False):
    """Points around fixed centres; with `skew` most of them belong to class 0."""
    centres = 2 * torch.randn(classes, width, generator=torch.Generator().manual_seed(99))
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % classes
    if skew:
        labels = torch.where(torch.arange(n) % 10 < 8, torch.zeros(n, dtype=torch.int64), labels)
    return Split(centres[labels] + spread * torch.randn(n, width, generator=generator), labels)


class TestFit:
    @pytest.mark.parametrize("l2", [1e-3, 1.0, 300.0])
    def test_is_scikit_learns_with_c_one_over_l2(self, l2):
        data = blobs(120, 0, spread=2.0)
        ours = fit_l2(data.features, data.labels, l2, classes=3)
        theirs = LogisticRegression(C=1 / l2, tol=1e-10, max_iter=10_000)
        theirs.fit(data.features.double().numpy(), data.labels.numpy())
        assert ours.converged
        weight, bias = ours.weight.numpy(), ours.bias.numpy()
        assert np.abs(weight - theirs.coef_).max() < 2e-3 * max(1, np.abs(theirs.coef_).max())
        # a constant added to every bias changes nothing
        assert np.abs((bias - bias.mean()) - (theirs.intercept_ - theirs.intercept_.mean())).max() < 2e-3
        test = blobs(60, 1, spread=2.0).features
        assert ours.predict(test).tolist() == theirs.predict(test.numpy()).tolist()

    def test_the_gradient_of_the_stated_objective_vanishes(self):
        data, l2 = blobs(50, 0, spread=3.0), 0.7
        fit = fit_l2(data.features, data.labels, l2, classes=3)
        weight, bias = fit.weight.clone().requires_grad_(), fit.bias.clone().requires_grad_()
        scores = data.features.double() @ weight.T + bias
        loss = functional.cross_entropy(scores, data.labels, reduction="sum") + l2 / 2 * (weight**2).sum()
        for gradient in torch.autograd.grad(loss, (weight, bias)):
            assert gradient.abs().max() < 1e-3 * len(data.labels)

    def test_a_start_changes_the_way_and_not_the_end(self):
        data = blobs(90, 0, spread=2.0)
        before = fit_l2(data.features, data.labels, 300.0, classes=3)
        cold, warm = (fit_l2(data.features, data.labels, 5.0, classes=3, start=start) for start in (None, before))
        assert (cold.weight - before.weight).abs().max() > 0.05
        assert (cold.weight - warm.weight).abs().max() < 1e-2
        cut = fit_l2(data.features, data.labels, 1e-6, classes=3, max_iterations=1)
        assert not cut.converged

    @pytest.mark.parametrize("scale", [1e-5, 1e4])
    def test_the_scale_of_the_features_changes_the_weights_alone(self, scale):
        data, test = blobs(90, 0, spread=0.1), blobs(60, 1, spread=0.1)
        plain = fit_l2(data.features, data.labels, 1e-2, classes=3)
        other = fit_l2(data.features * scale, data.labels, 1e-2 * scale**2, classes=3)
        assert plain.converged and other.converged
        assert torch.allclose(other.weight * scale, plain.weight, rtol=1e-3, atol=1e-3)
        assert (other.predict(test.features * scale) == test.labels).all()

    def test_features_that_are_all_zero_fit_the_frequencies(self):
        fit = fit_l2(torch.zeros(40, 5), (torch.arange(40) % 4 == 0).long(), 1.0, classes=2)
        assert fit.converged and not fit.weight.any()
        assert fit.bias.softmax(dim=0).tolist() == pytest.approx([0.75, 0.25], abs=1e-4)

    def test_the_layer_scores_as_the_fit_predicts(self):
        data = blobs(40, 0)
        fit = fit_l2(data.features, data.labels, 1.0, classes=3)
        assert torch.equal(fit.layer(data.features).argmax(dim=1), fit.predict(data.features))

    @pytest.mark.parametrize(
        ("change", "sentence"),
        [
            ({"l2": -1.0}, "l2 must be 0 or more, not -1.0"),
            ({"l2": math.inf}, "l2 must be 0 or more, not inf"),
            ({"classes": 2}, r"labels must lie in 0\.\.1"),
            ({"labels": torch.zeros(3, dtype=torch.int64)}, "12 features need as many labels, and one at least, not 3"),
            ({"features": torch.full((12, 5), math.nan)}, "features are infinite or NaN"),
        ],
    )
    def test_what_cannot_be_fitted(self, change, sentence):
        data = blobs(12, 0)
        given = {"features": data.features, "labels": data.labels, "l2": 1.0, "classes": 3} | change
        with pytest.raises(ValueError, match=sentence):
            fit_l2(given.pop("features"), given.pop("labels"), given.pop("l2"), **given)


class TestProtocol:
    def test_the_grid_is_that_of_the_paper(self):
        penalties = Transfer().penalties
        assert penalties == pytest.approx(np.logspace(5, -6, 45).tolist())
        assert Transfer().label == "transfer v1"
        assert Transfer(count=3).label == "transfer v1 (count 3)"

    def test_is_the_plain_loop_over_the_grid(self):
        train, val, test = blobs(40, 0, 3.0), blobs(40, 1, 3.0), blobs(200, 2, 3.0)
        protocol = Transfer(count=8)
        entry = protocol.measure(train, val, test, 3, "top-1")
        scores = []
        for l2 in np.logspace(5, -6, 8):
            model = LogisticRegression(C=1 / l2, max_iter=10_000, tol=1e-8).fit(train.features, train.labels)
            scores.append((model.score(val.features, val.labels), l2))
        best, l2 = max(scores, key=lambda pair: pair[0])  # the first, and so the largest penalty, of equals
        assert (entry["validation_accuracy"], entry["l2"]) == pytest.approx((best, l2))
        both = np.concatenate([train.features, val.features]), np.concatenate([train.labels, val.labels])
        final = LogisticRegression(C=1 / l2, max_iter=10_000, tol=1e-8).fit(*both).score(test.features, test.labels)
        assert entry["accuracy"] == pytest.approx(final, abs=0.011)
        assert entry["interval"] == list(wilson(round(200 * entry["accuracy"]), 200))
        assert (entry["n_train"], entry["n_val"], entry["n_test"]) == (40, 40, 200)

    def test_the_test_images_choose_nothing(self):
        train, val, test = blobs(40, 0, 3.0), blobs(40, 1, 3.0), blobs(60, 2, 3.0)
        turned = Split(test.features, (test.labels + 1) % 3)
        chosen = [Transfer(count=8).measure(train, val, part, 3, "top-1") for part in (test, turned)]
        assert chosen[0]["l2"] == chosen[1]["l2"]
        assert chosen[0]["validation_accuracy"] == chosen[1]["validation_accuracy"]
        other = Split(val.features, (val.labels + 1) % 3)
        assert Transfer(count=8).measure(train, other, test, 3, "top-1")["l2"] != chosen[0]["l2"]

    def test_the_mean_over_classes_chooses_and_is_reported(self):
        train, val, test = (blobs(60, seed, 4.0, skew=True) for seed in range(3))
        layers = {}
        entry = Transfer(count=6).measure(train, val, test, 3, "mean per class", classifiers=layers)
        predicted = layers["transfer"](test.features).argmax(dim=1)
        each = [(predicted[test.labels == k] == k).double().mean().item() for k in range(3)]
        assert entry["accuracy"] == pytest.approx(sum(each) / 3)
        assert entry["top1"] == pytest.approx((predicted == test.labels).double().mean().item())
        assert entry["accuracy"] != entry["top1"]
        low, high = entry["interval"]
        assert low < entry["accuracy"] < high

    def test_a_class_without_test_images_has_no_mean(self):
        train, test = blobs(30, 0), blobs(30, 1)
        some = Split(test.features[test.labels > 0], test.labels[test.labels > 0])
        with pytest.raises(ValueError, match="class 0 has no test image"):
            Transfer(count=2).measure(train, train, some, 3, "mean per class")
        assert Transfer(count=2).measure(train, train, some, 3, "top-1")["n_test"] == 20

    def test_says_when_the_penalty_is_at_the_edge_and_when_it_did_not_converge(self):
        train, val, test = blobs(40, 0, 3.0), blobs(40, 1, 3.0), blobs(40, 2, 3.0)
        entry = Transfer(smallest=1e4, largest=1e5, count=2).measure(train, val, test, 3, "top-1")
        assert entry["l2_at_edge"]
        entry = Transfer(smallest=1e-6, largest=1e-6, count=1, max_iterations=1).measure(train, val, test, 3, "top-1")
        assert not entry["converged"] and entry["not_converged_on_the_grid"] == 1 and not entry["l2_at_edge"]
        assert entry["protocol"] == "transfer v1 (largest 1e-06, count 1, max_iterations 1)"

    @pytest.mark.parametrize("wrong", [{"smallest": 0.0}, {"smallest": 2.0, "largest": 1.0}, {"count": 0}])
    def test_a_grid_that_is_none(self, wrong):
        with pytest.raises(ValueError, match="transfer needs 0 < smallest <= largest"):
            Transfer(**wrong)


class TestMeanPerClass:
    def test_is_the_normal_interval_of_a_stratified_mean(self):
        low, high = mean_per_class([80, 10], [100, 20])
        variance = sum(p * (1 - p) / n for p, n in ((81 / 102, 100), (11 / 22, 20))) / 4
        assert (high - low) / 2 == pytest.approx(1.959964 * math.sqrt(variance), rel=1e-6)
        assert (high + low) / 2 == pytest.approx((0.8 + 0.5) / 2)

    def test_covers_about_as_often_as_it_says(self):
        rng = np.random.default_rng(0)
        n, p = rng.integers(5, 40, size=20), rng.uniform(0.3, 1.0, size=20)
        inside = 0
        for _ in range(400):
            low, high = mean_per_class(rng.binomial(n, p).tolist(), n.tolist())
            inside += low <= p.mean() <= high
        assert 0.93 <= inside / 400 <= 0.995

    def test_has_a_width_when_all_are_right(self):
        low, high = mean_per_class([5, 5], [5, 5])
        assert low < 0.9 and high == 1.0

    def test_what_is_no_count(self):
        for correct, n in (([1], [0]), ([3], [2]), ([], []), ([1], [1, 2])):
            with pytest.raises(ValueError, match=r"correct must lie in 0\.\.n"):
                mean_per_class(correct, n)


def test_accuracy_of_a_mean_counts_only_classes_that_there_are():
    predicted, labels = torch.tensor([0, 0, 3, 3]), torch.tensor([0, 0, 0, 3])
    assert accuracy(predicted, labels, "top-1") == 0.75
    assert accuracy(predicted, labels, "mean per class") == pytest.approx((2 / 3 + 1) / 2)
