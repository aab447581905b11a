"""AutoAttack: pyautoattack's images bit for bit, the right verdict for any number of classes, and no traces."""

import itertools
import logging
import random
import sys

import numpy as np
import pyautoattack
import pytest
import torch
from pyautoattack import checks
from pyautoattack.autopgd_base import APGDAttack, APGDAttack_targeted
from pyautoattack.fab_pt import FABAttack_PT

from sparring.attacks import L1, L2, AutoAttack, Linf
from sparring.attacks.autoattack import cascade
from sparring.attacks.autoattack.model import undisturbed
from sparring.attacks.autoattack.progress import CLEAN, ROBUST, Pace
from tests.attacks.victims import cnn, labelled, linear, pictures

ORDER = {Linf: torch.inf, L2: 2, L1: 1}
EVERY = ("apgd-ce", "apgd-dlr", "apgd-t", "fab", "fab-t", "square")


def plain(model, threat, x, y, *, iterations, queries, batch_size, classes=10, members=None, device="cpu"):
    """pyautoattack's own cascade, its members rebuilt with fewer iterations and no more targets than classes."""
    other = pyautoattack.AutoAttack(model, norm=threat.norm, eps=threat.eps, seed=0, device=device)
    l1 = threat.norm == "L1"
    common = {"n_iter": iterations, "norm": threat.norm, "eps": threat.eps, "seed": 0, "device": device}
    large = {"use_largereps": l1, "logger": other.logger}
    other.apgd = APGDAttack(model, n_restarts=5 if l1 else 1, **large, **common)
    other.apgd_targeted = APGDAttack_targeted(
        model, n_target_classes=min(5 if l1 else 9, classes - 1), **large, **common
    )
    other.fab = FABAttack_PT(model, n_target_classes=min(9, classes - 1), **common)
    other.square.n_queries = queries
    if members:
        other.attacks_to_run = list(members)
    return other.run_standard_evaluation(x, y, batch_size=batch_size)[0]


@pytest.mark.parametrize(
    ("threat", "classes"), [(Linf(8 / 255), 10), (Linf(16 / 255), 4), (L2(0.6), 4), (L1(4.0), 4)], ids=str
)
def test_equals_pyautoattack_bit_for_bit(threat, classes):
    model = cnn(classes)
    x = pictures(10)
    y = labelled(model, x)
    budget = {"iterations": 4, "queries": 30, "batch_size": 4}
    result = AutoAttack(threat, **budget).run(model, x, y)
    assert torch.equal(result.x_adv, plain(model, threat, x, y, classes=classes, **budget))
    assert 2 <= result.robust.sum() <= 8, "the comparison needs images of both verdicts"
    assert result.broken_by[0] == "clean"


def test_every_member_equals_pyautoattack_when_alone_and_in_another_order():
    model, x = cnn(5), pictures(6)
    y, threat = labelled(model, x), Linf(12 / 255)
    budget = {"iterations": 3, "queries": 30, "batch_size": 4}
    for members in [(name,) for name in EVERY] + [("square", "fab", "apgd-dlr")]:
        result = AutoAttack(threat, members=members, **budget).run(model, x, y)
        assert torch.equal(result.x_adv, plain(model, threat, x, y, classes=5, members=members, **budget)), members
        assert set(result.broken_by) - {"", "clean"}, f"{members} broke nothing"


@pytest.mark.slow
@pytest.mark.parametrize("threat", [Linf(3 / 255), L2(0.6), L1(6.0)], ids=str)
def test_equals_pyautoattack_on_200_images_of_32_pixels(threat):
    model = cnn(10, size=32)
    x = pictures(200, size=32)
    y = labelled(model, x)
    budget = {"iterations": 6, "queries": 60, "batch_size": 64}
    result = AutoAttack(threat, **budget).run(model, x, y)
    assert torch.equal(result.x_adv, plain(model, threat, x, y, **budget))
    assert 20 < result.robust.sum() < 180


@pytest.mark.gpu
def test_equals_pyautoattack_on_a_gpu_and_takes_images_from_the_cpu():
    model, x = cnn(10).cuda(), pictures(10)
    y = labelled(model.cpu(), x)
    model.cuda()
    budget = {"iterations": 4, "queries": 30, "batch_size": 4}
    torch.cuda.manual_seed(5)
    before = torch.cuda.get_rng_state()
    result = AutoAttack(Linf(8 / 255), **budget).run(model, x.cuda(), y.cuda())
    assert torch.equal(torch.cuda.get_rng_state(), before)
    assert torch.equal(result.x_adv, plain(model, Linf(8 / 255), x.cuda(), y.cuda(), device="cuda", **budget))
    streamed = AutoAttack(Linf(8 / 255), **budget).run(model, x, y)
    assert streamed.x_adv.device.type == "cpu"
    assert torch.equal(streamed.x_adv, result.x_adv.cpu())


