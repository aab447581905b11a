"""Small resolved configurations for tests of encoders."""

from sparring.config import EncoderConfig
from sparring.encoders import ContrastiveEncoder, build_encoder


def config(name="resnet20", channels=3, **changes) -> EncoderConfig:
    given = {"head": "mlp", "dim": 8, "mean": [0.4] * channels, "std": [0.25] * channels} | changes
    return EncoderConfig(name=name, **given)


def encoder(name="resnet20", channels=3, image_size=8, dual=False, **changes) -> ContrastiveEncoder:
    return build_encoder(config(name, channels, **changes), channels=channels, image_size=image_size, dual=dual)
