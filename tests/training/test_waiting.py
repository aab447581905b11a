"""No step waits for its device. There is no GPU here, so steps run on the `meta` device, whose tensors have no values:
what would have to wait for a value (item, nonzero, a boolean index, a copy to the CPU, `if tensor`) is an error there.
It takes the branches of a GPU, too, since it is not the CPU."""

from contextlib import contextmanager, nullcontext
from dataclasses import replace
from types import SimpleNamespace
from typing import ClassVar

import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from sparring.attacks import FFGSM, FGSM, L1, L2, PGD, RFGSM, Linf, RandomNoise
from sparring.config import EncoderConfig, OptimizerConfig, RunConfig, TrainingConfig
from sparring.data import moving, pipeline, small_crops
from sparring.data.views import pipeline_names
from sparring.encoders import build_encoder
from sparring.methods import ACL, ASCL, CLAE, UEL, AdversarialTraining, Plain, RoCL, SimCLR, SupCon, Trades
from sparring.pairs import Frequency, Precision, PseudoLabels, Recall, hard, leaked, leaked_official, same_label, soft
from sparring.training.build import METHODS
from sparring.training.module import ContrastiveModule

META = torch.device("meta")
IMAGES = 6
BACKBONE = "python:tests.training.runs.backbone"


class Elsewhere(torch.Generator):
    """What stands for a generator on a GPU: there is none on `meta`."""

    device = META  # pyright: ignore[reportAssignmentType,reportIncompatibleVariableOverride]


class Waited(AssertionError):
    """A step waited for its device."""


class OnDevice(TorchFunctionMode):
    """Draws on `meta`, where no generator can be; refuses what waits on a GPU though `meta` allows it."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if isinstance(kwargs.get("generator"), Elsewhere):
            kwargs["generator"] = None
        made_from_numbers = func in (torch.tensor, torch.as_tensor, torch.Tensor.new_tensor)
        if made_from_numbers and (
            func is torch.Tensor.new_tensor or torch.device(kwargs.get("device") or "cpu") == META
        ):
            raise Waited(f"{func.__name__} copies numbers to the device")
        return func(*args, **kwargs)


class Copies(TorchDispatchMode):
    """Refuses blocking copies to the device, and copies from it; counts the others."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if func in (torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default):
            source = args[1] if func is torch.ops.aten.copy_.default else args[0]
            if source.device != result.device:
                if result.device != META or not (kwargs or {}).get("non_blocking", args[2:3] == (True,)):
                    raise Waited(f"{func} from {source.device} to {result.device} blocks")
                self.count += 1
        return result


@pytest.fixture(autouse=True)
def device(monkeypatch):
    """`meta` has neither autocast nor a random state of its own."""
    autocast = torch.autocast
    monkeypatch.setattr(torch, "autocast", lambda kind, *a, **k: autocast("cpu" if kind == "meta" else kind, *a, **k))
    monkeypatch.setattr(torch.random, "fork_rng", lambda *_, **__: nullcontext())
    monkeypatch.setattr("sparring.training.module.generator", lambda *_, **__: Elsewhere())


@contextmanager
def watching():
    with OnDevice(), Copies() as copies:
        yield copies


def trained(method, *, optimizer="sgd", views="simclr", channels_last=False, crops=0, epoch=300, network=BACKBONE):
    """A module on the device, with what Lightning would give it."""
    classifies = getattr(method, "classifies", False)
    encoder = build_encoder(
        EncoderConfig(
            name=network,
            head="none" if classifies and not embeds(method) else "mlp-bn",
            dim=8,
            mean=[0.5] * 3,
            std=[0.5] * 3,
        ),
        channels=3,
        image_size=8,
        dual=getattr(method, "dual", False),
        classes=4 if classifies else None,
        prototypes=5 if hasattr(method, "prototypes") else None,
        queue=12,
    )
    config = RunConfig(training=TrainingConfig(seed=0, epochs=1000, batch_size=IMAGES, channels_last=channels_last))
    config.optimizer = OptimizerConfig(name=optimizer, lr=0.1, momentum=0.9, weight_decay=1e-4, schedule="cosine")
    line = replace(pipeline(views, 8), views=getattr(method, "needs_views", 2))
    module = ContrastiveModule(
        encoder.to(META),
        method,
        line,
        config,
        crops=small_crops(line, crops) if crops else None,
        steps_per_epoch=10,
        start_epoch=epoch,
        pseudo_labels=torch.arange(100, device=META) if isinstance(pairs_of(method), PseudoLabels) else None,
    )
    module._trainer = SimpleNamespace(optimizers=[module.configure_optimizers()], current_epoch=0, global_rank=0)
    return module


def embeds(method):
    return hasattr(method, "temperature")


def pairs_of(method):
    return getattr(getattr(method, "base", method), "pairs", None)


def step(module, index=0):
    """One step, as Lightning makes it: the copies it makes to the device."""
    optimizer = module.trainer.optimizers[0]
    images = torch.empty(IMAGES, 3, 8, 8, dtype=torch.uint8, device=META)
    labels = torch.empty(IMAGES, dtype=torch.int64, device=META)
    with watching() as copies:
        loss = module.training_step((images, labels, labels), index)
        optimizer.zero_grad()
        loss.backward()
        module.on_before_optimizer_step(optimizer)
        optimizer.step()
    assert loss.device == META
    return copies.count


