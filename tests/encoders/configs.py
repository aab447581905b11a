"""Small resolved configurations for tests of encoders."""

from sparring.config import EncoderConfig
from sparring.encoders import ContrastiveEncoder, build_encoder


def config(name="resnet20", channels=3, **changes) -> EncoderConfig:
    given = {"head": "mlp", "dim": 8, "mean": [0.4] * channels, "std": [0.25] * channels} | changes
    return EncoderConfig(name=name, **given)


def encoder(
    name="resnet20", channels=3, image_size=8, dual=False, classes: int | None = None, **changes
) -> ContrastiveEncoder:
    settings = config(name, channels, **changes)
    return build_encoder(settings, channels=channels, image_size=image_size, dual=dual, classes=classes)
