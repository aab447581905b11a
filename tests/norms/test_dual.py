import copy
import inspect
import logging
from contextlib import contextmanager

import pytest
import torch
from torch import nn

from sparring.norms import DualBatchNorm, convert, domain_of, extract, has_domains, use_domain


class Residual(nn.Module):
    """Stem, a block with a shortcut norm, a shared norm and a 1d norm: every place where a batch norm may stand."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU())
        self.conv = nn.Conv2d(4, 4, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(4)
        self.shortcut = nn.Sequential(nn.Conv2d(4, 4, 1, bias=False), nn.BatchNorm2d(4))
        self.again = self.norm
        self.head = nn.ModuleDict({"fc": nn.Linear(4, 6), "norm": nn.BatchNorm1d(6)})

    def forward(self, x):
        x = self.stem(x)
        x = self.again(self.norm(self.conv(x))) + self.shortcut(x)
        return self.head["norm"](self.head["fc"](x.mean(dim=(2, 3))))


def images(batch=5, seed=1):
    return torch.randn(batch, 3, 6, 6, generator=torch.Generator().manual_seed(seed))


def network(seed=0):
    torch.manual_seed(seed)
    net = Residual()
    for norm in (m for m in net.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)):
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
    return net


def state_of(module, domain=None):
    """Copies of a state dict, of one domain's keys if asked."""
    return {k: v.clone() for k, v in module.state_dict().items() if domain is None or f".{domain}." in f".{k}"}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def scale(net, domain, factor):
    """Make one domain recognisable."""
    with torch.no_grad():
        for layer in (m for m in net.modules() if isinstance(m, DualBatchNorm)):
            getattr(layer, domain).bias.add_(factor)


def test_every_norm_is_converted_in_place_and_named():
    net = network()
    keys, parameters = list(net.state_dict()), list(net.parameters())
    assert convert(net) is net
    layers = [name for name, m in net.named_modules(remove_duplicate=False) if isinstance(m, DualBatchNorm)]
    assert layers == ["stem.1", "norm", "shortcut.1", "again", "head.norm"]
    inner = {m for d in net.modules() if isinstance(d, DualBatchNorm) for m in (d.clean, d.adv)}
    assert {m for m in net.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)} == inner
    new = list(net.state_dict())
    assert "stem.1.clean.running_mean" in new
    assert "stem.1.adv.weight" in new
    assert [k.replace(".clean.", ".") for k in new if ".adv." not in k] == keys
    assert {id(p) for p in parameters} <= {id(p) for p in net.parameters()}


def test_momenta_are_the_layers_own_and_the_papers():
    net = network()
    net.norm.momentum = 0.3
    convert(net)
    assert (net.stem[1].clean.momentum, net.stem[1].adv.momentum) == (0.1, 0.01)
    assert (net.norm.clean.momentum, net.norm.adv.momentum) == (0.3, 0.01)
    assert convert(network(), adv_momentum=0.25).shortcut[1].adv.momentum == 0.25


def test_running_statistics_follow_each_domains_momentum():
    net = convert(nn.Sequential(nn.BatchNorm1d(3)))
    x = torch.randn(8, 3)
    for domain, momentum in (("clean", 0.1), ("adv", 0.01)):
        with use_domain(net, domain):
            net(x)
        norm = getattr(net[0], domain)
        torch.testing.assert_close(norm.running_mean, momentum * x.mean(0))
        torch.testing.assert_close(norm.running_var, 1 - momentum + momentum * x.var(0))
        assert norm.num_batches_tracked == 1


def test_cumulative_averages():
    net = convert(nn.Sequential(nn.BatchNorm1d(3, momentum=None)), adv_momentum=None)
    a, b = torch.randn(8, 3), torch.randn(8, 3)
    with use_domain(net, "adv"):
        net(a)
        net(b)
    torch.testing.assert_close(net[0].adv.running_mean, (a.mean(0) + b.mean(0)) / 2)
    assert net[0].clean.momentum is None
    assert convert(nn.Sequential(nn.BatchNorm1d(3, momentum=None)))[0].adv.momentum == 0.01