@pytest.mark.parametrize("classes", [2, 3, 4, 5, 10, 100])
@pytest.mark.parametrize("members", [("apgd-t",), ("fab-t",), ("apgd-dlr",), EVERY], ids="+".join)
def test_verdicts_on_a_linear_model_are_the_exact_ones(classes, members):
    """Away from the box, z = Wx is robust in Linf if and only if z_y - z_k > eps ||w_y - w_k||_1 for every k."""
    model, eps = linear(classes), 2 / 255
    x = 0.2 + 0.6 * pictures(24)
    y = labelled(model, x)
    w, rows = model[1].weight.detach().double(), torch.arange(24)
    z = x.double().flatten(1) @ w.T
    lead = z[rows, y][:, None] - z - eps * (w[y][:, None] - w[None]).abs().sum(dim=2)
    lead[rows, y] = torch.inf
    exact, clear = lead.amin(dim=1) > 0, lead.amin(dim=1).abs() > 0.1
    result = AutoAttack(Linf(eps), members=members, iterations=5, queries=10).run(model, x, y)
    assert exact[clear].any()
    assert not exact[clear].all()
    assert torch.equal(result.robust[clear], exact[clear])
    check_verdict(result, model, x, y, Linf(eps))


def check_verdict(result, model, x, y, threat):
    """Every image is where it should be and does what is said of it."""
    with torch.no_grad():
        before, after = model(x).argmax(dim=1), model(result.x_adv).argmax(dim=1)
    distance = (result.x_adv - x).double().flatten(1).norm(ORDER[type(threat)], dim=1)
    for i, name in enumerate(result.broken_by):
        assert (name == "clean") == bool(before[i] != y[i])
        assert result.robust[i] == (name == "")
        assert (after[i] == y[i]) == (name == "")
        assert torch.equal(result.x_adv[i], x[i]) == (name in ("", "clean"))
    assert distance.max() <= threat.eps * (1 + 1e-5) + 1e-5
    assert result.x_adv.min() >= -1e-6
    assert result.x_adv.max() <= 1 + 1e-6


@pytest.mark.parametrize("threat", [L2(0.3), L1(4.0)], ids=str)
@pytest.mark.parametrize("classes", [2, 3])
def test_few_classes_in_the_other_norms(threat, classes):
    model, x = cnn(classes), pictures(8)
    y = labelled(model, x)
    check_verdict(AutoAttack(threat, iterations=4, queries=20).run(model, x, y), model, x, y, threat)


SMALL = AutoAttack(Linf(8 / 255), iterations=2, queries=10, batch_size=4)


@pytest.mark.parametrize(
    "layout",
    [
        lambda x: x.contiguous(memory_format=torch.channels_last),
        lambda x: x.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2),
        lambda x: x.repeat_interleave(2, dim=2)[:, :, ::2],
    ],
    ids=["channels_last", "permuted", "strided"],
)
@pytest.mark.parametrize("threat", [Linf(8 / 255), L1(4.0)], ids=str)
def test_layout_makes_no_difference(threat, layout):
    model, images = cnn(), pictures(4)
    x, y = layout(images), labelled(model, images)
    attack = AutoAttack(threat, members=("apgd-t", "fab-t", "square"), iterations=3, queries=10)
    result, expected = attack.run(model, x, y), attack.run(model, images, y)
    assert torch.equal(result.x_adv, expected.x_adv)
    assert result.broken_by == expected.broken_by
    assert result.x_adv.stride() == x.clone().stride()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_images_of_other_precisions_keep_their_dtype_and_stay_in_the_ball(dtype):
    model, eps = cnn().to(dtype), 8 / 255
    x = pictures(6).to(dtype)
    y = labelled(model, x)
    result = AutoAttack(Linf(eps), iterations=5, queries=20).run(model, x, y)
    assert result.x_adv.dtype == dtype
    assert result.counts.keys() - {"", "clean"}
    assert ((result.x_adv.double() - x.double()).abs() <= eps * (1 + 1e-5)).all()
    check_verdict(result, model, x, y, Linf(eps))


