"""`sparring export` and `from_pretrained`: what comes back is the run's encoder, and mistakes are one sentence."""

import inspect
import json
import re
import subprocess
import sys
import types
from pathlib import Path

import pytest
import torch
from torch import nn

import sparring
from sparring import norms
from sparring.cli import main
from sparring.config import DataConfig, EvaluationConfig, RunConfig, TrainingConfig
from sparring.encoders import load_encoder
from sparring.encoders.exported import load_exported
from sparring.measuring import WeightsConfig
from sparring.norms import DualBatchNorm
from sparring.published import of_weights
from tests.exporting.tiny import SIDE, make_run

X = torch.rand(3, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def single(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("runs") / "single")


@pytest.fixture(scope="module")
def dual(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("runs") / "dual", "clae")


def of_run(run):
    return load_encoder(run / "checkpoints/epoch-0002/weights.safetensors").eval()


@pytest.mark.parametrize("domain", ["clean", "adv"])
def test_each_domain_comes_back_as_one_plain_norm(dual, tmp_path, domain):
    encoder = sparring.from_pretrained(sparring.export(dual, tmp_path / "out", domain=domain))
    assert not encoder.training and encoder.features == 64 and encoder.image_size == SIDE
    assert not [part for part in encoder.modules() if isinstance(part, DualBatchNorm)]
    h, other = (of_run(dual).represent(X, d) for d in (domain, "adv" if domain == "clean" else "clean"))
    assert torch.equal(encoder(X), h) and not torch.allclose(h, other, atol=1e-3)
    config = json.loads((tmp_path / "out/config.json").read_text())
    assert config["domain"] == domain and config["sha256"] and config["features"] == 64
    assert config["exported"]["sparring"] == sparring.__version__ and config["checkpoint"] == "epoch-0002"


def test_the_domain_is_the_one_that_was_measured_unless_another_is_asked_for(dual, tmp_path):
    assert json.loads((sparring.export(dual, tmp_path / "a") / "config.json").read_text())["domain"] == "clean"
    adv = make_run(tmp_path / "adv", "clae", domain="adv")
    assert json.loads((sparring.export(adv, tmp_path / "b") / "config.json").read_text())["domain"] == "adv"


def test_integers_are_refused(single, tmp_path):
    encoder = sparring.from_pretrained(sparring.export(single, tmp_path / "out"))
    forward = inspect.unwrap(type(encoder).forward)  # as it is where no test checks the annotations
    with pytest.raises(ValueError, match=r"x is torch.uint8; this encoder takes float pixels in \[0, 1\]"):
        forward(encoder, (255 * X).byte())


def test_prototypes_stay_behind_and_head_and_classifier_do_not(tmp_path):
    swav = make_run(tmp_path / "swav", "swav", encoder="resnet20")
    encoder = load_exported(sparring.export(swav, tmp_path / "out"))
    assert encoder.prototypes is None and torch.equal(encoder(X), of_run(swav)(X))
    supervised = make_run(tmp_path / "natural", "natural")
    encoder = load_exported(sparring.export(supervised, tmp_path / "other"))
    assert torch.equal(encoder.outputs(X).logits, of_run(supervised).outputs(X).logits)


def test_nothing_is_left_as_it_was_not(single, tmp_path):
    state = torch.random.get_rng_state()
    before = {path: path.read_bytes() for path in single.rglob("*") if path.is_file()}
    sparring.from_pretrained(sparring.export(single, tmp_path / "out"))
    assert torch.equal(state, torch.random.get_rng_state())
    assert {path: path.read_bytes() for path in single.rglob("*") if path.is_file()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("library", ["torchvision", "timm"])
@pytest.mark.parametrize("name", ["resnet18", "torchvision:resnet18", "timm:resnet18"])
def test_a_resnet_goes_strictly_into_both_libraries(tmp_path, library, name):
    run = make_run(tmp_path / "run", "clae", encoder=name)
    out = sparring.export(run, tmp_path / "out", format=library, domain="adv")
    h = of_run(run).represent(X, "adv")
    assert torch.equal(sparring.from_pretrained(out)(X), h)
    from safetensors.torch import load_file

    tensors = load_file(out / "model.safetensors")
    if library == "timm":
        import timm

        theirs = timm.create_model("resnet18", num_classes=0)
    else:
        from torchvision.models import resnet18

        theirs = resnet18()
        theirs.fc = nn.Identity()
    if name == "resnet18":
        theirs.conv1, theirs.maxpool = nn.Conv2d(3, 64, 3, padding=1, bias=False), nn.Identity()
    theirs.load_state_dict(tensors, strict=True)
    config = json.loads((out / "config.json").read_text())
    mean, std = (torch.tensor(config[key]).view(-1, 1, 1) for key in ("mean", "std"))
    torch.testing.assert_close(theirs.eval()((X - mean) / std), h)


@pytest.mark.parametrize("name", ["resnet18", "torchvision:vgg11", "timm:resnet10t"])
def test_the_lines_on_the_card_do_what_they_say(tmp_path, monkeypatch, name):
    run = make_run(tmp_path / "run", encoder=name) if name != "torchvision:vgg11" else None
    if run is None:
        from sparring.exporting.keys import loading_lines

        lines = loading_lines(name, "torchvision", 1, 32)
        assert any('get_submodule("features"), "0", torch.nn.Conv2d(1, 64' in line for line in lines)
        assert any('get_submodule("classifier"), "6", torch.nn.Identity()' in line for line in lines)
        return
    library = "timm" if name.startswith("timm") else "torchvision"
    out = sparring.export(run, tmp_path / "out", format=library)
    monkeypatch.chdir(out)
    blocks = re.findall(r"```python\n(.*?)```", (out / "README.md").read_text(), re.S)
    assert len(blocks) == 2
    for block in blocks:
        space = {"__name__": "card"}
        exec(compile(block, "card", "exec"), space)
        assert space["h"].shape == (1, 512)
    mean, std = space["mean"], space["std"]
    torch.testing.assert_close(space["network"]((X - mean) / std), of_run(run).represent(X))


def test_other_features_in_the_library_are_not_exported(single, tmp_path, monkeypatch):
    from sparring.exporting import keys

    run = make_run(tmp_path / "run", encoder="resnet18")
    monkeypatch.setattr(keys, "LARGEST_DIFFERENCE", -1.0)
    with pytest.raises(RuntimeError, match="gives other features"):
        sparring.export(run, tmp_path / "out", format="torchvision")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_the_command_line_exports_measures_and_starts_from_it(single, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    from sparring.experiment import measure
    from sparring.training import run_folder

    mine = make_run(tmp_path / "mine")
    wanted = measure(mine, run_folder.load_config(mine), protocols=["knn"], report=False)["knn"]
    assert main(["export", str(mine), "--out", "out", "--data-licence", "CC0, made on the spot"]) == 0
    said = capsys.readouterr().out
    assert "wrn-10-1, 64 features" in said and 'sparring.from_pretrained("out")' in said
    assert "Data: CC0, made on the spot." in Path("out/README.md").read_text()
    data = ["--data", "synthetic", "--image-size", str(SIDE), "--train-images", "60", "--test-images", "40"]
    words = [*data, "--protocol", "knn", "--knn-k", "10", "--training.seed", "3", "--knn-temperature", "0.5"]
    assert main(["evaluate", "weights:out", *words]) == 0, capsys.readouterr().err
    found = json.loads(Path("runs/weights-out/results.json").read_text())["knn"]
    assert found["accuracy"] == wanted["accuracy"] and wanted["temperature"] == 0.5
    assert main(["evaluate", "weights:out", *words, "--layout", "swav"]) == 2
    assert "leave out --layout" in capsys.readouterr().err
    from sparring.training.fit import weights_of

    start = load_encoder(weights_of("out")).eval()
    assert torch.equal(start(X), of_run(mine)(X))


def test_init_from_wants_the_whole_encoder(tmp_path):
    from sparring.training.fit import weights_of

    out = sparring.export(make_run(tmp_path / "run", encoder="resnet18"), tmp_path / "out", format="timm")
    with pytest.raises(ValueError, match="the backbone alone; export it with --format safetensors"):
        weights_of(str(out))


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "export needs one run folder"),
        (["RUN"], "export needs --out FOLDER"),
        (["nowhere", "--out", "o"], "RUN is nowhere, but there is no such run folder"),
        (["empty", "--out", "o"], "empty is no run folder: it holds no config.yaml"),
        (["unfinished", "--out", "o"], "unfinished is not finished: 1 of 2 epochs"),
        (["RUN", "--out", "full"], "out is full, which holds thesis.tex: choose a new or empty folder"),
        (["RUN", "--out", "full", "--overwrite"], "out is full, which holds thesis.tex"),
        (["RUN", "--out", "full/thesis.tex"], "which is a file, not a folder"),
        (["RUN", "--out", "o", "--domain", "adv"], "domain is adv, but"),
        (["RUN", "--out", "o", "--domain", "dirty"], "--domain must be one of clean, adv, not 'dirty'"),
        (["RUN", "--out", "o", "--format", "pickle"], "--format must be one of safetensors, torchvision, timm"),
        (["RUN", "--out", "o", "--format", "timm"], "format is timm, but wrn-10-1 is no network of timm"),
        (["RUN", "--out", "o", "--onxx"], "did you mean --onnx?"),
    ],
)
def test_mistakes_are_one_sentence_and_write_nothing(single, tmp_path, monkeypatch, capsys, words, sentence):
    monkeypatch.chdir(tmp_path)
    make_run(Path("unfinished"), epochs=1)
    Path("empty").mkdir()
    Path("full").mkdir()
    Path("full/thesis.tex").write_text("precious")
    code = main(["export", *(str(single) if word == "RUN" else word for word in words)])
    out, err = capsys.readouterr()
    assert code == 2 and out == "" and sentence in err and err.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "full", "unfinished"]
    assert [path.name for path in Path("full").iterdir()] == ["thesis.tex"]


