"""Two processes with gathered negatives are one process with the same global batch, in the attack too."""

import socket

import pytest
import torch
import torch.multiprocessing

from sparring.training import Gathered
from tests.methods.networks import SmallEncoder
from tests.training import data_parallel


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    path = tmp_path_factory.mktemp("gather") / "values.pt"
    torch.multiprocessing.spawn(data_parallel.process, (port, str(path)), nprocs=data_parallel.PROCESSES)
    return torch.load(path, weights_only=True)


@pytest.mark.parametrize("name", list(data_parallel.METHODS))
def test_loss_every_gradient_and_running_statistics_equal_one_process(two_processes, name, capsys):
    alone, together = data_parallel.step(data_parallel.METHODS[name], 0, 1), two_processes[name]
    assert alone.keys() == together.keys()
    differences = {}
    for key, value in alone.items():
        assert torch.isfinite(value).all()
        differences[key] = ((value - together[key]).abs().max() / value.abs().max().clamp_min(1e-12)).item()
    # A convolution's bias before a batch norm has a gradient of zero up to rounding: nothing to be relative to.
    differences = {k: v for k, v in differences.items() if not (k.endswith("bias") and alone[k].abs().max() < 1e-12)}
    assert sum(key.startswith("gradient") for key in differences) >= 6
    with capsys.disabled():
        print(
            f"\n{name}: max relative difference of 2 processes to 1 (float64): {max(differences.values()):.1e}", end=""
        )
    assert max(differences.values()) < 1e-9, differences


def test_without_the_factor_of_processes_the_gradient_would_be_half(two_processes):
    """The check above can fail: a loss that is only averaged, as DDP does, is off by the number of processes."""
    alone = data_parallel.step(data_parallel.METHODS["simclr"], 0, 1)["gradient head.weight"]
    together = two_processes["simclr"]["gradient head.weight"]
    assert not torch.allclose(alone, together / data_parallel.PROCESSES, rtol=1e-3)


def test_the_supervised_step_has_gradients_for_backbone_head_and_classifier(two_processes):
    values = two_processes["cross-entropy and supervised contrast"]
    for name in ("trunk.0.weight", "head.weight", "classifier.weight", "classifier.bias"):
        assert values[f"gradient {name}"].abs().max() > 1e-4, name


def test_with_the_classes_of_one_half_alone_the_gradient_would_differ(two_processes):
    """The check can fail: cross-entropy and positives of a process's own images alone are another loss."""
    half = data_parallel.step(data_parallel.supervised, 0, 1, images=data_parallel.IMAGES // 2)
    together = two_processes["cross-entropy and supervised contrast"]
    for name in ("gradient classifier.weight", "gradient head.weight"):
        assert not torch.allclose(half[name], together[name], rtol=1e-2)


def test_one_process_gathers_nothing_and_an_encoder_without_class_scores_says_so():
    network, x = data_parallel.Network(classes=4), torch.rand(3, 3, 8, 8)
    for ours, theirs in zip(Gathered(network).outputs(x, "adv"), network.outputs(x, "adv"), strict=True):
        assert torch.equal(ours, theirs)
    with pytest.raises(TypeError, match="SmallEncoder has no `outputs`, so it gives no class scores"):
        Gathered(SmallEncoder()).outputs(x)