def test_half_precision_logits_and_double_images_of_a_single_precision_model_run():
    model, x = cnn(), pictures(6)
    y = labelled(model, x)
    expected = SMALL.run(model, x, y)
    assert torch.equal(SMALL.run(model, x.double(), y).x_adv, expected.x_adv.double())
    coarse = SMALL.run(lambda images: model(images).bfloat16(), x, y)
    assert coarse.x_adv.dtype == torch.float32


def test_many_ties_of_half_precision_logits():
    """Square calls a model whose margins are all zero with no images; one that cannot take none must survive that."""

    def model(images):
        assert len(images)
        score = images.mean(dim=(1, 2, 3))
        return torch.stack([score, score], dim=1)

    x = pictures(3)
    result = AutoAttack(Linf(4 / 255), members=("square",), queries=3).run(model, x, torch.zeros(3, dtype=torch.int64))
    assert result.robust.all()


def test_a_module_is_attacked_in_evaluation_mode_and_its_modes_are_put_back():
    model, x = cnn(), pictures(5)
    y = labelled(model, x)
    expected = SMALL(model, x, y)
    model[1].train()
    model.training = True
    before = [m.training for m in model.modules()]
    statistics = model[1].running_mean.clone()
    assert torch.equal(SMALL(model, x, y), expected)
    assert [m.training for m in model.modules()] == before
    assert torch.equal(model[1].running_mean, statistics)
    model.register_forward_pre_hook(lambda module, _: (_ for _ in ()).throw(KeyError("broken")))
    with pytest.raises(KeyError):
        SMALL(model, x, y)
    assert [m.training for m in model.modules()] == before


def test_a_function_that_calls_a_module_in_training_mode_is_refused():
    model, x = cnn().train(), pictures(5)
    with pytest.raises(ValueError, match=r"calls a Sequential in training mode; call \.eval\(\)"):
        SMALL(lambda images: model(images), x, torch.zeros(5, dtype=torch.int64))


def test_leaves_the_process_and_the_model_as_they_were():
    model, x = cnn(), pictures(5)
    y = labelled(model, x)
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    model[0].weight.requires_grad_(False)
    images = x.clone().requires_grad_()
    expected = SMALL(model, x, y)
    torch.manual_seed(77)
    torch.cuda.manual_seed(77)
    np.random.seed(77)  # noqa: NPY002

    def noisy(batch):
        np.random.rand()  # noqa: NPY002
        return model(batch)

    def trace(*_):
        return None

    queue = dict(vars(torch.cuda._lazy_seed_tracker))
    state = torch.get_rng_state(), np.random.get_state()[1].tolist()  # noqa: NPY002
    handlers = logging.getLogger("auto-attack").handlers[:], logging.getLogger().handlers[:]
    flags = torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark, torch.is_grad_enabled()
    previous = sys.gettrace()
    sys.settrace(trace)
    try:
        x_adv = SMALL(noisy, images, y)
        assert sys.gettrace() is trace
    finally:
        sys.settrace(previous)
    assert torch.equal(x_adv, expected)
    assert not x_adv.requires_grad
    assert images.grad is None
    assert torch.equal(torch.get_rng_state(), state[0])
    assert np.random.get_state()[1].tolist() == state[1]  # noqa: NPY002
    assert dict(vars(torch.cuda._lazy_seed_tracker)) == queue
    assert (logging.getLogger("auto-attack").handlers, logging.getLogger().handlers) == handlers
    assert (torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark, torch.is_grad_enabled()) == flags
    assert set(checks.funcs.values()) == {0}
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter.grad, torch.ones_like(parameter)), name
        assert parameter.requires_grad == (name != "0.weight")
        parameter.requires_grad_(False)
    with torch.no_grad():
        assert torch.equal(SMALL(model, x, y), expected)
    with torch.inference_mode(), pytest.raises(RuntimeError, match=r"torch\.inference_mode forbids"):
        SMALL(model, x, y)


def test_python_randomness_is_put_back():
    """By itself: beartype, which checks the shapes in the tests, draws from it too."""
    before = random.getstate()
    with undisturbed(cnn(), torch.device("cpu")):
        random.random()
    assert random.getstate() == before


def test_a_model_that_normalises_in_place_is_given_copies():
    model, x = cnn(), pictures(5)
    y = labelled(model, x)
    in_place = SMALL(lambda images: model(images.mul_(0.5)), x, y)
    assert torch.equal(in_place, SMALL(lambda images: model(images * 0.5), x, y))


