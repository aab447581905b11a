"""The rows of paper 003: schedules at other budgets, and the published scale of the loss."""

import torch

from sparring.recipes.budgets import BUDGETS
from sparring.recipes.csl_rows import PRECISION, RECALL, published_scale
from sparring.training.removal import build_selector


def test_a_shorter_recall_ends_where_the_papers_does():
    full, short = (BUDGETS[name].scaled(RECALL) for name in ("full", "short"))

    def first_epoch_without(run):
        k = build_selector(run).count
        return next(epoch for epoch in range(run.training.epochs) if k(run.training.batch_size, epoch) == 0)

    assert first_epoch_without(full) == 600  # of 1,000
    assert first_epoch_without(short) == 5  # of 8
    precision = build_selector(BUDGETS["short"].scaled(PRECISION))
    assert [precision.count(128, epoch) for epoch in range(8)] == list(range(8))


def test_published_scale_takes_the_steps_of_the_scaled_loss():
    def steps(loss_factor, lr, decay):
        w = torch.nn.Parameter(torch.tensor([1.0, -2.0], dtype=torch.float64))
        sgd = torch.optim.SGD([w], lr=lr, momentum=0.9, weight_decay=decay)
        for _ in range(4):
            sgd.zero_grad()
            (loss_factor * (w**2 * torch.tensor([0.1, 0.3])).sum()).backward()
            sgd.step()
        return w.detach()

    ours = published_scale(0.5)
    torch.testing.assert_close(steps(1.0, 0.01 * ours.lr, ours.weight_decay), steps(0.5 / 0.07, 0.01, 1e-4))
