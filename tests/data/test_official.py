"""CIFAR and Fashion-MNIST from files in the official layout, made here; the checksums are those of the files made."""

import gzip
import hashlib
import os
import pickle
import struct
import tarfile
from dataclasses import replace

import numpy as np
import pytest
import torch

from sparring.config import DataConfig
from sparring.data import load_images
from sparring.data.cifar import CIFAR, load_cifar
from sparring.data.download import fetch
from sparring.data.fashion_mnist import load_fashion_mnist, read_idx

PER_FILE = 6


def md5(content):
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def text(value):
    value = value.encode() if isinstance(value, str) else value
    return b"T" + struct.pack("<i", len(value)) + value


def python2_array(array):
    """The opcodes with which Python 2 pickled a uint8 matrix: what the official files hold."""
    n, m = array.shape
    shape = b"J" + struct.pack("<i", n) + b"J" + struct.pack("<i", m) + b"\x86"
    dtype = (
        b"cnumpy\ndtype\n" + text("u1") + b"K\0K\1\x87R(K\3" + text("|") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb"
    )
    start = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85" + text("b") + b"\x87R"
    return start + b"(K\1" + shape + dtype + b"\x89" + text(array.tobytes()) + b"tb"


def python2_list(values):
    return b"](" + b"".join(text(v) if isinstance(v, str) else b"K" + bytes([v]) for v in values) + b"e"


def python2_pickle(entries):
    return b"\x80\x02}(" + b"".join(text(key) + value for key, value in entries.items()) + b"u."


def make(name, root, version):
    """All files of a data set in `root`, its description with their checksums, and what they hold."""
    official, rng, files, truth = CIFAR[name], np.random.default_rng(0), {}, {}
    *images, names = official.python_md5
    count = int(name.removeprefix("cifar"))
    for file in images:
        truth[file] = rng.integers(0, 256, (PER_FILE, 3072), dtype=np.uint8), rng.integers(0, count, PER_FILE)
        pixels, labels = truth[file]
        if version == "python":
            files[file] = python2_pickle(
                {"data": python2_array(pixels), official.label_key: python2_list(labels.tolist())}
            )
        else:
            coarse = np.full((PER_FILE, official.label_bytes - 1), 255)
            files[f"{file}.bin"] = np.hstack([coarse, labels[:, None], pixels]).astype(np.uint8).tobytes()
    classes = [f"class{i}" for i in range(count)]
    if version == "python":
        files[names] = python2_pickle({official.names_key: python2_list(classes)})
        official = replace(official, python_md5={file: md5(content) for file, content in files.items()})
    else:
        files[official.classes] = "\n".join([*classes, ""]).encode()
    folder = root / (official.python_folder if version == "python" else official.binary_folder)
    folder.mkdir(parents=True)
    for file, content in files.items():
        (folder / file).write_bytes(content)
    train = [np.concatenate(parts) for parts in zip(*(truth[file] for file in images[:-1]), strict=True)]
    return official, folder, train, truth[images[-1]]


def pack(folder, archive):
    with tarfile.open(archive, "w:gz") as out:
        out.add(folder, arcname=folder.name)


@pytest.fixture(params=["cifar10", "cifar100"])
def name(request):
    return request.param