def test_a_model_that_returns_what_it_stores_keeps_it():
    """Square writes into the logits that it is given."""
    x, stored = pictures(3), torch.tensor([[0.3, 0.2]]).repeat(3, 1)
    attack = AutoAttack(Linf(0.1), members=("square",), queries=3)
    attack.run(lambda images: stored[: len(images)], x, torch.zeros(3, dtype=torch.int64))
    assert stored.isfinite().all()


def test_a_randomised_model_gets_the_same_verdict_every_time():
    model, x = cnn(), pictures(5)
    y = labelled(model, x)

    def jittered(images):
        return model(images + 0.05 * torch.randn_like(images))

    first = SMALL.run(jittered, x, y)
    torch.rand(5)
    assert torch.equal(SMALL.run(jittered, x, y).x_adv, first.x_adv)


def test_every_chunk_has_a_cascade_of_its_own():
    model, x = cnn(), pictures(11)
    y = labelled(model, x)
    streamed = AutoAttack(Linf(8 / 255), iterations=2, queries=10, batch_size=4, chunk=5).run(model, x, y)
    parts = [SMALL.run(model, a, b) for a, b in zip(x.split(5), y.split(5), strict=True)]
    assert torch.equal(streamed.x_adv, torch.cat([part.x_adv for part in parts]))
    assert streamed.broken_by == list(itertools.chain(*(part.broken_by for part in parts)))
    assert streamed.counts == {name: streamed.broken_by.count(name) for name in set(streamed.broken_by)}


def test_images_wrong_before_are_never_attacked():
    model, x = cnn(), pictures(4)
    with torch.no_grad():
        y = model(x).argmin(dim=1)
    seen = []
    result = SMALL.run(lambda images: seen.append(len(images)) or model(images), x, y, progress=seen.append)
    assert torch.equal(result.x_adv, x)
    assert result.broken_by == ["clean"] * 4
    assert [s for s in seen if not isinstance(s, int)][-1].done == 4
    # The questions to the model and the predictions; no attack.
    assert sum(isinstance(s, int) for s in seen) == 3


def test_progress_counts_up_to_all_images():
    model, x = cnn(), pictures(11)
    y = labelled(model, x)
    said = []
    attack = AutoAttack(Linf(8 / 255), iterations=2, queries=10, batch_size=4, chunk=6)
    result = attack.run(model, x, y, progress=said.append)
    assert [p.done for p in said] == sorted(p.done for p in said)
    assert (said[0].member, said[0].eta, said[0].begun) == ("clean", None, 6)
    assert (said[-1].done, said[-1].total, said[-1].eta) == (11, 11, 0)
    assert said[-1].robust == result.robust.sum()
    assert {p.member for p in said} == {"clean", *attack.members}
    assert all(p.eta > 0 for p in said[1:-3])
    assert [p.elapsed for p in said] == sorted(p.elapsed for p in said)


def test_the_estimate_is_what_the_measured_batches_say():
    """Two members that cost 3 and 1; 10 images a chunk, 8 of them right; the first breaks 2 of 8."""
    pace = Pace([3.0, 1.0])
    assert pace.eta(0, 8, 8, 10) is None
    pace.begin(torch.tensor([CLEAN, CLEAN] + [ROBUST] * 8))
    pace.attacked(0, 8, 2, 12.0)
    # 1.5 s an image, so 0.5 s an image for the second: 6 images now, and 8 of 10 still to come face both.
    assert pace.eta(0, 0, 6, 10) == pytest.approx(6 * 0.5 + 8 * 1.5 + 8 * 0.75 * 0.5)
    pace.attacked(1, 6, 3, 6.0)
    assert pace.eta(1, 0, 3, 10) == pytest.approx(8 * 1.5 + 8 * 0.75 * 1.0)
    assert pace.eta(0, 4, 6, 0) == pytest.approx(4 * 1.5 + (6 - 4 * 0.25) * 1.0)
    assert pace.eta(1, 0, 0, 0) == 0


def far(images, labels):
    return (images + 0.1).clamp(0, 1)