def test_a_named_checkpoint_of_an_unfinished_run_is_exported_and_said_to_be_one(tmp_path):
    run = make_run(tmp_path / "run", epochs=1)
    out = sparring.export(run / "checkpoints/epoch-0001", tmp_path / "out")
    assert "An early checkpoint: 1 of 2 epochs." in (out / "README.md").read_text()


def test_an_earlier_export_is_replaced_only_if_asked(single, dual, tmp_path):
    out = sparring.export(single, tmp_path / "out")
    before = (out / "model.safetensors").read_bytes()
    with pytest.raises(ValueError, match="holds an earlier export"):
        sparring.export(dual, out)
    assert (out / "model.safetensors").read_bytes() == before
    sparring.export(dual, out, overwrite=True)
    assert (out / "model.safetensors").read_bytes() != before


def test_what_cannot_be_read_back_is_refused(single, tmp_path):
    with pytest.raises(ValueError, match="is exported first"):
        sparring.from_pretrained(single)
    out = sparring.export(single, tmp_path / "out")
    config = json.loads((out / "config.json").read_text())
    for change, sentence in (
        ({"schema": 2}, "has schema 2"),
        ({"sha256": "0"}, "is damaged, or not the file"),
        ({"architecture": config["architecture"] | {"image_size": None}}, "does not fit|must"),
        ({"prefix": "backbone."}, "does not fit the architecture"),
    ):
        (out / "config.json").write_text(json.dumps(config | change))
        with pytest.raises(ValueError, match=sentence):
            sparring.from_pretrained(out)
    (out / "config.json").write_text("{")
    with pytest.raises(ValueError, match="is not valid JSON"):
        sparring.from_pretrained(out)
    encoder = config["architecture"]["encoder"] | {"name": "python:os.getcwd"}
    (out / "config.json").write_text(
        json.dumps(config | {"architecture": config["architecture"] | {"encoder": encoder}})
    )
    with pytest.raises(ValueError, match="must not choose which code runs"):
        sparring.from_pretrained(out)


