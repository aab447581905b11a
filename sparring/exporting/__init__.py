"""A trained encoder as a folder for others, and back: safetensors, torchvision's and timm's keys, ONNX, a model card."""

from sparring.exporting.export import export
from sparring.exporting.pretrained import PretrainedEncoder, from_pretrained

__all__ = ["PretrainedEncoder", "export", "from_pretrained"]