def test_a_member_that_leaves_the_ball_is_named(monkeypatch):
    model, x = linear(2), pictures(3)
    with torch.no_grad():
        y = model(x).argmax(dim=1)

    def fooled(images):
        moved = (images - x[: len(images)]).abs().amax((1, 2, 3)) > 0
        return torch.where(moved[:, None], -model(images), model(images))

    monkeypatch.setattr(cascade, "members", lambda *_: {"fab-t": far})
    with pytest.raises(RuntimeError, match=r"fab-t moved image 0 by 0\.1 in Linf .* where eps is 0\.0156863"):
        AutoAttack(Linf(4 / 255), members=("fab-t",)).run(fooled, x, y)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"threat": Linf(0.1, clip=False)}, "clip=False; it works within the box"),
        ({"threat": Linf(0.1, space="normalized")}, "space='normalized'"),
        ({"members": ("apgd-ce", "fabt")}, "members has 'fabt', .* did you mean 'fab-t'"),
        ({"members": ()}, r"members is \(\)"),
        ({"members": ("fab", "fab")}, "'fab' more than once"),
        ({"iterations": 0}, "iterations is 0; it must be a whole number of at least 1"),
        ({"threat": L1(1.0), "iterations": 2}, "iterations is 2; .* at least 3"),
        ({"queries": 0}, "queries is 0"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"chunk": 0}, "chunk is 0"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_settings_that_are_no_attack_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        AutoAttack(**({"threat": Linf(4 / 255)} | settings))


X, Y = pictures(4), torch.zeros(4, dtype=torch.int64)


@pytest.mark.parametrize(
    ("x", "y", "model", "message"),
    [
        (X[:0], Y[:0], cnn(), "x holds no images"),
        (X * 2, Y, cnn(), r"x lies in \[.*\]; it must lie in \[0, 1\]"),
        (torch.where(X > 0.9, torch.nan, X), Y, cnn(), r"x lies in \[nan"),
        (X, torch.tensor([0, 1, 12, -1]), cnn(), "y is 12 at image 2; the model has 4 classes, 0 to 3"),
        (X, torch.tensor([0, 1, 2, -1]), cnn(), "y is -1 at image 3"),
        (X, Y, lambda x: (cnn()(x), x), "the model returned a tuple; it must return a tensor of logits"),
        (X, Y, lambda x: cnn()(x).softmax(dim=1), "the model returns probabilities"),
        (X, Y, lambda x: cnn()(x).softmax(dim=1).bfloat16(), "the model returns probabilities"),
        (X, Y, lambda x: cnn()(x)[:, :1], r"shape \(4, 1\) for 4 images; .* K >= 2 classes"),
        (X, Y, lambda x: cnn()(x).argmax(dim=1), "the model returned torch.int64"),
        (X, Y, lambda x: cnn()(x).index_fill(0, torch.tensor(2), torch.nan), "NaN at image 2 before any attack"),
        (X, Y, lambda x: cnn()(x.detach()).detach(), "cannot be differentiated"),
    ],
)
def test_images_labels_and_models_that_cannot_be_attacked_are_refused(x, y, model, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        SMALL.run(model, x, y, state=tmp_path / "state")
    assert not (tmp_path / "state").exists()


def test_square_alone_needs_neither_gradients_nor_logits():
    model, x = cnn(), pictures(6)
    y = labelled(model, x)
    attack = AutoAttack(Linf(48 / 255), members=("square",), queries=50)
    result = attack.run(lambda images: model(images.detach()).softmax(dim=1).detach(), x, y)
    assert "square" in result.broken_by


def test_nan_logits_of_an_adversarial_image_are_named():
    """NaN away from x only: as argmax it would pass for another class, and the image for broken."""
    model, x = cnn(), pictures(3)
    y = labelled(model, x)

    def fragile(images):
        known = (images[:, None] == x[None]).flatten(2).all(dim=2).any(dim=1)
        return torch.where(known[:, None], model(images), torch.nan)

    with pytest.raises(ValueError, match=r"NaN at image 1 as square changed it"):
        AutoAttack(Linf(4 / 255), members=("square",), queries=2).run(fragile, x, y)


def test_square_refuses_sizes_that_its_tiles_do_not_fit():
    x = pictures(2, size=12)
    with pytest.raises(ValueError, match="12 pixels high and 12 wide, into which Square's tiles in L2 do not fit"):
        AutoAttack(L2(0.5), members=("square",), queries=2).run(linear(3, size=12), x, Y[:2])
    assert (
        AutoAttack(Linf(0.5), members=("square",), queries=2).run(linear(3, size=12), x, Y[:2]).x_adv.shape == x.shape
    )