class TestCifar:
    @pytest.mark.parametrize("version", ["python", "binary"])
    @pytest.mark.parametrize("packed", [False, True], ids=["folder", "archive"])
    def test_every_version_gives_the_same_images(self, tmp_path, name, version, packed):
        root = tmp_path / "root"
        official, folder, *expected = make(name, tmp_path if packed else root, version)
        if packed:
            root.mkdir()
            pack(folder, root / (official.python if version == "python" else official.binary))
        for images, (pixels, labels) in zip(
            load_cifar(name, root, download=False, official=official), expected, strict=True
        ):
            assert torch.equal(images.images, torch.from_numpy(pixels.reshape(-1, 3, 32, 32)))
            assert images.labels.tolist() == labels.tolist()
            assert (images.name, images.classes[3]) == (name, "class3")
            assert len(images.classes) == int(name.removeprefix("cifar"))

    def test_root_may_be_the_folder_itself(self, tmp_path, name):
        official, folder, *_ = make(name, tmp_path, "binary")
        assert len(load_cifar(name, folder, download=False, official=official)[1]) == PER_FILE

    def test_a_pickle_with_another_checksum_is_refused_unread(self, tmp_path, name):
        official, folder, *_ = make(name, tmp_path, "python")
        victim = tmp_path / "ran"

        class Evil:
            def __reduce__(self):
                return os.mkdir, (str(victim),)

        test_file = list(official.python_md5)[-2]
        (folder / test_file).write_bytes(pickle.dumps(Evil()))
        with pytest.raises(ValueError, match=f"{test_file} in .* is a pickle whose MD5 is not the official"):
            load_cifar(name, tmp_path, download=False, official=official)
        # Even a file of the right checksum gets no more than arrays.
        checksums = {**official.python_md5, test_file: md5((folder / test_file).read_bytes())}
        with pytest.raises(ValueError, match="mkdir"):
            load_cifar(name, tmp_path, download=False, official=replace(official, python_md5=checksums))
        assert not victim.exists()

    def test_the_official_checksums_stand_when_nothing_else_is_said(self, tmp_path, name):
        make(name, tmp_path, "python")
        with pytest.raises(ValueError, match="MD5 is not the official"):
            load_images(DataConfig(name=name, root=str(tmp_path)), seed=0)

    def test_missing_files_say_what_to_put_where(self, tmp_path, name):
        with pytest.raises(
            ValueError,
            match=rf"{name} is not in .*put cifar-{name[5:]}-binary\.tar\.gz .*or ask for it with data\.download",
        ):
            load_images(DataConfig(name=name, root=str(tmp_path)), seed=0)

    def test_truncated_and_lacking_files(self, tmp_path, name):
        official, folder, *_ = make(name, tmp_path, "binary")
        file = sorted(folder.glob("*.bin"))[-1]
        file.write_bytes(file.read_bytes()[:-1])
        with pytest.raises(ValueError, match=rf"{file.name} has .* truncated"):
            load_cifar(name, tmp_path, download=False, official=official)
        file.unlink()
        with pytest.raises(ValueError, match=rf"lacks the file {file.name}"):
            load_cifar(name, tmp_path, download=False, official=official)

    def test_a_damaged_archive(self, tmp_path, name):
        official, folder, *_ = make(name, tmp_path / "made", "binary")
        pack(folder, tmp_path / official.binary)
        whole = (tmp_path / official.binary).read_bytes()
        (tmp_path / official.binary).write_bytes(whole[: len(whole) // 2])
        with pytest.raises(ValueError, match="is damaged"):
            load_cifar(name, tmp_path, download=False, official=official)

    def test_download_happens_when_asked_for(self, tmp_path, name):
        official, folder, *_ = make(name, tmp_path / "made", "binary")
        server = tmp_path / "server"
        server.mkdir()
        pack(folder, server / official.binary)
        checksum = md5((server / official.binary).read_bytes())
        official = replace(official, url=f"{server.as_uri()}/", binary_md5=checksum)
        seen = []
        train, _ = load_cifar(
            name,
            tmp_path / "new",
            download=True,
            official=official,
            progress=lambda done, total: seen.append((done, total)),
        )
        assert len(train) == PER_FILE * (len(official.python_md5) - 2)
        size = (server / official.binary).stat().st_size
        assert seen[-1] == (size, size)
        load_cifar(name, tmp_path / "new", download=False, official=official)


class TestFetch:
    def test_a_wrong_checksum_leaves_nothing(self, tmp_path):
        (tmp_path / "source").write_bytes(b"something else")
        with pytest.raises(ValueError, match=r"MD5 .* instead of 0{32}; nothing was kept"):
            fetch((tmp_path / "source").as_uri(), tmp_path / "into" / "file", "0" * 32)
        assert not list((tmp_path / "into").iterdir())

    def test_a_failing_download_leaves_nothing(self, tmp_path):
        with pytest.raises(OSError, match="absent"):
            fetch((tmp_path / "absent").as_uri(), tmp_path / "into" / "file", "0" * 32)
        assert not list((tmp_path / "into").iterdir())


def idx(array):
    return struct.pack(">BBBB", 0, 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def make_fashion(root, packed):
    rng, root = np.random.default_rng(0), root
    arrays = {
        "train-images-idx3-ubyte": rng.integers(0, 256, (12, 28, 28), dtype=np.uint8),
        "train-labels-idx1-ubyte": rng.integers(0, 10, 12, dtype=np.uint8),
        "t10k-images-idx3-ubyte": rng.integers(0, 256, (5, 28, 28), dtype=np.uint8),
        "t10k-labels-idx1-ubyte": rng.integers(0, 10, 5, dtype=np.uint8),
    }
    root.mkdir(parents=True, exist_ok=True)
    for name, array in arrays.items():
        (root / (f"{name}.gz" if packed else name)).write_bytes(gzip.compress(idx(array)) if packed else idx(array))
    return arrays


class TestFashionMnist:
    @pytest.mark.parametrize("packed", [False, True], ids=["raw", "gz"])
    @pytest.mark.parametrize("below", ["", "FashionMNIST/raw"], ids=["root", "torchvision"])
    def test_images_and_labels(self, tmp_path, packed, below):
        arrays = make_fashion(tmp_path / below, packed)
        train, test = load_images(DataConfig(name="fashion-mnist", root=str(tmp_path)), seed=0)
        assert np.array_equal(train.images[:, 0].numpy(), arrays["train-images-idx3-ubyte"])
        assert np.array_equal(test.labels.numpy(), arrays["t10k-labels-idx1-ubyte"])
        assert (train.name, train.channels, train.image_size, train.classes[9]) == (
            "fashion-mnist",
            1,
            28,
            "Ankle boot",
        )

    def test_missing_files_say_what_to_put_where(self, tmp_path, monkeypatch):
        monkeypatch.setattr("sparring.data.fashion_mnist.DEBIAN", tmp_path / "no package")
        make_fashion(tmp_path, packed=True)
        (tmp_path / "t10k-labels-idx1-ubyte.gz").unlink()
        with pytest.raises(ValueError, match=r"put t10k-labels-idx1-ubyte\.gz .*ask for it with data\.download"):
            load_images(DataConfig(name="fashion-mnist", root=str(tmp_path)), seed=0)

    def test_the_package_of_debian_is_found(self, tmp_path, monkeypatch):
        monkeypatch.setattr("sparring.data.fashion_mnist.DEBIAN", tmp_path / "package")
        make_fashion(tmp_path / "package", packed=True)
        assert len(load_fashion_mnist(tmp_path / "empty", download=False)[1]) == 5

    def test_download(self, tmp_path, monkeypatch):
        monkeypatch.setattr("sparring.data.fashion_mnist.DEBIAN", tmp_path / "no package")
        arrays = make_fashion(tmp_path / "server", packed=True)
        files = {name: md5((tmp_path / "server" / f"{name}.gz").read_bytes()) for name in arrays}
        url = f"{(tmp_path / 'server').as_uri()}/"
        assert len(load_fashion_mnist(tmp_path / "new", download=True, url=url, files=files)[0]) == 12
        with pytest.raises(ValueError, match="nothing was kept"):
            load_fashion_mnist(tmp_path / "other", download=True, url=url)  # the official checksums

    def test_damaged_files(self, tmp_path):
        array = np.zeros((3, 4), dtype=np.uint8)
        for content, message in [
            (idx(array)[:-1], "truncated"),
            (idx(array)[:6], "truncated"),
            (b"\0\0\x0d\x01" + bytes(8), "no idx file"),
            (b"", "no idx file"),
        ]:
            (tmp_path / "x").write_bytes(content)
            with pytest.raises(ValueError, match=message):
                read_idx(tmp_path / "x")
        (tmp_path / "x.gz").write_bytes(gzip.compress(idx(array))[:-9])
        with pytest.raises(ValueError, match=r"x\.gz is damaged"):
            read_idx(tmp_path / "x.gz")
