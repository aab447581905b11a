"""A second batch norm for adversarial examples (AdvProp, Xie et al. 2020; CLAE, section 3.5), for any nn.Module.

Clean and adversarial images have other statistics, so each domain gets scale, shift and running statistics of its own;
every other weight is shared. Papers: CLAE supplement, section 1: all batch-norm layers, momentum 0.01 for the adversarial
one (PyTorch's sense: a slower running mean) and the layer's own for the clean one.

Differs from: the published ResNets of CLAE leave out the stem's norm and give shortcuts the default momentum at
ImageNet size; here every layer is treated alike, as the supplement says.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm, _LazyNormBase

from sparring.types import Domain

DOMAINS: tuple[Domain, ...] = ("clean", "adv")


class DualBatchNorm(nn.Module):
    """Two batch norms in the place of one: `clean` and `adv`, which share no tensor. `domain` says which one is used."""

    def __init__(self, norm: _BatchNorm, adv_momentum: float | None = 0.01):
        super().__init__()
        self.clean = norm
        self.adv = copy.deepcopy(norm)
        self.adv.momentum = adv_momentum
        self.domain: Domain = "clean"
        self.training = norm.training

    def forward(self, x: Tensor) -> Tensor:
        """The norm of the current domain."""
        return self.adv(x) if self.domain == "adv" else self.clean(x)


def convert(module: nn.Module, adv_momentum: float = 0.01) -> nn.Module:
    """Give every batch norm of `module` a twin for adversarial examples; a norm shared by two places stays shared."""
    if has_domains(module):
        raise ValueError(f"{type(module).__name__} has two batch norms already; convert it once")
    if not 0 < adv_momentum <= 1:
        raise ValueError(f"adv_momentum is {adv_momentum}; it must lie in (0, 1], such as 0.01")
    norms = {m for m in module.modules() if isinstance(m, _BatchNorm)}
    if not norms:
        raise ValueError(f"{type(module).__name__} has no batch norm to give a twin")
    if any(isinstance(m, _LazyNormBase) for m in norms):
        raise ValueError(f"{type(module).__name__} has a lazy batch norm; run one forward before converting it")
    duals = {norm: DualBatchNorm(norm, adv_momentum) for norm in norms}
    if isinstance(module, _BatchNorm):
        return duals[module]
    for parent in [m for m in module.modules() if not isinstance(m, DualBatchNorm)]:
        for name, child in parent._modules.items():
            if isinstance(child, _BatchNorm) and child in duals:
                parent._modules[name] = duals[child]
    return module


def duals_of(module: nn.Module) -> list[DualBatchNorm]:
    """Every dual layer of a module."""
    return [m for m in module.modules() if isinstance(m, DualBatchNorm)]


def has_domains(module: nn.Module) -> bool:
    """Whether the module has a second batch norm."""
    return bool(duals_of(module))


def domain_of(module: nn.Module) -> Domain:
    """The domain in use; clean for a module without a second batch norm."""
    found: set[Domain] = {m.domain for m in duals_of(module)}
    if len(found) > 1:
        raise ValueError(f"the layers of {type(module).__name__} stand in different domains")
    return found.pop() if found else "clean"


@contextmanager
def use_domain(module: nn.Module, domain: Domain) -> Iterator[None]:
    """Use one domain's norms in a block of code; every layer gets its own domain back, also when an exception passes."""
    if domain not in DOMAINS:
        raise ValueError(f"domain is {domain!r}; it must be one of {', '.join(DOMAINS)}")
    layers = duals_of(module)
    if domain == "adv" and not layers:
        raise ValueError(
            f"{type(module).__name__} has no second batch norm: there is no domain 'adv' (see norms.convert)"
        )
    before: list[Domain] = [layer.domain for layer in layers]
    try:
        for layer in layers:
            layer.domain = domain
        yield
    finally:
        for layer, earlier in zip(layers, before, strict=True):
            layer.domain = earlier


def extract(module: nn.Module, domain: Domain) -> nn.Module:
    """A plain deep copy with only `domain`'s norms, under the state-dict keys that the module had before `convert`."""
    if domain not in DOMAINS:
        raise ValueError(f"domain is {domain!r}; it must be one of {', '.join(DOMAINS)}")
    plain: nn.Module = copy.deepcopy(module)
    if isinstance(plain, DualBatchNorm):
        return getattr(plain, domain)
    for parent in list(plain.modules()):
        if isinstance(parent, DualBatchNorm):
            continue
        for name, child in parent._modules.items():
            if isinstance(child, DualBatchNorm):
                parent._modules[name] = getattr(child, domain)
    return plain
