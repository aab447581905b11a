"""Weights by the name that torchvision or timm give them: where their caches keep the file, fetched if that is wanted."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import torch

from sparring.encoders.bridge import check_model

HUBS = ("torchvision:", "timm:")


def weights_of(place: str, *, download: bool = False) -> tuple[str, Path]:
    """The model's name and the file of `torchvision:NAME.WEIGHTS` or `timm:NAME.TAG`, from the library's own cache.

    torchvision:resnet50.IMAGENET1K_V1 and timm:resnet50.tv_in1k are such names. Which of a model's weights are meant must
    be said: they differ by points. Raises ValueError for a model or weights that the library does not have, naming what it
    has, and for a file that is not in the cache, unless it may be fetched (`download`).
    """
    package, _, rest = place.partition(":")
    model, _, tag = rest.partition(".")
    check_model(package, model)
    file, fetch, known = (_torchvision if package == "torchvision" else _timm)(model, tag)
    if fetch is None:
        said = f"has no weights {tag!r} of {model}" if tag else f"has several weights of {model}"
        names = " or ".join(f"{package}:{model}.{name}" for name in known) or "none"
        raise ValueError(f"{place}: {package} {said}; there are {names}")
    if file is None or not file.is_file():
        if not download:
            raise ValueError(
                f"{place}: its weights are not on this machine; fetch them with --download, or give a file"
            )
        try:
            file = Path(fetch())
        except OSError as error:
            raise ValueError(f"{place}: its weights cannot be fetched: {error}") from error
    return f"{package}:{model}", file


def _torchvision(model: str, tag: str) -> tuple[Path | None, Any, list[str]]:
    models: Any = importlib.import_module("torchvision.models")
    known = {each.name: each for each in models.get_model_weights(model)}
    if tag not in known:
        return None, None, list(known)
    address = known[tag].url
    file = Path(torch.hub.get_dir()) / "checkpoints" / address.rpartition("/")[2]

    def fetch() -> Path:
        file.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(address, str(file), hash_prefix=file.stem.rpartition("-")[2])
        return file

    return file, fetch, list(known)


def _timm(model: str, tag: str) -> tuple[Path | None, Any, list[str]]:
    timm: Any = importlib.import_module("timm")
    hub: Any = importlib.import_module("huggingface_hub")
    known = [name.partition(".")[2] for name in timm.list_pretrained(f"{model}.*")]
    if tag not in known:
        return None, None, known
    place = timm.get_pretrained_cfg(f"{model}.{tag}").hf_hub_id
    name = "model.safetensors"
    found = hub.try_to_load_from_cache(place, name)
    return (Path(found) if isinstance(found, str) else None), lambda: hub.hf_hub_download(place, name), known