REMOVING = [
    cls(**options, replacement=replacement)
    for cls, options in ((Frequency, {"classes": 3}), (Precision, {}), (Recall, {}), (PseudoLabels, {}))
    for replacement in ("none", "resample", "rescale")
]
ATTACKS = [
    attack(threat)
    for attack in (FGSM, RFGSM, FFGSM, PGD, RandomNoise)
    for threat in (Linf(8 / 255), L2(0.5), L1(12.0), Linf(0.03, space="normalized", clip=False))
]
CASES = {
    **{name: cls() for name, cls in METHODS.items()},
    **{f"simclr {selector}": SimCLR(pairs=selector) for selector in REMOVING},
    **{
        f"simclr by view {cls.__name__}": SimCLR(pairs=cls(3, unit="view", replacement="resample"))
        for cls in (Frequency, Precision)
    },
    **{f"{cls.__name__} recall": cls(pairs=Recall()) for cls in (Plain, UEL, RoCL, ACL, SupCon)},
    "clae recall": CLAE(SimCLR(pairs=Recall())),
    **{f"clae on {base.__name__}": CLAE(base()) for base in (Plain, UEL, SupCon)},
    **{f"clae {type(a).__name__} {a.threat}": CLAE(attack=a) for a in ATTACKS},
    **{f"ascl {pairs.__name__}": ASCL(pairs=pairs) for pairs in (same_label, hard, soft, leaked, leaked_official)},
    **{f"ascl {similarity}": ASCL(similarity=similarity) for similarity in ("l1", "l2", "linf")},
    **{f"acl {mode}": ACL(mode=mode) for mode in ("ds", "a2a", "a2s", "s2s")},
    **{f"{name} official": METHODS[name](preset="official") for name in ("clae", "supcon", "acl", "ascl")},
    "restarts": AdversarialTraining(attack=PGD(Linf(8 / 255), steps=2, restarts=2)),
    "trades eval": Trades(attack_mode="eval"),
    "rocl inside": RoCL(positives="inside", detach_keys=False),
}


@pytest.mark.parametrize("method", CASES.values(), ids=list(CASES))
def test_no_method_waits_in_its_step(method):
    if getattr(getattr(method, "attack", None), "steps", 0) > 2:
        method = replace(method, attack=replace(method.attack, steps=2))
    step(trained(method))


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "lars"])
@pytest.mark.parametrize("channels_last", [False, True])
def test_no_optimiser_and_no_layout_waits(optimizer, channels_last):
    module = trained(CLAE(), optimizer=optimizer, channels_last=channels_last)
    for index in range(2):  # the second step finds the optimiser's state
        step(module, index)


@pytest.mark.parametrize("views", pipeline_names())
def test_views_are_made_without_waiting(views):
    method = METHODS["natural"]() if pipeline(views, 8).views == 1 else SimCLR()
    assert step(trained(method, views=views)) <= 8


def test_a_resnet_in_bf16_does_not_wait():
    with torch.autocast("cpu", torch.bfloat16):
        step(trained(CLAE(), network="resnet20"))


def test_small_crops_and_a_queue_do_not_wait():
    step(trained(METHODS["swav"](crops=2), views="swav", crops=2))
    step(trained(METHODS["swav"](), views="swav", epoch=0))


class TestWhatIsForbidden:
    """The net holds: each of these is caught in a step."""

    WAITS: ClassVar = {
        "item": lambda z: z.sum().item(),
        "float": lambda z: float(z.sum()),
        "int": lambda z: int(z.sum()),
        "if": lambda z: bool(z.sum() > 0),
        "tolist": lambda z: z.tolist(),
        "cpu": lambda z: z.cpu(),
        "numpy": lambda z: z.detach().numpy(),
        "nonzero": lambda z: z.nonzero(),
        "mask": lambda z: z[z > 0],
        "masked_select": lambda z: z.masked_select(z > 0),
        "unique": lambda z: z.argmax(dim=1).unique(),
        "equal": lambda z: torch.equal(z, z),
        "tensor": lambda z: torch.tensor(0.5, device=z.device),
        "new_tensor": lambda z: z.new_tensor([0.5]),
        "blocking copy": lambda z: torch.ones(3).to(z.device),
        "one_hot": lambda z: torch.nn.functional.one_hot(z.argmax(dim=1)),
    }

    @staticmethod
    def step_with(action):
        def method(encoder, batch):
            z = encoder(batch.views[0])
            action(z)
            return {"loss": z.sum()}

        step(trained(method))

    @pytest.mark.parametrize("wait", WAITS.values(), ids=list(WAITS))
    def test_a_wait(self, wait):
        with pytest.raises((Waited, NotImplementedError, RuntimeError, TypeError)):
            self.step_with(wait)

    def test_but_not_what_does_not_wait(self):
        self.step_with(lambda z: z.masked_fill(z > 0, 0.0)[z.argmax(dim=1)].sum())

    def test_an_attack_that_looks_by_itself(self, monkeypatch):
        monkeypatch.setattr(
            "sparring.attacks.watched._keepers", type("Nobody", (list,), {"__bool__": lambda _: False})()
        )
        with pytest.raises((NotImplementedError, RuntimeError)):
            step(trained(CLAE()))


def test_parameters_go_through_page_locked_memory_to_a_gpu(monkeypatch):
    pinned, copied, x = [], [], torch.ones(2)
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda x: pinned.append(x) or x)
    monkeypatch.setattr(torch.Tensor, "to", lambda x, *to, **how: copied.append((to, how)) or x)
    moving.moved(x, torch.device("cpu"))
    assert pinned == []
    moving.moved(x, torch.device("cuda"))
    assert len(pinned) == 1
    assert copied[1] == ((torch.device("cuda"),), {"non_blocking": True})
