"""Backbone, normalisation in front, head behind; bridges to others' backbones; weights on disk."""

from sparring.encoders.build import build_encoder, check_name, encoder_names, rebuild
from sparring.encoders.cnn import CNN
from sparring.encoders.encoder import ContrastiveEncoder, Normalize
from sparring.encoders.head import build_head
from sparring.encoders.prototypes import Prototypes
from sparring.encoders.resnet import ResNet20, cifar_resnet
from sparring.encoders.weights import load_encoder, load_weights, read_weights, save_weights
from sparring.encoders.wide_resnet import WideResNet

__all__ = [
    "CNN",
    "ContrastiveEncoder",
    "Normalize",
    "Prototypes",
    "ResNet20",
    "WideResNet",
    "build_encoder",
    "build_head",
    "check_name",
    "cifar_resnet",
    "encoder_names",
    "load_encoder",
    "load_weights",
    "read_weights",
    "rebuild",
    "save_weights",
]