def test_images_of_other_channels_are_refused(single, tmp_path):
    encoder = sparring.from_pretrained(sparring.export(single, tmp_path / "out"))
    with pytest.raises(ValueError, match=r"takes \[B, 3, H, W\]"):
        encoder(X[:, :1])


def test_a_hub_id_goes_through_the_hubs_client_alone(single, tmp_path, monkeypatch):
    out, asked = sparring.export(single, tmp_path / "out"), []

    def fetch(repo, **options):
        asked.append((repo, options))
        if repo == "nobody/nothing":
            raise OSError("404 Client Error\nand more")
        return str(out)

    monkeypatch.setitem(sys.modules, "huggingface_hub", types.SimpleNamespace(snapshot_download=fetch))
    assert torch.equal(sparring.from_pretrained("lab/encoder", revision="v1")(X), of_run(single).represent(X))
    assert asked == [("lab/encoder", {"revision": "v1", "allow_patterns": ["config.json", "model.safetensors"]})]
    with pytest.raises(ValueError, match=r"cannot be fetched from the hub: OSError: 404 Client Error$"):
        sparring.from_pretrained("nobody/nothing")
    monkeypatch.chdir(tmp_path)
    for place in ("out/typo", "no-such-folder", "../x/y"):
        with pytest.raises(ValueError, match="there is no such folder, and a hub id looks like"):
            sparring.from_pretrained(place)
    assert len(asked) == 2
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ValueError, match=r"pip install 'sparring\[hub\]'"):
        sparring.from_pretrained("lab/encoder")


