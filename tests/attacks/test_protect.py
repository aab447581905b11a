"""An attack leaves no trace: buffers, graphs, modes and global randomness are what they were."""

import copy

import pytest
import torch
from torch import nn
from torch.nn.modules import module as nn_module
from torch.nn.utils.parametrizations import spectral_norm

from sparring.attacks import FGSM, L2, PGD, Linf, RandomNoise

ATTACK = PGD(Linf(0.2), steps=3)


class Counter(nn.Module):
    """Anybody's module with a state of its own."""

    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))
        self.register_buffer("nothing", None)

    def forward(self, x):
        self.calls += 1
        return x * (1 + 0.01 * self.calls)


class Own(nn.Module):
    """Anybody's network with a forward of its own: torch 2.11 compiles none of torch's own modules in place."""

    def __init__(self, layers):
        super().__init__()
        self.layers = layers

    def forward(self, x):
        return self.layers(x)


def network():
    torch.manual_seed(0)
    return nn.Sequential(
        spectral_norm(nn.Conv2d(3, 4, 3)),
        nn.BatchNorm2d(4),
        nn.Tanh(),
        nn.Sequential(nn.InstanceNorm2d(4, track_running_stats=True), Counter()),
        nn.Flatten(),
        nn.BatchNorm1d(64, momentum=None),
        nn.Linear(64, 2),
    )


def images():
    return torch.rand(3, 3, 6, 6, generator=torch.Generator().manual_seed(1))


def state(net):
    return {name: (id(b), b._version, b.clone()) for name, b in net.named_buffers()}


def same(before, net):
    after = state(net)
    return list(before) == list(after) and all(
        before[n][:2] == after[n][:2] and torch.equal(before[n][2], after[n][2]) for n in before
    )


def test_buffers_are_the_same_tensors_never_written():
    net, x = network().train(), images()
    net(x)
    before = state(net)
    x_adv = ATTACK(lambda z: net(z).square().sum(1), x)
    assert same(before, net)
    assert not torch.equal(x_adv, x)
    net(x)
    assert not same(before, net)


def test_inside_the_attack_modules_behave_as_in_training():
    """The copies are updated from step to step as the originals would have been: the same images come out."""
    net, x = network().train(), images()
    free = copy.deepcopy(net)
    protected = ATTACK(lambda z: net(z).square().sum(1), x)
    updating = PGD(Linf(0.2), steps=3, update_statistics=True)(lambda z: free(z).square().sum(1), x)
    assert torch.equal(protected, updating)
    assert int(free[1].num_batches_tracked) == 3
    assert int(net[1].num_batches_tracked) == 0
    batch_statistics = net[:1](x).var(dim=(0, 2, 3))
    assert not torch.equal(net[1].running_var, free[1].running_var)
    assert batch_statistics.shape == (4,)


def test_evaluation_mode_gives_what_a_plain_loop_gives():
    net, x = network().eval(), images()
    net[3] = nn.Identity()
    before = state(net)
    x_adv = PGD(Linf(0.1, clip=False), steps=3, random_start=False)(lambda z: net(z).square().sum(1), x)
    delta = torch.zeros_like(x)
    for _ in range(3):
        z = (x + delta).requires_grad_()
        (gradient,) = torch.autograd.grad(net(z).square().sum(), z)
        delta = (delta + 0.25 / 3 * gradient.sign()).clamp(-0.1, 0.1)
    torch.testing.assert_close(x_adv, x + delta, rtol=0, atol=1e-7)
    assert same(before, net)


def test_nothing_remains_after_an_exception():
    net, x = network().train(), images()
    before, call, rng, seen = state(net), nn.Module.__call__, torch.get_rng_state(), []

    def objective(z):
        value = net(z).square().sum(1) + torch.rand(())
        seen.append(value)
        if len(seen) == 2:
            raise KeyError("from inside")
        return value

    with torch.no_grad(), pytest.raises(KeyError, match="from inside"):
        ATTACK(objective, x)
    assert same(before, net)
    assert nn.Module.__call__ is call
    assert torch.equal(torch.get_rng_state(), rng)
    assert all(p.grad is None for p in net.parameters())
    assert torch.is_grad_enabled()


def test_no_hook_and_no_replaced_call_remains():
    call, hooks = nn.Module.__call__, len(nn_module._global_forward_pre_hooks)
    ATTACK(lambda z: network()(z).sum(1), images())
    assert nn.Module.__call__ is call
    assert len(nn_module._global_forward_pre_hooks) == hooks


