"""Images of three classes and a small encoder, for tests of finetuning."""

import torch

from tests.methods.networks import SmallEncoder


def shades(n=300, classes=3):
    """Classes of one colour each, far apart, with noise."""
    generator = torch.Generator().manual_seed(1)
    labels = torch.arange(n) % classes
    colour = torch.tensor([[220, 30, 30], [30, 220, 30], [30, 30, 220]])[:classes].view(classes, 3, 1, 1)
    noise = torch.randint(-25, 26, (n, 3, 8, 8), generator=generator)
    return (colour[labels] + noise).to(torch.uint8), labels


def encoder(dual=True):
    """With running statistics that have seen images, bright ones in the clean norm and dark ones in the other."""
    made = SmallEncoder(dual)
    for domain, brightness in (("clean", 1.0), ("adv", 0.7))[: 1 + dual]:
        for _ in range(20):
            made(brightness * shades()[0].float() / 255, domain)
    return made


def state(module):
    """A copy of all parameters and buffers."""
    return {key: value.clone() for key, value in module.state_dict().items()}