def test_the_clean_domain_is_the_unconverted_network_bit_for_bit():
    plain, net = network(), convert(network())
    for x in (images(seed=1), images(seed=2)):
        out, out_dual = plain(x), net(x)
        assert torch.equal(out, out_dual)
        grad = torch.autograd.grad(out.square().sum(), list(plain.parameters()))
        mine = dict(net.named_parameters())
        names = [n.replace(".clean.", ".") for n in mine if ".adv." not in n]
        assert names == [n for n, _ in plain.named_parameters()]
        grad_dual = torch.autograd.grad(out_dual.square().sum(), [p for n, p in mine.items() if ".adv." not in n])
        assert all(torch.equal(a, b) for a, b in zip(grad, grad_dual, strict=True))
    cleaned = {k.replace(".clean.", "."): v for k, v in net.state_dict().items() if ".adv." not in k}
    assert same(cleaned, plain.state_dict())


@pytest.mark.parametrize(("used", "other"), [("clean", "adv"), ("adv", "clean")])
def test_a_forward_leaves_the_other_domains_buffers_and_gradients_untouched(used, other):
    net = convert(network())
    before = {domain: state_of(net, domain) for domain in ("clean", "adv")}
    with use_domain(net, used):
        net(images()).square().sum().backward()
    assert same(state_of(net, other), before[other])
    assert not same(state_of(net, used), before[used])
    for name, parameter in net.named_parameters():
        assert (parameter.grad is None) == (f".{other}." in name), name


def test_no_tensor_is_shared_between_the_domains():
    net = convert(network())
    places = {d: {v.data_ptr() for k, v in net.state_dict().items() if f".{d}." in k} for d in ("clean", "adv")}
    assert not places["clean"] & places["adv"]


def test_the_adversarial_norm_starts_where_the_clean_one_stands():
    net = network()
    net(images())
    convert(net)
    clean, adv = state_of(net, "clean"), state_of(net, "adv")
    assert all(torch.equal(v, adv[k.replace(".clean.", ".adv.")]) for k, v in clean.items())
    assert net.norm.adv.num_batches_tracked == 2


