"""The names under which published repositories save their encoders, as rules from their keys to ours.

Ours are `backbone.` with torchvision's names of a ResNet's layers, `head.N` (places of a sequential), `classifier`, and
for two batch norms `.clean.` and `.adv.`. Rules are tried in order; a key that none takes is an error, so nothing of a
different network is dropped in silence. `module.` of DataParallel is removed wherever it stands.

Files: sthalles/SimCLR (`backbone.`, and earlier `features.N`, `l1`, `l2`); tonylins/simclr-converter, google-research/simclr
as PyTorch (torchvision's own names and a classifier); HobbitLong/SupContrast (`encoder.`, `head.`, `shortcut`);
facebookresearch/swav (`projection_head`, `prototypes`); facebookresearch/moco (`encoder_q.`); Kim-Minseon/RoCL (`shortcut`; the
projector in a file of its own); VITA-Group/Adversarial-Contrastive-Learning (`bn_list`, and earlier `bn1_adv`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

IMAGENET = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
PIXELS = ([0.0], [1.0])
"""Pixels in [0, 1] as they are: no normalisation. One value stands for every channel."""
SUPCON = {
    "cifar10": ([0.4914, 0.4822, 0.4465], [0.2023, 0.1994, 0.2010]),
    "cifar100": ([0.5071, 0.4867, 0.4408], [0.2675, 0.2565, 0.2761]),
}
"""SupContrast's constants by its data set, which is named in a file that holds its `opt`."""
LAYERS = r"(conv1|bn1|layer[1-4])\."
FC = r"fc\.(weight|bias)$"


@dataclass(frozen=True)
class Layout:
    """How one repository names its weights."""

    words: str
    recognised: str | None
    """A pattern that some key of such a file has and no other layout's; None if there is none."""
    rules: tuple[tuple[str, str], ...]
    """Pattern at the start of a key -> what replaces it; a replacement that begins with `!` is the reason to leave the key."""
    normalisation: tuple[list[float], list[float]] | None
    """Mean and std in front of the encoder; None if the file or the user has to say."""
    heads: tuple[str, ...] = ()
    """Places of the head's layers, with commas; the head is complete if one of these sets is there."""
    small: bool = False
    """Whether all its networks begin with the 3x3 convolution of small images."""

    def rename(self, key: str) -> str | None:
        """Our name, `!` and a reason, or None for a key that has no place in this layout."""
        for pattern, replacement in self.rules:
            if re.match(pattern, key):
                if replacement.startswith("!"):
                    return replacement
                return _block(re.sub(f"^{pattern}", replacement, key))
        return None


MLP, TWO = ("0,2", "linear"), ("0,2",)
LAYOUTS = {
    "simclr": Layout(
        "sthalles/SimCLR's files, or Google's SimCLR converted to PyTorch; pixels in [0, 1], no normalisation",
        r"backbone\.conv1\.|features\.0\.weight",
        (
            (r"backbone\.fc\.(0|2)\.", r"head.\1."),
            (rf"backbone\.{FC}", r"head.\1"),
            (rf"backbone\.{LAYERS}", r"backbone.\1."),
            (r"features\.0\.", "backbone.conv1."),
            (r"features\.1\.", "backbone.bn1."),
            *((rf"features\.{k + 3}\.", f"backbone.layer{k}.") for k in (1, 2, 3, 4)),
            (r"l1\.", "head.0."),
            (r"l2\.", "head.2."),
            (LAYERS, r"backbone.\1."),
            (FC, r"classifier.\1"),
        ),
        PIXELS,
        MLP,
    ),
    "supcon": Layout(
        "HobbitLong/SupContrast: SupCon, SimCLR and cross-entropy; the normalisation of the data it was trained on",
        r"encoder\.conv1\.",
        (
            (rf"encoder\.{LAYERS}", r"backbone.\1."),
            (r"head\.", "head."),
            (FC, r"classifier.\1"),
        ),
        None,
        MLP,
    ),
    "swav": Layout(
        "facebookresearch/swav; its own normalisation (std 0.228 in red)",
        r"projection_head\.|prototypes\.",
        (
            (LAYERS, r"backbone.\1."),
            (r"projection_head\.", "head."),
            (r"prototypes\.", "!prototypes, which no evaluation of the encoder uses"),
        ),
        ([0.485, 0.456, 0.406], [0.228, 0.224, 0.225]),
        ("0,1,3", "linear"),
    ),
    "moco": Layout(
        "facebookresearch/moco: the query encoder; ImageNet's normalisation",
        r"encoder_q\.",
        (
            (rf"encoder_q\.{LAYERS}", r"backbone.\1."),
            (r"encoder_q\.fc\.", "head."),
            (r"encoder_k\.", "!the momentum encoder, of which the query encoder is evaluated"),
            (r"queue(_ptr)?$", "!the queue of keys"),
        ),
        IMAGENET,
        MLP,
    ),
    "rocl": Layout(
        "Kim-Minseon/RoCL; pixels in [0, 1], no normalisation; its projector is a file of its own",
        r".*\.shortcut\.0\.weight",
        (
            (LAYERS, r"backbone.\1."),
            (r"linear_1\.", "head.0."),
            (r"linear_2\.", "head.2."),
            (r"linear\.", "classifier."),
        ),
        PIXELS,
        TWO,
        small=True,
    ),
    "acl": Layout(
        "VITA-Group/Adversarial-Contrastive-Learning; its own normalisation, in the file; two batch norms become clean and adv",
        r".*\.bn_list\.|bn1_adv\.",
        (
            (r"normalize\.(mean|std)$", r"normalize.\1"),
            (LAYERS, r"backbone.\1."),
            (r"bn1_adv\.", "backbone.bn1_adv."),
            (r"fc\.fc1\.", "head.0."),
            (r"fc\.bn1(\.|_adv\.)", r"head.1\1"),
            (r"fc\.fc2\.", "head.3."),
            (r"fc\.bn2(\.|_adv\.)", r"head.4\1"),
            (
                r"fc\.(fc|bn)3(\.|_adv\.)",
                "!a third layer of the head, which the published forward never reaches",
            ),
            (FC, r"classifier.\1"),
        ),
        IMAGENET,
        ("0,1,3,4",),
        small=True,
    ),
    "torchvision": Layout(
        "torchvision's or timm's own names, with --encoder.name for anything but a ResNet; ImageNet's normalisation",
        None,
        ((LAYERS, r"backbone.\1."), (FC, r"classifier.\1")),
        IMAGENET,
    ),
}


