"""An attack leaves no trace: global randomness and buffers are as they were, also when an exception passes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext

import torch
from torch import Tensor, nn


@contextmanager
def leaving_no_trace(device: torch.device, update_statistics: bool = False) -> Iterator[None]:
    """Run a block with gradients enabled; afterwards the global random state (CPU and `device`) is what it was.

    Unless `update_statistics`, every module in training mode that is called in the block works on copies of its
    buffers: batch norms use batch statistics as always, but their running statistics (and a spectral norm's vectors,
    or any other buffer) stay untouched.
    Raises RuntimeError inside torch.inference_mode, which cannot be left for a block.
    """
    if torch.is_inference_mode_enabled():
        raise RuntimeError(
            "An attack needs gradients, which torch.inference_mode forbids; use torch.no_grad instead "
            "(Lightning: Trainer(inference_mode=False))."
        )
    with ExitStack() as stack:
        if device.type == "cpu":
            stack.enter_context(torch.random.fork_rng(devices=[]))
        else:
            stack.enter_context(torch.random.fork_rng(devices=[device], device_type=device.type))
        stack.enter_context(torch.enable_grad())
        if not update_statistics:
            stack.enter_context(lent_buffers())
        yield


_lenders: list[Callable[[nn.Module], None]] = []
"""One for each attack under way, outermost first: an attack inside an objective borrows the outer attack's copies."""


@contextmanager
def lent_buffers() -> Iterator[None]:
    """Lend every called training-mode module, and those below it, copies of their buffers; take them back at the end.

    Swapping the tensors, not restoring their values, leaves version counters alone, so that a graph which was built
    before the block can still be differentiated after it.
    """
    lent: list[tuple[nn.Module, str, Tensor]] = []
    copies: dict[Tensor, Tensor] = {}
    met: set[nn.Module] = set()

    def lend(module: nn.Module) -> None:
        for m in module.modules():
            if not m.training or m in met:
                continue
            met.add(m)
            for name, buffer in m._buffers.items():
                if buffer is not None:
                    lent.append((m, name, buffer))
                    m._buffers[name] = copies.setdefault(buffer, buffer.clone())

    _lenders.append(lend)
    try:
        with nullcontext() if len(_lenders) > 1 else lending_calls():
            yield
    finally:
        _lenders.remove(lend)
        for module, name, buffer in lent:
            module._buffers[name] = buffer


@contextmanager
def lending_calls() -> Iterator[None]:
    """While the block runs, a module that is called meets the lenders first.

    An attack sees only a closure, so modules are met as they are called. A global forward pre-hook would do that too,
    but a compiled module guards on the global hooks and would be compiled anew in every attack, and one compiled in
    place (`module.compile()`) does not run them. So `nn.Module.__call__` itself is replaced, and put back while a
    compiled module runs. A compiled function hides its modules: compile the module instead.
    """
    call = nn.Module.__call__

    def lending_call(module: nn.Module, *args, **kwargs):
        if torch.compiler.is_compiling():
            return call(module, *args, **kwargs)
        for lend in _lenders:
            lend(module)
        if not is_compiled(module):
            return call(module, *args, **kwargs)
        replace_call(call)
        try:
            return call(module, *args, **kwargs)
        finally:
            replace_call(lending_call)

    replace_call(lending_call)
    try:
        yield
    finally:
        replace_call(call)


def replace_call(call) -> None:
    """Make `call` what happens when any module is called."""
    setattr(nn.Module, "__call__", call)  # noqa: B010  (plain assignment to a special method is a type error)


def is_compiled(module: nn.Module) -> bool:
    """Whether torch.compile(module) or module.compile() made this module's forward."""
    return "_orig_mod" in module._modules or module._compiled_call_impl is not None