@pytest.mark.parametrize("kind", ["BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "SyncBatchNorm"])
@pytest.mark.parametrize("options", [{}, {"affine": False}, {"track_running_stats": False}])
def test_every_kind_of_batch_norm(kind, options):
    norm = getattr(nn, kind)(4, **options)
    keys = list(norm.state_dict())
    net = convert(nn.Sequential(norm))
    layer = net[0]
    assert layer.clean is norm
    assert type(layer.adv) is type(norm)
    assert layer.adv.affine == norm.affine
    assert layer.adv.track_running_stats == norm.track_running_stats
    plain = extract(net, "adv")
    assert type(plain[0]) is type(norm)
    assert list(plain.state_dict()) == [f"0.{key}" for key in keys]
    if kind != "SyncBatchNorm":
        x = torch.randn(3, 4, *[2] * int(kind[-2]))
        reference = copy.deepcopy(norm)
        with use_domain(net, "adv"):
            assert torch.equal(net(x), reference(x))


def test_a_subclass_and_a_converted_sync_batch_norm():
    class Scaled(nn.BatchNorm2d):
        def forward(self, input):
            return 2 * super().forward(input)

    net = convert(nn.Sequential(Scaled(3)))
    x = torch.randn(2, 3, 4, 4)
    with use_domain(net, "adv"):
        assert torch.equal(net(x), Scaled(3)(x))
    sync = nn.SyncBatchNorm.convert_sync_batchnorm(convert(network()))
    assert all(isinstance(m, nn.SyncBatchNorm) for m in (sync.norm.clean, sync.norm.adv, sync.stem[1].adv))
    assert sync.norm.adv.momentum == 0.01
    assert type(extract(sync, "clean").norm) is nn.SyncBatchNorm


def test_evaluation_mode_frozen_layers_and_dtype_are_kept():
    net = network().double()
    net.stem.eval()
    net.norm.weight.requires_grad_(False)
    convert(net)
    assert not net.stem[1].training
    assert not net.stem[1].adv.training
    assert net.shortcut[1].adv.training
    assert not net.norm.adv.weight.requires_grad
    assert net.norm.adv.bias.requires_grad
    assert net.norm.adv.running_mean.dtype == torch.float64
    before = state_of(net.stem)
    with use_domain(net, "adv"):
        net(images().double())
    assert same(state_of(net.stem), before)
    net.eval()
    assert not any(m.training for m in net.modules())


def test_evaluation_uses_each_domains_running_statistics():
    net = convert(nn.Sequential(nn.BatchNorm1d(1, affine=False))).eval()
    net[0].adv.running_mean.fill_(3.0)
    net[0].adv.running_var.fill_(4.0)
    x = torch.tensor([[5.0]])
    assert net(x).item() == pytest.approx(5.0, rel=1e-4)
    with use_domain(net, "adv"):
        assert net(x).item() == pytest.approx(1.0, rel=1e-4)


def test_a_shared_norm_stays_shared_and_so_does_a_shared_parameter():
    net = convert(network())
    assert net.again is net.norm
    plain = extract(net, "adv")
    assert plain.again is plain.norm
    tied = nn.Sequential(nn.BatchNorm1d(3), nn.BatchNorm1d(3))
    tied[1].weight = tied[0].weight
    convert(tied)
    assert tied[1].adv.weight is tied[0].adv.weight
    assert tied[1].clean.weight is tied[0].clean.weight
    assert tied[1].adv.weight is not tied[1].clean.weight
    assert tied[1].adv.running_mean is not tied[0].adv.running_mean


def test_a_module_that_is_a_batch_norm():
    norm = nn.BatchNorm1d(3)
    dual = convert(norm)
    assert isinstance(dual, DualBatchNorm)
    assert dual.clean is norm
    assert type(extract(dual, "adv")) is nn.BatchNorm1d
    with use_domain(dual, "adv"):
        assert domain_of(dual) == "adv"


def test_batch_statistics_without_an_update_as_attacks_ask_for():
    net = convert(network())
    expected = copy.deepcopy(net)
    before = state_of(net)
    for m in net.modules():
        if isinstance(m, nn.modules.batchnorm._BatchNorm):
            m.track_running_stats = False
    with use_domain(net, "adv"), use_domain(expected, "adv"):
        assert torch.equal(net(images()), expected(images()))
    assert same(state_of(net), before)
    assert not same(state_of(expected, "adv"), state_of(net, "adv"))


def test_domains_are_restored_nested_and_after_an_exception():
    net = convert(network())
    assert domain_of(net) == "clean"
    with use_domain(net, "adv"):
        with use_domain(net, "clean"):
            assert domain_of(net) == "clean"
        assert domain_of(net) == "adv"
        with pytest.raises(RuntimeError, match="passes"), use_domain(net, "clean"):
            raise RuntimeError("passes")
        assert domain_of(net) == "adv"
    assert domain_of(net) == "clean"


def test_layers_in_different_domains_get_their_own_back():
    net = convert(network())
    with use_domain(net.stem, "adv"):
        with pytest.raises(ValueError, match="different domains"):
            domain_of(net)
        with use_domain(net, "clean"):
            assert domain_of(net) == "clean"
        assert net.stem[1].domain == "adv"
        assert net.norm.domain == "clean"


def test_a_plain_module_has_the_clean_domain_only():
    net = network()
    assert not has_domains(net)
    assert domain_of(net) == "clean"
    with use_domain(net, "clean"):
        net(images())
    with pytest.raises(ValueError, match="there is no domain 'adv' before"), use_domain(net, "adv"):
        pass
    with pytest.raises(ValueError, match="there is no domain 'adv'"):
        extract(net, "adv")
    copied = extract(net, "clean")
    assert copied is not net
    assert same(copied.state_dict(), net.state_dict())


def test_an_unknown_domain():
    net = convert(network())
    unchecked = contextmanager(inspect.unwrap(use_domain))  # as without the type check of the tests
    with pytest.raises(ValueError, match="domain is 'dirty'; it must be one of clean, adv"), unchecked(net, "dirty"):
        pass
    with pytest.raises(ValueError, match="domain is 'dirty'"):
        inspect.unwrap(extract)(net, "dirty")


@pytest.mark.parametrize("domain", ["clean", "adv"])
def test_extract_gives_back_the_original_network(domain):
    original = network()
    original.stem.eval()
    original.norm.weight.requires_grad_(False)
    net = convert(copy.deepcopy(original))
    scale(net, "adv", 1.5)
    with use_domain(net, domain):
        net(images())
        plain = extract(net, domain)
        out = net.eval()(images())
    assert not has_domains(plain)
    assert list(plain.state_dict()) == list(original.state_dict())
    assert [(n, type(m), m.training) for n, m in plain.named_modules()] == [
        (n, type(m), m.training) for n, m in original.named_modules()
    ]
    assert [(n, p.requires_grad) for n, p in plain.named_parameters()] == [
        (n, p.requires_grad) for n, p in original.named_parameters()
    ]
    values = {k.replace(f".{domain}.", "."): v for k, v in net.state_dict().items()}
    assert all(torch.equal(v, values[k]) for k, v in plain.state_dict().items())
    assert torch.equal(plain.eval()(images()), out)
    assert not {v.data_ptr() for v in plain.state_dict().values()} & {v.data_ptr() for v in net.state_dict().values()}


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2)), "Sequential has no batch norm"),
        (nn.Sequential(nn.InstanceNorm2d(2, affine=True)), "has no batch norm"),
        (nn.Sequential(nn.LazyBatchNorm2d()), "lazy batch norm"),
        (nn.Sequential(nn.BatchNorm1d(2), nn.LazyBatchNorm1d()), "lazy batch norm"),
        (nn.Sequential(DualBatchNorm(nn.BatchNorm1d(2)), nn.BatchNorm1d(2)), "only once"),
    ],
)
def test_what_cannot_be_converted_is_refused_and_left_alone(module, message):
    before = [(n, type(m)) for n, m in module.named_modules()]
    with pytest.raises(ValueError, match=message):
        convert(module)
    assert [(n, type(m)) for n, m in module.named_modules()] == before