def test_the_two_functions_are_there_without_torch_being_imported():
    program = "import sys, sparring; assert 'torch' not in sys.modules; sparring.export; assert 'torch' in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)
    assert norms and callable(sparring.from_pretrained)
    with pytest.raises(AttributeError, match="has no attribute 'exprot'"):
        sparring.exprot  # noqa: B018


def test_the_current_folder_and_a_link_to_one(single, tmp_path, monkeypatch):
    whole = {path.name for path in sparring.export(single, tmp_path / "usual").iterdir()}
    here, far, link = (tmp_path / name for name in ("here", "far", "link"))
    here.mkdir()
    monkeypatch.chdir(here)
    sparring.export(single, ".")
    assert {path.name for path in Path.cwd().iterdir()} == {path.name for path in here.iterdir()} == whole
    far.mkdir()
    (far / "config.json").write_text("{}")
    (far / "encoder.onnx").write_text("of an earlier export")
    link.symlink_to(far)
    assert sparring.export(single, link, overwrite=True) == link
    assert link.is_symlink() and {path.name for path in far.iterdir()} == whole
    assert sparring.from_pretrained(link)(X).shape == (3, 64)
    assert {path.name for path in tmp_path.iterdir()} == {"usual", "here", "far", "link"}


def test_an_export_is_measured_as_its_run_was(tmp_path):
    run = make_run(tmp_path / "run")
    out = sparring.export(run, tmp_path / "export")
    assert main(["evaluate", str(run), "--protocol", "knn"]) == 0
    config = RunConfig(
        data=DataConfig(name="synthetic", train_images=60, test_images=40),  # which are larger by themselves
        training=TrainingConfig(seed=3),
        evaluation=EvaluationConfig(knn_k=10),
        out=str(tmp_path / "measured"),
    )
    measured = of_weights(f"weights:{out}", config, WeightsConfig(), protocols=("knn",), report=False)
    ours, theirs = (json.loads((place / "results.json").read_text())["knn"] for place in (run, measured))
    assert theirs["temperature"] == 0.5 and theirs == {key: ours[key] for key in theirs}
