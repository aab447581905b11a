"""From a checkpoint file to an encoder: names recognised, network built from the shapes, every key accounted for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from sparring import norms
from sparring.encoders.bridge import bridge, feature_width
from sparring.encoders.encoder import ContrastiveEncoder
from sparring.encoders.exported import is_export, load_exported
from sparring.encoders.published.layouts import (
    LAYOUTS,
    Layout,
    plain,
    recognise,
    supcon_normalisation,
    two_norms,
)
from sparring.encoders.published.named import classifier_of, left_by_bridge, read_linear
from sparring.encoders.published.reading import Checkpoint, floats, read_checkpoint
from sparring.encoders.published.report import KeyReport, some, words_of
from sparring.encoders.published.resnet import head_of, resnet_of
from sparring.encoders.weights import architecture_of, load_encoder
from sparring.types import Domain

OURS = "sparring"
"""The layout of the files that this library writes; they are recognised by what they say of themselves."""
COUNTER = "num_batches_tracked"


@dataclass(frozen=True)
class Published:
    """An encoder from elsewhere, and how it was read."""

    encoder: ContrastiveEncoder
    report: KeyReport
    words: str
    """What it is, on one line."""

    @property
    def domain(self) -> Domain:
        """The batch norm that figures go through unless another is asked for: of two the adversarial one, which is all that
        the published evaluation of such files keeps (ACL, DynACL)."""
        return norms.robust_domain(self.encoder)


@dataclass(frozen=True)
class Keys:
    """A file's tensors under our names."""

    tensors: dict[str, Tensor]
    source: dict[str, str]
    """Our name -> the file's."""
    left_over: dict[str, str]

    def below(self, place: str) -> dict[str, Tensor]:
        """The tensors below `backbone`, `head` or `classifier`, without that word."""
        return {
            key.removeprefix(f"{place}."): value for key, value in self.tensors.items() if key.startswith(f"{place}.")
        }


@torch.random.fork_rng(devices=[])  # first weights that the file overwrites move no random state
def load_published(
    path: Path | str,
    *,
    layout: str = "auto",
    name: str | None = None,
    projector: Path | str | None = None,
    linear: Path | str | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    image_size: int = 224,
) -> Published:
    """The encoder in a checkpoint file of `layout`, in evaluation mode.

    `layout` is one of `LAYOUTS` or auto, which asks for it where files of two layouts look alike. Without `name` the network
    is the ResNet that the file's shapes describe; `torchvision:NAME`, `timm:NAME` and `python:MODULE.FUNCTION` are built for
    `image_size` pixels and filled strictly. `projector` is RoCL's separate file with the head, `linear` a separate file with
    the linear classifier (`read_linear`). `mean` and `std` (one value a channel, pixels in [0, 1]) replace the layout's.
    Files are never unpickled (`read_checkpoint`).

    h is what the published code evaluates, before the head. Without a head in the file, z is h of unit length. A classifier
    in the file becomes the encoder's own. ACL's two batch norms become the domains clean and adv.

    Raises ValueError, naming file and keys, for a file that cannot be read or recognised; keys that have no place in the
    layout or the network; a key of the network that is missing (but for batch counters, which evaluation does not use);
    shapes that differ; SupContrast files that do not say on which data they were trained, without `mean` and `std`.
    """
    found = _load(Path(path), layout, name, projector, mean, std, image_size)
    if linear is None:
        return found
    if found.encoder.classes:
        raise ValueError(f"encoder.linear is {linear}, but {path} holds a classifier already")
    classifier, used = read_linear(Path(linear), found.encoder.features)
    found.encoder.classifier = classifier.eval()
    words = f"{found.words}, a classifier of {found.encoder.classes:,} classes from {Path(linear).name}"
    return Published(found.encoder, replace(found.report, used=found.report.used | used), words)


