"""The verb `sparring export`: a trained encoder as a folder for others."""

from __future__ import annotations

from pathlib import Path

from sparring.flags import RUN, read_words

EXPORT = """\
usage: sparring export RUN --out FOLDER [--domain clean|adv] [--format safetensors|torchvision|timm] [--onnx] [...]

Write a run's encoder, with one plain batch norm a layer, to FOLDER: model.safetensors, config.json, and README.md, a model
card made of the run's files. `sparring.from_pretrained("FOLDER")` gives it back as an nn.Module from images in [0, 1] to
features; `sparring evaluate weights:FOLDER` measures it, `sparring train --init-from FOLDER` starts from it.

  RUN                   a finished run folder (its last epoch), or RUN/checkpoints/epoch-0010
  --out FOLDER          a new or empty folder
  --domain DOMAIN       which of two batch norms: clean or adv [the one that the run was measured with]
  --format FORMAT       safetensors: backbone, head and classifier; torchvision, timm: the backbone under their keys, where they
                        have the network (resnet18/34/50/101, torchvision:NAME, timm:NAME) [safetensors]
  --onnx                also encoder.onnx, checked against torch (pip install 'sparring[onnx]')
  --data-licence TEXT   licence of the training images, for the model card [unknown]
  --overwrite           an earlier export in FOLDER may be replaced
  --debug               show where an error happened
"""

OPTIONS = {
    "out": True,
    "domain": True,
    "format": True,
    "onnx": False,
    "data-licence": True,
    "overwrite": False,
    "debug": False,
    "help": False,
}
DOMAINS = ("clean", "adv")
FORMATS = ("safetensors", "torchvision", "timm")


def export(words: list[str]) -> int:
    """Run the verb on its words and return the exit code."""
    read = read_words(words, OPTIONS, {}, RUN)
    if "help" in read.options:
        print(EXPORT, end="")
        return 0
    if len(read.positional) != 1:
        raise ValueError(
            f"export needs one run folder, such as runs/clae-digits-seed0, not {len(read.positional) or 'none'}"
        )
    given = {name: values[-1] for name, values in read.options.items() if values}
    if "out" not in given:
        raise ValueError("export needs --out FOLDER, a new or empty folder")
    for name, known in (("domain", DOMAINS), ("format", FORMATS)):
        if given.get(name, known[0]) not in known:
            raise ValueError(f"--{name} must be one of {', '.join(known)}, not {given[name]!r}")
    import sparring

    folder = sparring.export(
        read.positional[0],
        given["out"],
        domain=given.get("domain"),  # pyright: ignore[reportArgumentType]
        format=given.get("format", FORMATS[0]),  # pyright: ignore[reportArgumentType]
        onnx="onnx" in read.options,
        data_licence=given.get("data-licence"),
        overwrite="overwrite" in read.options,
    )
    summarise(folder)
    return 0


def summarise(folder: Path) -> None:
    """What was written, and how it is used."""
    from sparring.encoders.exported import read_config

    config = read_config(folder)
    print(f"{'encoder':10} {config['name']}, {config['features']:,} features, {config['norms']} ({config['domain']})")
    print(f"{'files':10} {', '.join(sorted(path.name for path in folder.iterdir()))}")
    print(f"{'card':10} {folder / 'README.md'}")
    print(f'{"use":10} sparring.from_pretrained("{folder}")')
