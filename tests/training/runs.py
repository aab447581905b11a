"""Tiny configurations for tests of whole runs: 64 synthetic images of 8 pixels, a backbone of one convolution."""

from torch import nn

from sparring.config import (
    AttackConfig,
    DataConfig,
    EncoderConfig,
    EvaluationConfig,
    MethodConfig,
    OptimizerConfig,
    RunConfig,
    TrainingConfig,
)

SUPERVISED = ("natural", "adversarial_training", "trades", "adr", "ascl", "org_scl")


def backbone() -> nn.Sequential:
    """Features [B, 32] of RGB images, with a batch norm and dropout (which draws from the global random state)."""
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Dropout(0.1)
    )


def backbone_without_dropout() -> nn.Module:
    """The same features, a function of the images alone."""
    return backbone()[:-1]


def backbone_without_norm() -> nn.Module:
    """Features in which no image depends on another, so that several processes can equal one."""
    return nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten())


def tiny(out, method="clae", **training) -> RunConfig:
    """A run of about a second."""
    settings = {
        "epochs": 4,
        "batch_size": 16,
        "probe_every": 2,
        "checkpoint_every": 1,
        "progress": False,
        "device": "cpu",
    }
    return RunConfig(
        method=MethodConfig(name=method),
        attack=AttackConfig(name="ffgsm") if method == "clae" else AttackConfig(),
        data=DataConfig(name="synthetic", image_size=8, train_images=64, test_images=32, views="simclr"),
        encoder=EncoderConfig(
            name="python:tests.training.runs.backbone", head="none" if method in SUPERVISED else "mlp", dim=8
        ),
        optimizer=OptimizerConfig(name="adam", lr=0.01),
        training=TrainingConfig(**(settings | training)),
        evaluation=EvaluationConfig(knn_k=5, logistic_epochs=2, attack_eps=[0.0, 0.03]),
        out=str(out),
    )