def _load(
    path: Path,
    layout: str,
    name: str | None,
    projector: Path | str | None,
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
    image_size: int,
) -> Published:
    if layout not in ("auto", *LAYOUTS):
        raise ValueError(f"encoder.layout must be auto or one of {', '.join(LAYOUTS)}, not {layout!r}")
    if is_export(path):
        if layout != "auto" or any(option is not None for option in (name, projector, mean, std)):
            raise ValueError(
                f"{path} is an exported encoder, whose config.json says how it is read: leave out --layout, --encoder.name, "
                "--projector, --mean and --std"
            )
        encoder = load_exported(path)
        used = {key: key for key in encoder.state_dict()}
        return Published(encoder, KeyReport(OURS, used, {}, ()), f"{encoder.architecture['encoder']['name']}, exported")
    if name is None and layout == "auto" and architecture_of(path):
        encoder = load_encoder(path)
        used = {key: key for key in encoder.state_dict()}
        return Published(encoder.eval(), KeyReport(OURS, used, {}, ()), f"{encoder.architecture['encoder']['name']}")
    checkpoint = read_checkpoint(path)
    if name is not None:
        return _named(path, checkpoint, layout, name, projector, mean, std, image_size)
    layout = recognise([plain(key) for key in checkpoint.tensors]) if layout == "auto" else layout
    if projector is not None and layout != "rocl":
        raise ValueError(f"encoder.projector is {projector}, but only RoCL keeps one apart; layout is {layout}")
    rules = LAYOUTS[layout]
    keys = _renamed(path, checkpoint, layout, rules)
    if projector is not None:
        head = _renamed(Path(projector), read_checkpoint(projector), layout, rules)
        if not head.tensors or not all(key.startswith("head.") for key in head.tensors):
            raise ValueError(
                f"encoder.projector is {projector}, which holds more or other keys than linear_1 and linear_2"
            )
        keys = Keys(keys.tensors | head.tensors, keys.source | head.source, keys.left_over)
    keys = _whole_head(keys, rules)
    try:
        backbone = resnet_of(keys.below("backbone"))
    except ValueError as error:
        raise ValueError(f"{path}, read as {layout}: {error} (it holds {some(list(checkpoint.tensors))})") from error
    if rules.small and backbone.conv1.kernel_size != (3, 3):
        raise ValueError(
            f"{path} is a {backbone.words}, but the networks of --layout {layout} begin with a 3x3 convolution: name the layout "
            "that it has, such as torchvision"
        )
    channels, features = backbone.conv1.in_channels, backbone.features
    mean, std = _normalisation(checkpoint, keys, layout, rules, channels, mean, std)
    head, dim = nn.Identity(), features
    if keys.below("head"):
        head = head_of(keys.below("head"))
        dim = [m.out_features for m in head.modules() if isinstance(m, nn.Linear)][-1]
    encoder = ContrastiveEncoder(
        backbone, head, mean, std, features=features, dim=dim, classifier=classifier_of(keys.below("classifier"))
    )
    if any(".adv." in key for key in keys.tensors):
        norms.convert(encoder)
    missing = _fill(path, encoder, keys, layout)
    if not keys.below("head"):
        missing += ("the head, so that z is h of unit length",)
    report = KeyReport(layout, keys.source, keys.left_over, missing)
    return Published(encoder.eval(), report, f"{backbone.words}, {words_of(encoder, mean, std)}")


def _named(
    path: Path,
    checkpoint: Checkpoint,
    layout: str,
    name: str,
    projector: Path | str | None,
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
    image_size: int,
) -> Published:
    """A model of torchvision, timm or the user's, filled with the bare names of the file."""
    if layout not in ("auto", "torchvision") or name.partition(":")[0] not in ("torchvision", "timm", "python"):
        raise ValueError(
            f"encoder.name is {name!r} with encoder.layout {layout}: a name is torchvision:NAME, timm:NAME or "
            "python:MODULE.FUNCTION, and goes with the layout torchvision; elsewhere the file's shapes say what to build"
        )
    if projector is not None:
        raise ValueError(f"encoder.projector is {projector}, but only RoCL keeps its projector apart")
    tensors = {plain(key): value for key, value in checkpoint.tensors.items()}
    channels = next((value.shape[1] for value in tensors.values() if value.ndim == 4), 3)
    backbone = bridge(name, channels, image_size)
    features = feature_width(backbone, name, channels, image_size)
    last, constants = left_by_bridge(name)
    own = {key.removeprefix("network.") for key in backbone.state_dict()}
    ours = {key: (f"backbone.network.{key}" if key in own or key not in last else None) for key in tensors}
    classifier = classifier_of({key.rpartition(".")[2]: tensors[key] for key in last if key in tensors}, features)
    if classifier is not None:
        ours |= {key: f"classifier.{key.rpartition('.')[2]}" for key in last if key in tensors}
    theirs = {plain(key): key for key in checkpoint.tensors}
    keys = Keys(
        {to: tensors[key] for key, to in ours.items() if to},
        {to: theirs[key] for key, to in ours.items() if to},
        {theirs[key]: "layers behind the representation" for key, to in ours.items() if not to},
    )
    constants = LAYOUTS["torchvision"].normalisation if constants is None else constants
    assert constants is not None
    mean = _each(constants[0] if mean is None else mean, channels)
    std = _each(constants[1] if std is None else std, channels)
    encoder = ContrastiveEncoder(
        backbone, nn.Identity(), mean, std, features=features, dim=features, classifier=classifier
    )
    missing = (*_fill(path, encoder, keys, "torchvision"), "the head, so that z is h of unit length")
    words = f"{name}, {features:,} features, {words_of(encoder, mean, std)}"
    return Published(encoder.eval(), KeyReport("torchvision", keys.source, keys.left_over, missing), words)