def test_a_graph_built_before_the_attack_can_be_differentiated_after_it():
    gradients = []
    for attacked in (False, True):
        net, x = network().train(), images()
        loss = net(x).square().sum()
        if attacked:
            ATTACK(lambda z, net=net: net(z).square().sum(1), x)
        loss.backward()
        gradients.append([p.grad for p in net.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))


def test_a_memory_bank_in_evaluation_mode_is_not_copied():
    net, x, banks = network().eval(), images(), []

    def objective(z):
        value = net(z).square().sum(1)
        banks.append(net[1].running_mean)
        return value

    FGSM(Linf(0.1))(objective, x)
    assert banks[0] is net[1].running_mean


def test_a_module_that_changes_mode_within_the_objective():
    net, x = network().eval(), images()
    before = state(net)

    def objective(z):
        with torch.no_grad():
            net.eval()(z)
        return net.train()(z).square().sum(1)

    ATTACK(objective, x)
    assert net.training
    # The counter's calls in evaluation mode before the first in training mode are its own affair.
    assert all(torch.equal(before[n][2], b) for n, b in net.named_buffers() if "calls" not in n)


def test_a_buffer_that_two_modules_share_stays_shared():
    one, two, x = Counter(), Counter(), images()
    two.calls = one.calls
    totals = []

    def objective(z):
        value = two(one(z)).flatten(1).sum(1)
        totals.append(float(two.calls))
        return value

    FGSM(Linf(0.1))(objective, x)
    assert totals == [2.0]
    assert two.calls is one.calls
    assert float(one.calls) == 0


def test_an_attack_inside_an_attack():
    net, x = network().train(), images()
    before, inner_before = state(net), []

    def objective(z):
        statistics = net[1].running_mean.clone()
        inner = FGSM(L2(0.5))(lambda u: -net(u).square().sum(1), z.detach())
        inner_before.append(torch.equal(statistics, net[1].running_mean))
        return net(z).square().sum(1) - net(inner).square().sum(1)

    x_adv = ATTACK(objective, x)
    assert inner_before == [True] * 3
    assert same(before, net)
    assert not torch.equal(x, x_adv)


def test_updating_inside_protecting_changes_only_copies():
    net, x = network().train(), images()
    before = state(net)
    updating = FGSM(Linf(0.1), update_statistics=True)
    ATTACK(lambda z: net(z + 0 * updating(lambda u: net(u).sum(1), z.detach())).square().sum(1), x)
    assert same(before, net)


def test_dropout_draws_leave_the_global_random_state():
    net, x = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(108, 2)).train(), images()
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    for attack in (ATTACK, RandomNoise(Linf(0.1)), PGD(Linf(0.1), restarts=2)):
        attack(lambda z: net(z).square().sum(1), x)
    assert torch.equal(torch.rand(4), expected)


def test_inference_mode_is_refused():
    with torch.inference_mode(), pytest.raises(RuntimeError, match=r"inference_mode forbids; use torch\.no_grad"):
        FGSM(Linf(0.1))(lambda z: z.sum(), images())
    with torch.inference_mode():
        x = images()
    assert torch.equal(FGSM(Linf(0.1, clip=False))(lambda z: z.sum(), x), x + 0.1)


@pytest.mark.parametrize("how", ["wrapped", "in place", "inside an eager module"])
def test_compiled_modules_are_protected_and_not_compiled_again(how):
    torch._dynamo.reset()
    graphs = []

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    net, x = Own(network()[1:3]).train(), torch.rand(3, 4, 6, 6)
    if how == "in place":
        net.compile(backend=backend)
        called = net
    else:
        called = torch.compile(net, backend=backend)
    if how == "inside an eager module":
        called = nn.Sequential(called, nn.Flatten())
    eager = copy.deepcopy(net)
    eager._compiled_call_impl = None
    expected = ATTACK(lambda z: eager(z).pow(3).flatten(1).sum(1), x)
    counts = []
    for _ in range(3):
        called(x).sum().backward()
        before = state(net)
        x_adv = ATTACK(lambda z: called(z).pow(3).flatten(1).sum(1), x)
        assert same(before, net)
        torch.testing.assert_close(x_adv, expected)
        counts.append(len(graphs))
    assert counts[0] >= 1
    assert counts == counts[:1] * 3
