"""A second batch norm for adversarial examples, for any nn.Module.

    y = gamma_d (x - mu_d) / sqrt(var_d + eps) + beta_d,   d = clean or adv

Clean and adversarial images have different statistics, so each domain d has scale, shift and running statistics of its
own; every other weight is shared. State-dict keys: `layer.weight` becomes `layer.clean.weight` and `layer.adv.weight`,
and so on for bias, running_mean, running_var and num_batches_tracked.

Paper: AdvProp (Xie et al. 2020); CLAE, section 3.5 and supplement, section 1: all batch-norm layers, momentum 0.01 in
       PyTorch's sense (a slower running mean) for the adversarial one, the layer's own (0.1) for the clean one.
Code:  chihhuiho/CLAE, SimCLR/modules/resnet_BN.py and Plain/models/resnet_cifar.py.
Differs from: the published ResNets at ImageNet size discard the stem's norm and leave the shortcuts' adversarial ones at
momentum 0.1; those of Plain and UEL ignore the momentum asked for beyond ResNet-18. Here every layer is treated alike.

Activation checkpointing repeats a forward during the backward: call backward inside the same `use_domain` block then.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, get_args

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm, _LazyNormBase

from sparring.types import Domain

DOMAINS: tuple[Domain, ...] = get_args(Domain)
log = logging.getLogger(__name__)


class DualBatchNorm(nn.Module):
    """Two batch norms in the place of one: `clean`, the layer that was there, and `adv`, a deep copy of it.

    The two share no tensor. Both take part in `train()`, `eval()`, `to()` and the state dict like any submodule; `domain`
    says which one a forward uses. `adv_momentum` None is PyTorch's cumulative average, as in nn.BatchNorm2d.
    """

    def __init__(self, norm: _BatchNorm, adv_momentum: float | None = 0.01, *, memo: dict[int, Any] | None = None):
        super().__init__()
        self.clean = norm
        self.adv = copy.deepcopy(norm, memo)
        self.adv.momentum = adv_momentum
        self.domain: Domain = "clean"
        self.training = norm.training

    def forward(self, x: Tensor) -> Tensor:
        """The norm of the current domain, on whatever shape that norm takes."""
        return self.adv(x) if self.domain == "adv" else self.clean(x)

    def extra_repr(self) -> str:
        """The domain in use."""
        return f"domain={self.domain}"


def convert(module: nn.Module, adv_momentum: float | None = 0.01) -> nn.Module:
    """Every batch norm of `module` (1d, 2d, 3d, Sync, and subclasses) becomes a `DualBatchNorm`; returns the result.

    Done in place, unless `module` is a batch norm itself. The adversarial norm starts from the clean one's weights and
    statistics and keeps its mode, its frozen parameters, device and dtype. A norm that stands in two places, or a
    parameter that two norms share, stays shared within each domain. The parameters that the module had are the same
    objects afterwards (an optimiser that holds them goes on); those of `adv` are new to it. Load a plain state dict
    before converting. How many layers were changed is logged.

    Raises ValueError, before anything is changed, if there is no batch norm, if there are two already, for a lazy one
    (its shape is unknown until a first forward), and for a momentum outside (0, 1].
    """
    kind = type(module).__name__
    if adv_momentum is not None and not 0 < adv_momentum <= 1:
        raise ValueError(f"adv_momentum is {adv_momentum}; it must lie in (0, 1], such as 0.01, or be None")
    if has_domains(module):
        raise ValueError(f"{kind} has two batch norms already; it can be converted only once")
    norms = [part for part in module.modules() if isinstance(part, _BatchNorm)]
    if not norms:
        raise ValueError(f"{kind} has no batch norm that could get a twin for adversarial examples")
    if any(isinstance(norm, _LazyNormBase) for norm in norms):
        raise ValueError(f"{kind} has a lazy batch norm whose shape is unknown; run one forward before converting it")
    copied: dict[int, Any] = {}
    duals: dict[nn.Module, nn.Module] = {norm: DualBatchNorm(norm, adv_momentum, memo=copied) for norm in norms}
    log.info("%d batch norms of %s have a twin for adversarial examples now", len(norms), kind)
    return _exchange(module, duals)


def duals_of(module: nn.Module) -> list[DualBatchNorm]:
    """Every dual layer of a module, each once."""
    return [part for part in module.modules() if isinstance(part, DualBatchNorm)]


def has_domains(module: nn.Module) -> bool:
    """Whether the module has a second batch norm."""
    return bool(duals_of(module))


def robust_domain(module: nn.Module) -> Domain:
    """The domain whose norms robust figures go through: the adversarial examples' where there are two (DynACL, ACL)."""
    return "adv" if has_domains(module) else "clean"


def domain_of(module: nn.Module) -> Domain:
    """The domain in use; clean for a module without a second batch norm. ValueError if its layers differ."""
    found: set[Domain] = {layer.domain for layer in duals_of(module)}
    if len(found) > 1:
        raise ValueError(f"the layers of {type(module).__name__} stand in different domains")
    return found.pop() if found else "clean"


@contextmanager
def use_domain(module: nn.Module, domain: Domain) -> Iterator[None]:
    """Use one domain's norms in a block of code; every layer gets its own domain back, also when an exception passes.

    Blocks may be nested. Raises ValueError for an unknown domain, and for "adv" if there is no second batch norm;
    "clean" suits every module.
    """
    layers = _layers(module, domain)
    before: list[Domain] = [layer.domain for layer in layers]
    try:
        for layer in layers:
            layer.domain = domain
        yield
    finally:
        for layer, earlier in zip(layers, before, strict=True):
            layer.domain = earlier


def extract(module: nn.Module, domain: Domain) -> nn.Module:
    """A plain deep copy with only `domain`'s norms: the classes and state-dict keys that it had before `convert`.

    Modes and frozen parameters are kept, and so is the domain's momentum. Raises ValueError as `use_domain` does.
    """
    _layers(module, domain)
    plain = copy.deepcopy(module)
    return _exchange(plain, {dual: getattr(dual, domain) for dual in duals_of(plain)})


def _layers(module: nn.Module, domain: str) -> list[DualBatchNorm]:
    """The dual layers in which `domain` can be chosen."""
    if domain not in DOMAINS:
        raise ValueError(f"domain is {domain!r}; it must be one of {', '.join(DOMAINS)}")
    layers = duals_of(module)
    if domain == "adv" and not layers:
        raise ValueError(
            f"{type(module).__name__} has one batch norm a layer (or none): there is no domain 'adv' before norms.convert"
        )
    return layers


def _exchange(module: nn.Module, substitutes: dict[nn.Module, nn.Module]) -> nn.Module:
    """`module` with some of its parts exchanged wherever they stand."""
    if module in substitutes:
        return substitutes[module]
    new = set(substitutes.values())
    for parent in [part for part in module.modules() if part not in substitutes and part not in new]:
        for name, child in parent._modules.items():
            if child in substitutes:
                parent._modules[name] = substitutes[child]
    return module