def _renamed(path: Path, checkpoint: Checkpoint, layout: str, rules: Layout) -> Keys:
    """Every key under our name, or left over for a known reason; ValueError for a key of which the layout knows nothing."""
    keys, unknown = Keys({}, {}, {}), []
    dual = any(".bn_list.1." in key or "_adv." in key for key in checkpoint.tensors)
    for theirs, tensor in checkpoint.tensors.items():
        ours = rules.rename(plain(theirs))
        if ours is None:
            unknown.append(theirs)
        elif ours.startswith("!"):
            keys.left_over[theirs] = ours[1:]
        else:
            ours = two_norms(ours, dual) if layout == "acl" else ours
            if ours in keys.tensors:
                raise ValueError(f"{path} holds both {keys.source[ours]} and {theirs}, which are the same layer")
            keys.tensors[ours], keys.source[ours] = tensor, theirs
    if unknown:
        raise ValueError(
            f"{path}, read as {layout}, has keys that this layout does not have: {some(unknown)}; if it is of another "
            f"layout, name it (--layout {'|'.join(LAYOUTS)}); if the representation does not need them, remove them"
        )
    return keys


def _whole_head(keys: Keys, rules: Layout) -> Keys:
    """The same without a head of which layers are missing."""
    places = {key.partition(".")[0] for key in keys.below("head")}
    found = "linear" if "weight" in places else ",".join(sorted(places))
    if not places or found in rules.heads:
        return keys
    rest = {key: value for key, value in keys.tensors.items() if not key.startswith("head.")}
    torn = {theirs: "a head of which layers are missing" for ours, theirs in keys.source.items() if ours not in rest}
    return Keys(rest, {ours: theirs for ours, theirs in keys.source.items() if ours in rest}, keys.left_over | torn)


def _normalisation(
    checkpoint: Checkpoint,
    keys: Keys,
    layout: str,
    rules: Layout,
    channels: int,
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
) -> tuple[list[float], list[float]]:
    """Mean and std a channel: those asked for, those in the file, those of the layout."""
    inside = [keys.tensors.pop(f"normalize.{name}", None) for name in ("mean", "std")]
    if mean is None or std is None:
        default = supcon_normalisation(checkpoint.options) if layout == "supcon" else rules.normalisation
        assert default is not None
        theirs = [value if tensor is None else floats(tensor) for tensor, value in zip(inside, default, strict=True)]
        mean, std = theirs[0] if mean is None else mean, theirs[1] if std is None else std
    return _each(mean, channels), _each(std, channels)


def _each(values: Sequence[float], channels: int) -> list[float]:
    """One value a channel. Raises ValueError for another number of them than 1 or `channels`."""
    if len(values) not in (1, channels):
        raise ValueError(f"encoder.mean and encoder.std need {channels} values, one a channel, not {list(values)}")
    return list(values) * (channels if len(values) == 1 else 1)


def _fill(path: Path, encoder: nn.Module, keys: Keys, layout: str) -> tuple[str, ...]:
    """Load the tensors into the encoder; the batch counters that the file lacks."""
    own = encoder.state_dict()
    missing = [key for key in own if key not in keys.tensors]
    needed = [key for key in missing if not key.endswith(COUNTER)]
    extra = [keys.source[key] for key in keys.tensors if key not in own]
    shapes = [
        f"{keys.source[key]} is {list(value.shape)}, not {list(own[key].shape)}"
        for key, value in keys.tensors.items()
        if key in own and own[key].shape != value.shape
    ]
    problems = [f"it lacks {some(needed)}"] if needed else []
    problems += [f"the network has no place for {some(extra)}"] if extra else []
    problems += [f"shapes differ: {some(shapes)}"] if shapes else []
    if problems:
        raise ValueError(f"{path} does not hold a whole network of layout {layout}: {'; '.join(problems)}")
    encoder.load_state_dict(keys.tensors, strict=False)
    return tuple(key for key in missing if key.endswith(COUNTER))
