"""`sparring evaluate RUN --transfer ...` as a user meets it: figures, what is left out, the report, mistakes."""

import json
import re
from functools import partial

import pytest
import torch
from PIL import Image

from sparring import transfer
from sparring.cli import main
from sparring.config import EncoderConfig
from sparring.data import ImageSet, open_target
from sparring.data import transfer as data
from sparring.data.transfer import batches
from sparring.encoders import build_encoder
from sparring.evaluation import Transfer
from sparring.measuring import TRANSFER, TransferConfig
from sparring.transfer import check
from tests.data import layouts
from tests.test_cli import TINY

pytestmark = pytest.mark.filterwarnings("ignore:.*published numbers")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    place = tmp_path_factory.mktemp("runs")
    assert main(["train", "clae", *TINY, "--image-size", "8", "--out", str(place / "run")]) == 0
    return place / "run"


@pytest.fixture(autouse=True)
def few_penalties(monkeypatch):
    monkeypatch.setattr(transfer, "Transfer", partial(Transfer, count=3, max_iterations=20))


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    root = tmp_path_factory.mktemp("sets")
    layouts.pets(root / "pets")
    layouts.flowers(root / "flowers")
    layouts.caltech101(root / "caltech101", each=34)
    return root


def run(capsys, *words):
    code = main([str(word) for word in words])
    return code, *capsys.readouterr()


def test_what_is_there_is_measured_and_the_rest_named(trained, sets, capsys):
    words = ["--transfer", "flowers,cars,caltech101", "--root", sets, "--workers", "0"]
    code, out, err = run(capsys, "evaluate", trained, *words)
    assert code == 0, err
    written = json.loads((trained / "transfer.json").read_text())
    assert (written["label"], written["image_size"], list(written["sets"])) == (
        "transfer v1 (count 3, max_iterations 20)",
        8,
        ["flowers", "cars", "caltech101"],
    )
    flowers, cars, caltech = written["sets"].values()
    assert (flowers["n_train"], flowers["n_val"], flowers["n_test"]) == (2, 2, 4)
    assert (caltech["n_train"], caltech["n_val"], caltech["n_test"]) == (81, 9, 12)
    assert (
        caltech["metric"] == "mean per class"
        and "30 training images a class drawn by seed 0, a tenth" in caltech["words"]
    )
    assert list(cars) == ["left_out"] and "dead; copies exist elsewhere" in cars["left_out"]
    assert (
        "cars        left out: cars is not in" in out
        and "max_iterations 20): L-BFGS logistic regression on h, l2 " in out
    )
    assert flowers["selection"] == "official splits; not the published numbers of images"
    report = (trained / "report.html").read_text()
    assert "Transfer to other data sets" in report and "cars: left out" in report
    assert run(capsys, "evaluate", trained, *words)[0] == 0
    again = json.loads((trained / "transfer.json").read_text())
    assert again["sets"]["flowers"]["accuracy"] == flowers["accuracy"] and (trained / "transfer-1.json").exists()


def test_generated_images_stand_in_for_the_data_sets(trained, capsys):
    code, out, err = run(capsys, "evaluate", trained, "--transfer", "pets,cifar10", "--generated")
    assert code == 0, err
    found = json.loads((trained / "transfer.json").read_text())["sets"]
    assert list(found) == ["pets", "cifar10"] and all(
        "generated textures in the place of" in entry["words"] for entry in found.values()
    )
    assert out.count("generated textures") == 2
    assert check(TransferConfig(name=["all"])) == [*TRANSFER] and len(TRANSFER) == 8


@pytest.mark.parametrize(("channels", "size"), [(1, 16), (3, 32)])
def test_generated_images_tell_a_transfer_that_works_from_a_broken_one(channels, size):
    target = open_target("pets", TransferConfig(generated=True), size)
    config = EncoderConfig("wrn-10-1", head="mlp", dim=16, mean=[0.5] * channels, std=[0.25] * channels)

    def accuracy(encoder):
        found = transfer.measure(encoder, {"pets": target}, Transfer(count=5), size, channels)
        return found["pets"]["accuracy"]

    for seed in range(3):
        torch.manual_seed(seed)
        encoder = build_encoder(config, channels=channels, image_size=size, dual=False)
        assert 0.4 < accuracy(encoder) < 0.9
        encoder.backbone.register_forward_hook(lambda module, inputs, h: torch.randn_like(h))
        assert accuracy(encoder) < 0.4
    assert torch.equal(target.test.images, open_target("dtd", TransferConfig(generated=True), size).test.images)


