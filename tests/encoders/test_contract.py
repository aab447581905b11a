"""What every encoder of ours must satisfy, found by discovery: a new name faces all of this for free."""

import pytest
import torch
from torch import nn

from sparring import norms
from sparring.encoders import encoder_names
from tests.encoders.configs import encoder

NAMES = [name for name in encoder_names() if ":" not in name and name != "wrn-DEPTH-WIDTH"]
QUICK = {"resnet20": 8, "wrn-10-1": 8, "wrn-16-2": 8, "cnn": 16}
"""Names that are quick with values, and the side of their images."""


@pytest.mark.parametrize("name", NAMES)
def test_shapes_of_every_name_at_full_size(name):
    """On no device: the values of a network of 46 million parameters would cost more than they tell here."""
    with torch.device("meta"):
        net = encoder(name, channels=1, image_size=32, head="linear", classes=10)
        plain = [m for m in net.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
        if plain:
            norms.convert(net)
        out = net.outputs(torch.rand(2, 4, 1, 32, 32), domain="adv" if plain else "clean")
    assert [part.shape for part in out] == [(2, 4, net.features), (2, 4, 8), (2, 4, 10)]
    assert (net.classes, net.architecture["classes"], net.architecture["dual"]) == (10, 10, bool(plain))
    assert f"{net.features} features" in encoder_names()[name]
    assert sum(isinstance(m, norms.DualBatchNorm) for m in net.modules()) == len(plain)


@pytest.mark.parametrize("name", QUICK)
class TestQuick:
    def net(self, name, dual=None, seed=0):
        torch.manual_seed(seed)
        dual = name != "cnn" if dual is None else dual
        return encoder(name, image_size=QUICK[name], head="linear", dual=dual, classes=3)

    def test_gradients_reach_the_pixels_and_every_parameter_of_the_domain(self, name):
        net = self.net(name)
        domain = "adv" if norms.has_domains(net) else "clean"
        x = torch.rand(4, 3, QUICK[name], QUICK[name], requires_grad=True)
        out = net.outputs(x, domain)
        (out.z[:, 0].sum() + out.logits[:, 0].sum()).backward()
        assert x.grad is not None
        assert x.grad.abs().sum() > 0
        unused = ".clean." if domain == "adv" else ".adv."
        assert all((p.grad is None) == (unused in key) for key, p in net.named_parameters())

    def test_the_seed_decides_and_a_second_norm_starts_as_the_first(self, name):
        x = torch.rand(2, 3, QUICK[name], QUICK[name])
        net, again, other = self.net(name), self.net(name, dual=False), self.net(name, seed=1)
        logits = net.eval().outputs(x).logits
        assert torch.equal(logits, again.eval().outputs(x).logits)
        assert not torch.equal(logits, other.eval().outputs(x).logits)
        if norms.has_domains(net):
            assert torch.equal(logits, net.outputs(x, "adv").logits)
            plain = norms.extract(net, "adv")
            assert torch.equal(logits, plain.outputs(x).logits)
            assert list(plain.state_dict()) == list(again.state_dict())

    def test_in_evaluation_an_image_does_not_depend_on_its_neighbours(self, name):
        net = self.net(name).eval()
        x = torch.rand(3, 3, QUICK[name], QUICK[name])
        torch.testing.assert_close(net.outputs(x).logits[:1], net.outputs(x[:1]).logits)
