"""Data sets in their official layouts, against torchvision's readers where it has one, and damaged in every way."""

import shutil
import warnings
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.io import savemat
from torchvision import datasets

from sparring.config import DataConfig
from sparring.data import SOURCES, load_images, splits
from sparring.data.imagenet import imagenet100_wnids
from sparring.measuring import TRANSFER
from tests.data import layouts

pytestmark = pytest.mark.filterwarnings("ignore:.*published numbers")


def rows(listing):
    """(name of the file, name of the class), in the order of the listing."""
    return [(f.name, listing.classes[c]) for f, c in zip(listing.files, listing.labels.tolist(), strict=True)]


def read(name, root, seed=0):
    return splits(name, root, seed=seed)


class TestAgainstTorchvision:
    @pytest.mark.parametrize(
        ("name", "reader", "parts"),
        [
            ("aircraft", datasets.FGVCAircraft, ("train", "val", "test")),
            ("dtd", datasets.DTD, ("train", "val", "test")),
            ("cars", datasets.StanfordCars, ("train", None, "test")),
        ],
    )
    def test_same_files_and_classes(self, name, reader, parts, tmp_path):
        layouts.MAKE[name](tmp_path)
        ours = read(name, tmp_path)
        for part, split in zip((ours.train, ours.val, ours.test), parts, strict=True):
            if split is None:
                assert part is None
                continue
            theirs = reader(tmp_path, split=split, loader=str)
            assert [(str(f), c) for f, c in zip(part.files, part.labels.tolist(), strict=True)] == [*theirs]
            assert list(part.classes) == theirs.classes

    def test_pets(self, tmp_path):
        layouts.pets(tmp_path)
        ours = read("pets", tmp_path)
        for part, split in ((ours.train, "trainval"), (ours.test, "test")):
            theirs = datasets.OxfordIIITPet(tmp_path, split=split)
            assert part.labels.tolist() == [theirs[i][1] for i in range(len(theirs))]
            assert [c.replace("_", " ").title() for c in part.classes] == theirs.classes
        assert ours.val is None

    def test_flowers(self, tmp_path, monkeypatch):
        layouts.flowers(tmp_path)
        monkeypatch.setattr(datasets.Flowers102, "_check_integrity", lambda self: True)  # checksums of the whole set
        ours = read("flowers", tmp_path)
        for part, split in ((ours.train, "train"), (ours.val, "val"), (ours.test, "test")):
            theirs = datasets.Flowers102(tmp_path, split=split, loader=str)
            assert [(str(f), c) for f, c in zip(part.files, part.labels.tolist(), strict=True)] == [*theirs]

    def test_caltech_is_divided_by_a_draw(self, tmp_path):
        layouts.caltech101(tmp_path)
        ours, again, other = (read("caltech101", tmp_path, seed) for seed in (0, 0, 1))
        assert ours.train.labels.bincount().tolist() == [30] * 3
        assert ours.test.labels.bincount().tolist() == [3] * 3
        assert ours.train.files == again.train.files != other.train.files
        theirs = datasets.Caltech101(tmp_path)
        found = Counter(rows(ours.train) + rows(ours.test))
        named = Counter(
            (f"image_{i:04d}.jpg", theirs.categories[c]) for i, c in zip(theirs.index, theirs.y, strict=True)
        )
        background = {key: n for key, n in found.items() if key[1] == "BACKGROUND_Google"}
        assert found == named | Counter(background) and len(background) == 33

    def test_caltech_as_its_archive_has_it_is_complete(self, tmp_path):
        """101 classes with 8,677 images together, 467 of background and a file beside them that is none."""
        for number in range(102):
            folder = (
                tmp_path / "caltech101" / "101_ObjectCategories" / ("BACKGROUND_Google" if not number else f"c{number}")
            )
            folder.mkdir(parents=True)
            for i in range(467 if not number else 8677 // 101 + (number <= 8677 % 101)):
                (folder / f"image_{i + 1:04d}.jpg").touch()
        (tmp_path / "caltech101" / "101_ObjectCategories" / "BACKGROUND_Google" / "tmp").touch()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = read("caltech101", tmp_path)
        assert (len(found.train.files), len(found.test.files)) == (3060, 6084)


class TestTinyImageNet:
    def test_folder_and_zip_are_the_same(self, tmp_path):
        base = layouts.tiny_imagenet(tmp_path)
        found = read("tiny-imagenet", tmp_path)
        assert found.train.classes == ("n01", "n02", "n03")
        assert rows(found.train)[:3] == [("n01_0.JPEG", "n01"), ("n01_1.JPEG", "n01"), ("n02_0.JPEG", "n02")]
        assert [name for _, name in rows(found.test)] == ["n01", "n02", "n03", "n01"]
        packed = tmp_path / "packed"
        packed.mkdir()
        with zipfile.ZipFile(packed / "tiny-imagenet-200.zip", "w") as archive:
            for file in sorted(base.rglob("*")):
                archive.write(file, file.relative_to(tmp_path))
        assert rows(read("tiny-imagenet", packed).test) == rows(found.test)
        assert sorted(entry.name for entry in packed.iterdir()) == ["tiny-imagenet-200", "tiny-imagenet-200.zip"]

    def test_images_at_64_and_streamed_at_224_pixels(self, tmp_path):
        layouts.tiny_imagenet(tmp_path)
        config = DataConfig(name="tiny-imagenet", root=str(tmp_path))
        train, _ = load_images(config, seed=0)
        assert train.images.shape == (6, 3, 64, 64)
        assert [round(c) for c in train.images[2].float().mean((1, 2)).tolist()] == pytest.approx(
            [40, 9, 9], abs=2
        )  # JPEG
        large = DataConfig(name="tiny-imagenet", root=str(tmp_path), image_size=224, loading="stream", workers=0)
        train, test = load_images(large, seed=0)
        assert next(iter(train.images)).shape == (6, 3, 224, 224) and test.image_size == 224

    def test_a_damaged_archive_leaves_nothing(self, tmp_path):
        (tmp_path / "tiny-imagenet-200.zip").write_bytes(b"PK\x03\x04 cut off")
        with pytest.raises(ValueError, match=r"tiny-imagenet-200\.zip is damaged"):
            read("tiny-imagenet", tmp_path)
        with zipfile.ZipFile(tmp_path / "tiny-imagenet-200.zip", "w") as archive:
            archive.writestr("other/file.txt", "x")
        with pytest.raises(ValueError, match="it is not the official archive"):
            read("tiny-imagenet", tmp_path)
        assert [entry.name for entry in tmp_path.iterdir()] == ["tiny-imagenet-200.zip"]

    @pytest.mark.parametrize(
        ("file", "content", "sentence"),
        [
            ("wnids.txt", "n01\nn02\nn02\n", "names the class n02 twice"),
            ("wnids.txt", "n01\nn02\nn99\n", "n99/images holds no images|names the class n03, which wnids.txt has not"),
            ("val/val_annotations.txt", "val_0.JPEG n01\n", "line 1 is 'val_0.JPEG n01', not IMAGE CLASS and a box"),
            ("val/val_annotations.txt", "val_9.JPEG n01 0 0 1 1\n", r"val_9.JPEG is missing \(1 of the 1 images"),
            ("val/val_annotations.txt", "val_0.JPEG n01 0 0 1 1\n" * 2, "names val_0.JPEG 2 times"),
            ("val/val_annotations.txt", "", "names no images"),
        ],
    )
    def test_damaged_lists(self, file, content, sentence, tmp_path):
        (layouts.tiny_imagenet(tmp_path) / file).write_text(content)
        with pytest.raises(ValueError, match=sentence):
            read("tiny-imagenet", tmp_path)


class TestImageNet:
    def test_val_in_folders_and_flat_with_either_list(self, tmp_path):
        wnids = ("n01440764", "n01443537", "n01484850")
        expected = [(f"ILSVRC2012_val_{n:08d}.JPEG", wnid) for n, wnid in enumerate(reversed(wnids), start=1)]
        folders = read("imagenet", layouts.imagenet(tmp_path / "a"))
        assert sorted(rows(folders.test)) == expected and folders.train.classes == wnids
        kaggle = tmp_path / "b"
        layouts.imagenet(kaggle / "ILSVRC" / "Data" / "CLS-LOC", flat=True)
        lines = [f"ILSVRC2012_val_{n:08d},{wnid} 1 2 3 4 {wnid} 5 6 7 8\n" for n, wnid in enumerate(reversed(wnids), 1)]
        (kaggle / "LOC_val_solution.csv").write_text("ImageId,PredictionString\n" + "".join(reversed(lines)))
        assert rows(read("imagenet", kaggle).test) == expected
        plain = layouts.imagenet(tmp_path / "c", flat=True)
        (plain / "imagenet_2012_validation_synset_labels.txt").write_text("\n".join(reversed(wnids)))
        assert rows(read("imagenet", plain).test) == expected

    def test_a_flat_val_without_a_list(self, tmp_path):
        layouts.imagenet(tmp_path, flat=True)
        with pytest.raises(
            ValueError, match=r"nothing says their classes: sort them into val/<wnid>/, or put LOC_val_sol"
        ):
            read("imagenet", tmp_path)
        (tmp_path / "imagenet_2012_validation_synset_labels.txt").write_text("n01440764\n")
        with pytest.raises(ValueError, match=r"has 1 lines, but .* holds 3 images"):
            read("imagenet", tmp_path)
        (tmp_path / "LOC_val_solution.csv").write_text(
            "ImageId,PredictionString\nILSVRC2012_val_00000001,n01440764 1\n"
        )
        with pytest.raises(ValueError, match=r"does not name ILSVRC2012_val_00000002\.JPEG"):
            read("imagenet", tmp_path)

    def test_a_class_of_val_without_images(self, tmp_path):
        shutil.rmtree(layouts.imagenet(tmp_path) / "val" / "n01443537")
        with pytest.raises(ValueError, match=r"val/n01443537 holds no images"):
            read("imagenet", tmp_path)
        shutil.rmtree(tmp_path / "val")
        with pytest.raises(ValueError, match="has train but no val"):
            read("imagenet", tmp_path)

    def test_imagenet100_takes_its_classes_and_no_others(self, tmp_path):
        wnids = imagenet100_wnids()
        assert len(set(wnids)) == 100 and all(w[0] == "n" and len(w) == 9 for w in wnids)
        assert (wnids[0], wnids[-1]) == ("n02869837", "n02090622")
        layouts.imagenet(tmp_path, ("n01440764", *wnids))  # goldfish's neighbour is none of the 100
        found = read("imagenet100", tmp_path)
        assert found.sizes == (200, 0, 100) and found.train.classes == tuple(sorted(wnids))
        assert not [file for file in found.train.files if "n01440764" in file.name]
        shutil.rmtree(tmp_path / "train" / "n02869837")
        with pytest.raises(ValueError, match="lacks 1 of the 100 classes of imagenet100, the first being n02869837"):
            read("imagenet100", tmp_path)


class TestDamaged:
    @pytest.mark.parametrize("name", sorted(layouts.MAKE.keys() - {"caltech101", "imagenet"}))
    def test_a_missing_image_is_named(self, name, tmp_path):
        layouts.MAKE[name](tmp_path)
        gone = read(name, tmp_path).test.files[1]
        gone.unlink()
        with pytest.raises(ValueError, match=rf"{gone.name} is missing \(1 of the \d images"):
            read(name, tmp_path)

    def test_an_image_in_two_parts(self, tmp_path):
        data = layouts.aircraft(tmp_path)
        shutil.copy(data / "images_variant_train.txt", data / "images_variant_test.txt")
        with pytest.raises(ValueError, match=r"0034959\.jpg is both a training and a test image"):
            read("aircraft", tmp_path)

    def test_an_unknown_class(self, tmp_path):
        (layouts.aircraft(tmp_path) / "images_variant_val.txt").write_text("0034962 Concorde\n")
        with pytest.raises(ValueError, match="names the class 'Concorde', which is none of the 3"):
            read("aircraft", tmp_path)

    def test_pets_whose_numbers_contradict_each_other(self, tmp_path):
        base = layouts.pets(tmp_path)
        (base / "annotations" / "test.txt").write_text("Abyssinian_1 2 1 1\n")
        with pytest.raises(ValueError, match="gives class 2 to Abyssinian, earlier to american_bulldog"):
            read("pets", tmp_path)
        (base / "annotations" / "test.txt").write_text("Abyssinian_1 one 1 1\n")
        with pytest.raises(ValueError, match="'one' is no number of a class"):
            read("pets", tmp_path)
        (base / "annotations" / "test.txt").unlink()
        with pytest.raises(ValueError, match=r"test\.txt is missing"):
            read("pets", tmp_path)

    def test_cars_without_test_labels_or_with_a_broken_file(self, tmp_path):
        base = layouts.cars(tmp_path)
        labelled = base / "cars_test_annos_withlabels.mat"
        content = labelled.read_bytes()
        labelled.write_bytes(content[: len(content) // 2])
        with pytest.raises(ValueError, match=r"withlabels\.mat is damaged: no \.mat file"):
            read("cars", tmp_path)
        savemat(labelled, {"annotations": np.array([(1,)], dtype=[("other", "O")])})
        with pytest.raises(ValueError, match="its annotations lack fname or class"):
            read("cars", tmp_path)
        labelled.unlink()
        with pytest.raises(ValueError, match="the devkit's own test annotations have no labels"):
            read("cars", tmp_path)

    def test_flowers_beyond_their_labels(self, tmp_path):
        base = layouts.flowers(tmp_path)
        savemat(base / "setid.mat", {"trnid": [[1]], "valid": [[2]], "tstid": [[9]]})
        with pytest.raises(ValueError, match=r"names image 9, but imagelabels\.mat has 8 labels"):
            read("flowers", tmp_path)
        savemat(base / "setid.mat", {"trnid": [[1]], "valid": [[2]]})
        with pytest.raises(ValueError, match="it lacks 'tstid'"):
            read("flowers", tmp_path)

    def test_caltech_with_too_few_images(self, tmp_path):
        base = layouts.caltech101(tmp_path)
        for i in (31, 32, 33):
            (base / "wrench" / f"image_{i:04d}.jpg").unlink()
        with pytest.raises(ValueError, match="wrench holds 30 images; 30 are for training"):
            read("caltech101", tmp_path)


class TestSources:
    def test_every_transfer_set_can_be_read(self):
        assert {"cifar10", "cifar100"} | SOURCES.keys() == TRANSFER.keys() | {
            "cifar10",
            "tiny-imagenet",
            "imagenet",
            "imagenet100",
        }

    @pytest.mark.parametrize("name", SOURCES)
    def test_what_is_not_there_says_where_to_get_it(self, name, tmp_path):
        with pytest.raises(ValueError, match=rf"{name} is not in .*: put .* there \(from http") as refusal:
            read(name, tmp_path / "nowhere")
        assert ("with data.download" in str(refusal.value)) == (not SOURCES[name].why_not)

    @pytest.mark.parametrize("name", ["cars", "imagenet", "imagenet100"])
    def test_what_cannot_be_downloaded_says_why(self, name, tmp_path):
        with pytest.raises(
            ValueError, match=r"it is not downloaded here \((its publishers' links are dead|its licence)"
        ):
            splits(name, tmp_path / "new", seed=0, download=True)
        assert not (tmp_path / "new").exists()

    def test_a_download_goes_through_torchvision(self, tmp_path, monkeypatch):
        monkeypatch.setattr(datasets, "DTD", lambda root, download: layouts.dtd(Path(root)))
        assert splits("dtd", tmp_path / "dtd", seed=0, download=True).sizes == (2, 2, 2)

        def fails(root, download):
            raise RuntimeError("File not found or corrupted.")

        monkeypatch.setattr(datasets, "OxfordIIITPet", fails)
        with pytest.raises(ValueError, match=r"pets could not be downloaded .*File not found or corrupted.*from https"):
            splits("pets", tmp_path / "pets", seed=0, download=True)
        assert not [*(tmp_path / "pets").iterdir()]
        (tmp_path / "pets" / "oxford-iiit-pet" / "images").mkdir(parents=True)
        with pytest.raises(ValueError, match=r"pets is not whole in .*oxford-iiit-pet: remove that folder"):
            splits("pets", tmp_path / "pets", seed=0, download=True)

    @pytest.mark.parametrize("name", [name for name, source in SOURCES.items() if source.torchvision])
    def test_torchvision_makes_the_folder_that_is_named(self, name, tmp_path):
        _, made = SOURCES[name].torchvision
        layouts.MAKE[name](tmp_path)  # which torchvision's readers read, above
        assert (tmp_path / made).is_dir()

    @pytest.mark.filterwarnings("default")
    def test_other_numbers_than_the_published_ones_are_told(self, tmp_path):
        layouts.pets(tmp_path)
        with pytest.warns(
            UserWarning, match=r"pets in .*: not the published numbers of images: 6, 6 instead of 3,680, 3,669"
        ):
            read("pets", tmp_path)

    def test_training_on_one_takes_training_and_validation_images(self, tmp_path):
        layouts.flowers(tmp_path)
        config = DataConfig(name="flowers", root=str(tmp_path), image_size=8, test_images=2)
        train, test = load_images(config, seed=0)
        assert train.images.shape == (4, 3, 8, 8) and train.labels.tolist() == [1, 0, 0, 1]
        assert len(test) == 2 and isinstance(test.images, torch.Tensor) and test.name == "flowers"