@pytest.mark.parametrize("momentum", [0.0, -0.1, 1.1, float("nan")])
def test_a_momentum_out_of_range(momentum):
    net = network()
    with pytest.raises(ValueError, match=r"adv_momentum is .*\(0, 1\]"):
        convert(net, adv_momentum=momentum)
    assert not has_domains(net)


def test_a_materialised_lazy_norm_can_be_converted():
    net = nn.Sequential(nn.LazyBatchNorm2d())
    net(images())
    assert type(extract(convert(net), "adv")[0]) is nn.BatchNorm2d


def test_deep_copies_are_independent_and_keep_the_domain():
    net = convert(network())
    with use_domain(net, "adv"):
        copied = copy.deepcopy(net)
    assert domain_of(copied) == "adv"
    assert domain_of(net) == "clean"
    before = state_of(net)
    copied(images())
    assert same(state_of(net), before)


def test_state_dicts_round_trip():
    net, other = convert(network(0)), convert(network(1))
    with use_domain(net, "adv"):
        net(images())
    other.load_state_dict(net.state_dict())
    assert same(other.state_dict(), net.state_dict())


def test_bf16_autocast_keeps_statistics_in_float32():
    net = convert(network())
    with torch.autocast("cpu", torch.bfloat16), use_domain(net, "adv"):
        out = net(images())
    assert out.isfinite().all()
    assert net.stem[1].adv.running_mean.dtype == torch.float32
    assert net.stem[1].adv.num_batches_tracked == 1
    assert net.stem[1].clean.num_batches_tracked == 0


def test_says_how_many_layers_it_changed(caplog):
    with caplog.at_level(logging.INFO, logger="sparring"):
        convert(network())
    assert "4 batch norms of Residual" in caplog.text
    assert "domain=clean" in repr(convert(nn.BatchNorm1d(2)))


@pytest.mark.slow
def test_compiled_networks_change_domains():
    net = convert(network()).eval()
    scale(net, "adv", 1.5)
    compiled = torch.compile(net)
    for domain in ("clean", "adv", "clean"):
        with use_domain(net, domain):
            torch.testing.assert_close(compiled(images()), net(images()))
    with use_domain(net, "adv"):
        adv = compiled(images())
    assert not torch.allclose(adv, compiled(images()))