def recognise(keys: list[str]) -> str:
    """The layout of a file by its keys (without `module.`).

    Raises ValueError for keys that no layout has, and for a bare ResNet, whose normalisation only the user knows.
    """
    for name in ("acl", "moco", "swav", "supcon", "simclr", "rocl"):
        pattern = LAYOUTS[name].recognised
        if pattern and any(re.match(pattern, key) for key in keys):
            return name
    if any(key.startswith("conv1.") for key in keys):
        raise ValueError(
            "--layout must be given, as torchvision (ImageNet's normalisation), simclr (Google's, none) or swav (its own): "
            "the file has the bare names of a ResNet, which all three share"
        )
    first = ", ".join(keys[:3])
    raise ValueError(
        f"no layout ({', '.join(LAYOUTS)}) has keys such as {first}: rename the file's keys to those of one of them, or give "
        "--encoder.name torchvision:NAME or timm:NAME for a file with the very names of that model"
    )


def plain(key: str) -> str:
    """A key without the `module.` of DataParallel."""
    return re.sub(r"(^|\.)module\.", r"\1", key)


def two_norms(key: str, dual: bool) -> str:
    """ACL's lists of batch norms, or its earlier pairs of them, under our names of the two domains."""
    key = re.sub(r"downsample\.conv\.", "downsample.0.", key)
    key = re.sub(r"downsample\.bn(_adv)?\.", r"downsample.1\1.", key)
    for index, domain in enumerate(("clean.", "adv.")):
        key = re.sub(rf"\.bn_list\.{index}\.", f".{domain if dual else ''}", key)
    key = re.sub(r"\.bn_list\.", ".", key)
    if dual and not re.search(r"\.(clean|adv)\.", key):
        key = re.sub(
            r"(bn\d|downsample\.1|head\.[14])(_adv)?\.", lambda m: f"{m[1]}.{'adv' if m[2] else 'clean'}.", key
        )
    return key


def supcon_normalisation(options: Mapping[str, Any]) -> tuple[list[float], list[float]]:
    """SupContrast's constants for the data set that a file's `opt` names; ValueError if it names none of them."""
    dataset = options.get("dataset")
    if dataset in SUPCON:
        return SUPCON[str(dataset)]
    known = "; ".join(f"{name}: --mean {_list(m)} --std {_list(s)}" for name, (m, s) in SUPCON.items())
    said = "does not say on which images it was trained" if dataset is None else f"was trained on {dataset}"
    raise ValueError(f"encoder.mean and encoder.std must be given: the file {said} ({known})")


def _block(key: str) -> str:
    return key.replace(".shortcut.", ".downsample.")


def _list(values: list[float]) -> str:
    return ",".join(map(str, values))
