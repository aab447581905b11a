"""On a CUDA device: the same images as on the CPU, its random state left alone, one wait for the device."""

import pytest
import torch
from torch import nn

from sparring.attacks import FGSM, L1, L2, PGD, RFGSM, Linf

pytestmark = pytest.mark.gpu


@pytest.fixture
def net():
    torch.manual_seed(0)
    return (
        nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Tanh(), nn.Flatten(), nn.Linear(288, 4)).double().cuda()
    )


@pytest.fixture
def x():
    return torch.rand(4, 3, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).cuda()


@pytest.mark.parametrize("threat", [Linf(0.1), L2(0.5), L1(3.0), L2(1.0, space="normalized", clip=False)])
def test_the_same_images_as_on_the_cpu(threat, net, x):
    attack = PGD(threat, random_start=False)
    std = (0.2, 0.25, 0.3)
    there = attack(lambda z: net(z).square().sum(1), x, std=std)
    assert there.device == x.device
    net.cpu()
    here = attack(lambda z: net(z).square().sum(1), x.cpu(), std=std)
    torch.testing.assert_close(there.cpu(), here, rtol=0, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_sixteen_bit_images(dtype, net, x):
    x = x.to(dtype)
    x_adv = FGSM(Linf(8 / 255))(lambda z: net(z.double()).square().sum(1), x)
    assert ((x_adv.double() - x.double()).abs() <= 8 / 255).all()


def test_random_states_and_generators(net, x):
    dropping = nn.Sequential(nn.Dropout(0.5), net).train()
    here, there = torch.get_rng_state(), torch.cuda.get_rng_state()
    images = [
        RFGSM(Linf(0.1))(lambda z: net(z).sum(1), x, generator=torch.Generator("cuda").manual_seed(s))
        for s in (1, 1, 2)
    ]
    PGD(Linf(0.1))(lambda z: dropping(z).square().sum(1), x)
    assert torch.equal(images[0], images[1])
    assert not torch.equal(images[0], images[2])
    assert torch.equal(torch.get_rng_state(), here)
    assert torch.equal(torch.cuda.get_rng_state(), there)
    with pytest.raises(ValueError, match="generator is on cpu but x on cuda"):
        RFGSM(Linf(0.1))(lambda z: net(z).sum(1), x, generator=torch.Generator())


def test_the_device_is_waited_for_once(net, x):
    attack = PGD(Linf(0.1, space="normalized"), restarts=2)
    generator = torch.Generator("cuda").manual_seed(0)

    def run():
        return attack(lambda z: net(z).square().sum(1), x, std=(0.2, 0.2, 0.2), generator=generator)

    run()
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with pytest.warns(UserWarning, match="synchronizing") as waits:
            run()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert len([w for w in waits if "synchronizing" in str(w.message)]) == 1


def test_failures_found_on_the_device_are_raised_at_the_end(net, x):
    count = []

    def sick(z):
        count.append(1)
        return (z * (float("nan") if len(count) == 2 else 1.0)).sum()

    with pytest.raises(FloatingPointError, match="step 2 of 10"):
        PGD(Linf(0.1))(sick, x)
    assert len(count) == 10
    with pytest.raises(ValueError, match=r"outside \[0, 1\]"):
        FGSM(Linf(0.1))(lambda z: z.sum(), 2 * x)