def test_none_there_is_an_error_and_writes_nothing(trained, tmp_path, capsys):
    before = sorted(path.name for path in trained.iterdir())
    code, _, err = run(capsys, "evaluate", trained, "--transfer", "dtd,cifar10,pets", "--root", tmp_path)
    assert code == 2 and "dtd is not in" in err and "(and 2 others are missing too)" in err
    assert sorted(path.name for path in trained.iterdir()) == before


def test_a_file_that_is_cut_off_leaves_its_set_out(trained, tmp_path, capsys):
    base = layouts.pets(tmp_path / "pets")
    layouts.flowers(tmp_path / "flowers")
    cut = base / "images" / "Abyssinian_101.jpg"
    Image.effect_noise((64, 64), 50).save(cut)
    cut.write_bytes(cut.read_bytes()[:1500])
    words = ["--transfer", "pets,flowers", "--root", tmp_path, "--workers", "1"]
    code, _, err = run(capsys, "evaluate", trained, *words)
    assert code == 0, err
    found = json.loads((trained / "transfer.json").read_text())["sets"]
    assert found["pets"]["left_out"].startswith(str(cut)) and "cannot be read as an image" in found["pets"]["left_out"]
    assert "Traceback" not in found["pets"]["left_out"] and "accuracy" in found["flowers"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            ["--transfer", "flower"],
            "transfer.name must be among cifar10, .* or all, not 'flower'; did you mean flowers",
        ),
        (["--transfer", "pets,pets"], "transfer.name names a data set twice: pets, pets"),
        (["--transfer.root", "/tmp"], "transfer.name names no data set; it takes cifar10"),
        (
            ["--transfer", "pets", "--root", "/no/such"],
            "transfer.root is /no/such, but there is no such folder",
        ),
        (["--transfer", "pets", "--transfer.image-size", "0"], "transfer.image_size must be at least 1, not 0"),
        (["--transfer", "pets", "--attack", "fgsm"], "--attack and --transfer are different evaluations"),
        (["--transfer", "pets", "--data.root", "x"], "--data.root cannot be changed by evaluate"),
        (["--transfer", "pets", "--protocol", "knn"], "--protocol and --transfer are different evaluations"),
    ],
)
def test_mistakes_are_one_sentence(trained, capsys, words, sentence):
    code, _, err = run(capsys, "evaluate", trained, *words)
    assert code == 2 and err.count("\n") == 1 and re.search(sentence, err), err


def test_images_are_resized_as_torchvision_does(tmp_path):
    from torchvision.transforms import v2

    layouts.flowers(tmp_path / "flowers")
    for file in (tmp_path / "flowers" / "flowers-102" / "jpg").iterdir():
        Image.effect_noise((40, 30), 90).convert("RGB").save(file, quality=95)
    target = open_target("flowers", TransferConfig(root=str(tmp_path), workers=0), 16)
    seen = torch.cat(list(batches(target.test, 16, 3)))
    chain = v2.Compose([v2.PILToTensor(), v2.Resize(16, v2.InterpolationMode.BICUBIC), v2.CenterCrop(16)])
    expected = torch.stack([chain(Image.open(file)) for file in target.test.images.files])
    assert (seen.int() - expected.int()).abs().max() <= 2 and seen.float().std() > 5
    one = torch.cat(list(batches(target.test, 16, 1)))
    assert one.shape == (4, 1, 16, 16)
    assert (one[:, 0].int() - expected[:, 0].int()).abs().max() <= 3  # gray pictures


def test_cifar_is_enlarged_when_it_is_shown(monkeypatch):
    images = torch.randint(0, 256, (40, 3, 32, 32), dtype=torch.uint8)
    whole = ImageSet(images, torch.arange(40) % 2, ("a", "b"), "cifar10")
    monkeypatch.setattr(data, "load_cifar", lambda *_, **__: (whole, whole))
    target = open_target("cifar10", TransferConfig(), 64)
    assert (len(target.train), len(target.val), len(target.test)) == (36, 4, 40)
    assert target.val.labels.bincount().tolist() == [2, 2]
    shown = torch.cat(list(batches(target.test, 64, 3)))
    assert shown.shape == (40, 3, 64, 64) and shown.dtype == torch.uint8
    assert (torch.nn.functional.avg_pool2d(shown.float(), 2) - images).abs().mean() < 25


def test_the_encoder_of_a_classifier_is_read_without_its_images(tmp_path):
    from sparring.training import checkpoints, train
    from sparring.training.run_folder import load_config
    from tests.training.runs import tiny

    folder = train(tiny(tmp_path / "run", "natural", epochs=1, probe_every=0))
    encoder, channels = transfer.encoder_of(load_config(folder), checkpoints.latest(folder) / checkpoints.WEIGHTS)
    assert channels == 3 and encoder.classifier.weight.shape[0] == 4
