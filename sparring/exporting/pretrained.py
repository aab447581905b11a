"""An exported encoder as a plain module: images in [0, 1] in, features out."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from sparring.encoders import ContrastiveEncoder
from sparring.encoders.encoder import check_float
from sparring.encoders.exported import CONFIG, WEIGHTS, load_exported, read_config

HUB_ID = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")


class PretrainedEncoder(nn.Module):
    """`encoder(x) -> h = backbone((x - mean) / std)`: x float pixels in [0, 1], [B, C, H, W]; h [B, features].

    `features` is the width of h, `image_size` the side in pixels for which it was trained, `std` the normalisation's, and
    `config` what config.json says. Raises ValueError for images of another number of channels or of integers.
    """

    def __init__(self, encoder: ContrastiveEncoder, config: dict[str, Any]):
        super().__init__()
        self.normalize, self.backbone = encoder.normalize, encoder.backbone
        self.features, self.std = encoder.features, encoder.std
        self.image_size = int(config["architecture"]["image_size"])
        self.config = config

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D"]:
        """Features h."""
        if x.shape[1] != len(self.std):
            raise ValueError(f"x has shape {list(x.shape)}; this encoder takes [B, {len(self.std)}, H, W]")
        check_float(x)
        return self.backbone(self.normalize(x))


def from_pretrained(place: str | Path, *, revision: str | None = None) -> PretrainedEncoder:
    """The encoder in an exported folder, or of that id on the Hugging Face hub, in evaluation mode.

    Of a hub repository only config.json and model.safetensors are fetched, at `revision` (branch, tag or commit); nothing is
    unpickled and no code of the folder runs. Raises ValueError for a place that is neither, an id without huggingface_hub
    installed, a repository that cannot be fetched, and as `load_exported` does.
    """
    folder = Path(place)
    if not folder.is_dir():
        folder = _fetched(str(place), revision)
    return PretrainedEncoder(load_exported(folder), read_config(folder)).eval()


def _fetched(place: str, revision: str | None) -> Path:
    """The folder into which the hub's client brought the two files."""
    if not HUB_ID.fullmatch(place) or Path(place).parent.is_dir():
        raise ValueError(f"{place}: there is no such folder, and a hub id looks like owner/name")
    try:
        import huggingface_hub
    except ImportError:
        raise ValueError(
            f"{place}: there is no such folder, and as a hub id it needs huggingface_hub: pip install 'sparring[hub]'"
        ) from None
    try:
        found = huggingface_hub.snapshot_download(place, revision=revision, allow_patterns=[CONFIG, WEIGHTS])
    except Exception as error:  # network, rights, names: the client has a dozen classes
        first = (str(error).strip().splitlines() or [""])[0]
        raise ValueError(f"{place} cannot be fetched from the hub: {type(error).__name__}: {first}") from error
    return Path(found)
