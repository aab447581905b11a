from __future__ import annotations

import pytest
import torch

from sparring.evaluation import accuracy, fit_linear, fit_logistic
from tests.reference.classifiers import logistic_adam


def data(n: int = 70, d: int = 9, classes: int = 4):
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(n, d, generator=generator)
    labels = (x[:, :classes] + 0.3 * torch.randn(n, classes, generator=generator)).argmax(dim=1)
    return x, labels


def test_equals_autograd_with_torch_adam():
    x, labels = data()
    epochs, batch_size, seed = 12, 16, 5
    generator = torch.Generator().manual_seed(seed)
    start = torch.empty(4 * 9 + 4).uniform_(-1, 1, generator=generator) / 3
    batches = [batch for _ in range(epochs) for batch in torch.randperm(70, generator=generator).split(batch_size)]
    expected = logistic_adam(x, labels, 4, batches, 0.01, start[:36].view(4, 9), start[36:])
    layer = fit_logistic(x, labels, epochs=epochs, lr=0.01, batch_size=batch_size, seed=seed)
    torch.testing.assert_close(layer.weight, expected.weight, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(layer.bias, expected.bias, rtol=1e-5, atol=1e-6)


def test_converges_to_scikit_learn_without_penalty():
    from sklearn.linear_model import LogisticRegression

    x, labels = data(n=400)
    labels = torch.where(torch.rand(400, generator=torch.Generator().manual_seed(1)) < 0.2, 0, labels)
    layer = fit_logistic(x, labels, epochs=4000, lr=0.02, batch_size=400)
    reference = LogisticRegression(C=1e12, max_iter=5000, tol=1e-10).fit(x.double().numpy(), labels.numpy())
    ours = layer(x).log_softmax(dim=1).exp().detach()
    torch.testing.assert_close(
        ours, torch.tensor(reference.predict_proba(x.double().numpy())).float(), atol=2e-3, rtol=0
    )


def test_same_seed_same_bits_and_the_global_random_state_is_untouched():
    x, labels = data()
    before = torch.get_rng_state()
    first, second = (fit_logistic(x, labels, epochs=3, seed=1) for _ in range(2))
    linear, again = (fit_linear(x, labels, epochs=3, seed=1) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first.weight, second.weight)
    assert torch.equal(linear.weight, again.weight)
    assert not torch.equal(first.weight, fit_logistic(x, labels, epochs=3, seed=2).weight)


def test_after_epoch_sees_the_layer_as_it_then_is():
    x, labels = data()
    seen = []
    layer = fit_logistic(
        x, labels, epochs=3, lr=0.01, after_epoch=lambda epoch, now: seen.append((epoch, now.weight.detach().clone()))
    )
    assert [epoch for epoch, _ in seen] == [1, 2, 3]
    for epoch, weight in seen:
        assert torch.equal(weight, fit_logistic(x, labels, epochs=epoch, lr=0.01).weight)
    assert torch.equal(seen[-1][1], layer.weight)


def test_linear_probe_equals_its_formula():
    """v <- 0.9 v + (grad + wd W), W <- W - lr v, with the rate a tenth after each milestone."""
    x, labels = data()
    one_hot = torch.eye(4)[labels]
    generator = torch.Generator().manual_seed(2)
    bound = 1 / 3
    weight = torch.empty(4, 9).uniform_(-bound, bound, generator=generator)
    bias = torch.empty(4).uniform_(-bound, bound, generator=generator)
    weight_velocity, bias_velocity = torch.zeros(4, 9), torch.zeros(4)
    for epoch in range(6):
        lr = 0.1 * 0.1 ** sum(epoch >= milestone for milestone in (2, 4))
        for batch in torch.randperm(70, generator=generator).split(32):
            error = ((x[batch] @ weight.T + bias).softmax(1) - one_hot[batch]) / len(batch)
            weight_velocity = 0.9 * weight_velocity + error.T @ x[batch] + 5e-4 * weight
            bias_velocity = 0.9 * bias_velocity + error.sum(0) + 5e-4 * bias
            weight, bias = weight - lr * weight_velocity, bias - lr * bias_velocity
    layer = fit_linear(x, labels, epochs=6, batch_size=32, milestones=(2, 4), seed=2)
    torch.testing.assert_close(layer.weight.detach(), weight, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(layer.bias.detach(), bias, rtol=1e-4, atol=1e-5)


def test_accuracy_counts():
    layer = torch.nn.Linear(2, 2, bias=False)
    torch.nn.init.eye_(layer.weight)
    x = torch.tensor([[1.0, 0.0], [0.0, 1.0], [2.0, 1.0], [0.0, 3.0]])
    assert accuracy(layer, x, torch.tensor([0, 1, 1, 1])) == 0.75
    assert accuracy(layer, x, torch.tensor([0, 1, 1, 1]), batch_size=3) == 0.75


@pytest.mark.parametrize("fit", [fit_logistic, fit_linear])
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 0}, "epochs=0"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"lr": 0.0}, "lr must be"),
        ({"classes": 3}, r"0\.\.2"),
    ],
)
def test_bad_input_is_one_sentence(fit, changes, message):
    with pytest.raises(ValueError, match=message):
        fit(*data(), **changes)


def test_features_that_are_not_finite_are_an_error():
    x, labels = data()
    x[3, 2] = float("nan")
    with pytest.raises(ValueError, match="infinite or NaN"):
        fit_logistic(x, labels, epochs=1)
