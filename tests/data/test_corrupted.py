"""Official corrupted folders: what is read of them, and every way in which they are refused."""

import tracemalloc

import numpy as np
import pytest
import torch

from sparring.data import StreamedImages
from sparring.data.corrupted import CORRUPTIONS, EXTRA, open_corrupted
from tests.data.corrupted_folders import LABELS, cifar_c, imagenet_c, pixels


class TestArrays:
    def test_every_slice_is_its_severity(self, tmp_path):
        corrupted = open_corrupted(cifar_c(tmp_path / "CIFAR-10-C"))
        assert corrupted.names == CORRUPTIONS and corrupted.missing == () and corrupted.extra == ()
        assert (corrupted.name, corrupted.table, corrupted.severities) == ("CIFAR-10-C", "cifar", (1, 2, 3, 4, 5))
        for k, name in enumerate(CORRUPTIONS):
            for severity in corrupted.severities:
                loaded = corrupted.load(name, severity)
                assert loaded.images.dtype == torch.uint8 and loaded.images.is_contiguous()
                assert torch.equal(loaded.images, torch.from_numpy(pixels(k, severity)).permute(0, 3, 1, 2))
                assert loaded.labels.tolist() == LABELS.tolist()
        assert loaded.name == "CIFAR-10-C, jpeg_compression 5"
        assert loaded.classes == ("0", "1", "2")

    def test_the_benchmarks_names_are_those_that_are_made_on_the_fly(self):
        from sparring.evaluation.corruptions import NAMES, SEVERITIES

        assert tuple(NAMES) == CORRUPTIONS
        assert SEVERITIES == (1, 2, 3, 4, 5)

    def test_a_part_of_the_corruptions(self, tmp_path):
        corrupted = open_corrupted(cifar_c(tmp_path, ("fog", "gaussian_noise", "spatter")))
        assert corrupted.names == ("gaussian_noise", "fog")
        assert corrupted.extra == ("spatter",) and set(corrupted.extra) <= set(EXTRA)
        assert len(corrupted.missing) == 13 and "snow" in corrupted.missing
        assert torch.equal(corrupted.load("spatter", 2).images, torch.from_numpy(pixels(2, 2)).permute(0, 3, 1, 2))

    def test_only_the_asked_images_are_read(self, tmp_path):
        """Of a file of the official size, 154 MB (of holes), four images take less than 1 MB of memory."""
        shape = (50_000, 32, 32, 3)
        file = np.lib.format.open_memmap(tmp_path / "fog.npy", mode="w+", dtype=np.uint8, shape=shape)
        file[20_000:20_003] = 7
        file.flush()
        np.save(tmp_path / "labels.npy", np.tile(np.arange(10_000) % 10, 5))
        corrupted = open_corrupted(tmp_path).subset(4)
        tracemalloc.start()
        images = corrupted.load("fog", 3).images
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 1e6
        assert images[:, 0, 0, 0].tolist() == [7, 7, 7, 0]
        assert not corrupted.load("fog", 2).images.any()

    def test_names_of_classes(self, tmp_path):
        assert open_corrupted(cifar_c(tmp_path), classes=["cat", "dog", "emu"]).classes == ("cat", "dog", "emu")


class TestSubsets:
    def test_the_same_images_under_every_corruption(self, tmp_path):
        whole = open_corrupted(cifar_c(tmp_path))
        part = whole.subset(3, seed=4)
        assert len(part) == 3 and part.labels.unique().tolist() == [0, 1, 2]
        assert torch.equal(part.index, whole.subset(3, seed=4).index)
        for name, severity in (("fog", 1), ("snow", 5)):
            assert torch.equal(part.load(name, severity).images, whole.load(name, severity).images[part.index])
        assert torch.equal(part.labels, whole.labels[part.index])

    def test_seeds_differ(self, tmp_path):
        whole = open_corrupted(cifar_c(tmp_path))
        assert len({tuple(whole.subset(3, seed=seed).index.tolist()) for seed in range(8)}) > 1

    def test_the_first_images_and_a_choice_of_a_choice(self, tmp_path):
        whole = open_corrupted(cifar_c(tmp_path))
        assert whole.subset(2).index.tolist() == [0, 1]
        twice = whole.select(torch.tensor([5, 3, 1])).select(torch.tensor([2, 0]))
        assert twice.index.tolist() == [1, 5]
        assert torch.equal(twice.load("fog", 2).images, whole.load("fog", 2).images[[1, 5]])

    def test_refusals(self, tmp_path):
        whole = open_corrupted(cifar_c(tmp_path))
        for n in (0, 7):
            with pytest.raises(ValueError, match=rf"n: {n}, but .* has 1 to 6 images"):
                whole.subset(n)
        with pytest.raises(ValueError, match="index: it is empty"):
            whole.select(torch.tensor([], dtype=torch.int64))
        with pytest.raises(ValueError, match=r"index: -1 to 2, but .* images 0 to 5"):
            whole.select(torch.tensor([2, -1]))


class TestFolders:
    def test_streamed_class_by_class(self, tmp_path):
        corrupted = open_corrupted(imagenet_c(tmp_path / "ImageNet-C"), image_size=8, workers=0)
        assert (corrupted.name, corrupted.table) == ("ImageNet-C", "imagenet")
        assert corrupted.names == ("snow", "fog") and len(corrupted.missing) == 13
        assert corrupted.classes == ("n01", "n02") and corrupted.labels.tolist() == [0, 0, 1, 1]
        loaded = corrupted.load("snow", 3)
        assert isinstance(loaded.images, StreamedImages)
        images = torch.cat(list(loaded.images)).float().mean(dim=(2, 3))
        expected = torch.tensor([[40.0, 150, 20 * i] for i in range(4)])
        assert (images - expected).abs().max() < 3  # JPEG

    def test_resized_and_cropped_on_asking(self, tmp_path):
        corrupted = open_corrupted(imagenet_c(tmp_path, ("fog",), size=(12, 9)), image_size=6, workers=0)
        assert corrupted.load("fog", 1).images.shape == (4, 3, 6, 6)

    def test_below_the_archives_folders(self, tmp_path):
        imagenet_c(tmp_path / "weather", ("fog",))
        imagenet_c(tmp_path / "extra", ("spatter",))
        corrupted = open_corrupted(tmp_path, image_size=8, workers=0)
        assert corrupted.names == ("fog",) and corrupted.extra == ("spatter",)
        assert len(corrupted.load("spatter", 5)) == 4

    def test_classes_are_chosen_and_ordered_by_name(self, tmp_path):
        imagenet_c(tmp_path, ("fog",), ("n01", "n02", "n03"))
        corrupted = open_corrupted(tmp_path, classes=["n03", "n01"], image_size=8, workers=0)
        assert corrupted.classes == ("n03", "n01") and corrupted.labels.tolist() == [0, 0, 1, 1]
        blue = torch.cat(list(corrupted.load("fog", 1).images))[:, 2].float().mean(dim=(1, 2))
        assert (blue - torch.tensor([80.0, 100, 0, 20])).abs().max() < 3

    def test_a_subset_is_the_same_files_under_every_corruption(self, tmp_path):
        part = open_corrupted(imagenet_c(tmp_path), image_size=8, workers=0).subset(2, seed=1)
        assert part.labels.tolist() == [0, 1]
        names = [tuple(f.parts[-2:] for f in part.load(n, s).images.files) for n in part.names for s in (1, 5)]
        assert len(set(names)) == 1


class TestRefusedArrays:
    def test_no_labels(self, tmp_path):
        (cifar_c(tmp_path) / "labels.npy").unlink()
        with pytest.raises(ValueError, match=r"lacks labels\.npy"):
            open_corrupted(tmp_path)

    def test_a_wrong_length(self, tmp_path):
        np.save(cifar_c(tmp_path) / "fog.npy", np.zeros((24, 4, 4, 3), np.uint8))
        with pytest.raises(ValueError, match=r"fog\.npy has shape \(24, 4, 4, 3\); .* must be \(30, 4, 4, 3\)"):
            open_corrupted(tmp_path)

    @pytest.mark.parametrize("shape", [(30,), (30, 4, 4), (30, 4, 5, 3), (30, 3, 4, 4)])
    def test_a_wrong_shape(self, tmp_path, shape):
        np.save(cifar_c(tmp_path) / "fog.npy", np.zeros(shape, np.uint8))
        with pytest.raises(ValueError, match=r"fog\.npy has shape .* it must be \(30, "):
            open_corrupted(tmp_path)

    def test_a_wrong_type(self, tmp_path):
        np.save(cifar_c(tmp_path) / "fog.npy", np.zeros((30, 4, 4, 3), np.float32))
        with pytest.raises(ValueError, match=r"fog\.npy holds float32; it must hold uint8"):
            open_corrupted(tmp_path)

    @pytest.mark.parametrize("kept", [0, 20, 100, 1000])
    @pytest.mark.parametrize("name", ["fog", "labels"])
    def test_a_file_that_is_cut_off(self, tmp_path, kept, name):
        file = cifar_c(tmp_path) / f"{name}.npy"
        file.write_bytes(file.read_bytes()[: min(kept, file.stat().st_size - 1)])
        with pytest.raises(ValueError, match=rf"{name}\.npy is cut off or no array file .*unpack it again"):
            open_corrupted(tmp_path)

    def test_a_file_cut_off_after_opening(self, tmp_path):
        corrupted = open_corrupted(cifar_c(tmp_path))
        file = tmp_path / "fog.npy"
        file.write_bytes(file.read_bytes()[:500])
        with pytest.raises(ValueError, match=r"fog\.npy is cut off"):
            corrupted.load("fog", 1)

    def test_a_pickle_is_not_opened(self, tmp_path):
        np.save(cifar_c(tmp_path) / "fog.npy", np.array([print, None], dtype=object), allow_pickle=True)
        with pytest.raises(ValueError, match=r"fog\.npy is cut off or no array file"):
            open_corrupted(tmp_path)

    def test_labels_outside_the_classes(self, tmp_path):
        np.save(cifar_c(tmp_path) / "labels.npy", np.tile(np.array([0, 1, 2, 2, 1, -1]), 5))
        with pytest.raises(ValueError, match=r"labels -1 to 2, outside the 3 classes"):
            open_corrupted(tmp_path)
        cifar_c(tmp_path)
        with pytest.raises(ValueError, match=r"labels 0 to 2, outside the 2 classes"):
            open_corrupted(tmp_path, classes=["a", "b"])

    def test_more_classes_than_labels(self, tmp_path):
        with pytest.raises(ValueError, match=r"3 different labels, but there are 4 classes"):
            open_corrupted(cifar_c(tmp_path), classes=["a", "b", "c", "d"])

    def test_labels_of_a_wrong_kind(self, tmp_path):
        np.save(cifar_c(tmp_path) / "labels.npy", np.zeros(30, np.float32))
        with pytest.raises(ValueError, match=r"labels\.npy has shape \(30,\) of float32; .* whole numbers"):
            open_corrupted(tmp_path)
        np.save(tmp_path / "labels.npy", LABELS[:4])
        with pytest.raises(ValueError, match=r"labels\.npy has 4 labels; .* multiple of 5"):
            open_corrupted(tmp_path)

    def test_labels_that_differ_between_severities(self, tmp_path):
        labels = np.tile(LABELS, 5)
        labels[[0, 1]] = labels[[1, 0]]
        np.save(cifar_c(tmp_path) / "labels.npy", labels)
        with pytest.raises(ValueError, match=r"labels\.npy differs between severities"):
            open_corrupted(tmp_path)

    def test_an_unknown_name_and_severity(self, tmp_path):
        corrupted = open_corrupted(cifar_c(tmp_path, ("fog", "snow")))
        with pytest.raises(ValueError, match=r"'fogg' is none of snow, fog in .*did you mean 'fog'"):
            corrupted.load("fogg", 1)
        with pytest.raises(ValueError, match=r"'frost' is none of"):
            corrupted.load("frost", 1)
        for severity in (0, 6):
            with pytest.raises(ValueError, match=rf"severity: {severity}; it is one of 1, 2, 3, 4, 5"):
                corrupted.load("fog", severity)

    def test_classes_named_twice(self, tmp_path):
        with pytest.raises(ValueError, match="a name stands there twice"):
            open_corrupted(cifar_c(tmp_path), classes=["a", "b", "b"])


class TestRefusedFolders:
    def test_no_folder(self, tmp_path):
        with pytest.raises(ValueError, match=r"nowhere is no folder; it must be an unpacked CIFAR-10-C"):
            open_corrupted(tmp_path / "nowhere")

    def test_no_known_corruption(self, tmp_path):
        with pytest.raises(ValueError, match=r"none of the known corruptions"):
            open_corrupted(tmp_path)
        np.save(tmp_path / "labels.npy", np.tile(LABELS, 5))
        with pytest.raises(ValueError, match=r"none of the known corruptions"):
            open_corrupted(tmp_path)

    def test_a_missing_severity(self, tmp_path):
        (imagenet_c(tmp_path) / "fog" / "4").rename(tmp_path / "elsewhere")
        with pytest.raises(ValueError, match=r"fog/4 is missing"):
            open_corrupted(tmp_path)

    def test_classes_that_differ_between_severities(self, tmp_path):
        (imagenet_c(tmp_path) / "fog" / "4" / "n02").rename(tmp_path / "elsewhere")
        with pytest.raises(ValueError, match=r"fog/4 and .*snow/1 differ in their classes: .* the folder n02"):
            open_corrupted(tmp_path)

    def test_images_that_differ_between_severities(self, tmp_path):
        (imagenet_c(tmp_path) / "fog" / "4" / "n02" / "val_1.JPEG").unlink()
        corrupted = open_corrupted(tmp_path, workers=0)
        with pytest.raises(ValueError, match=r"fog/4 and .*snow/1 differ in their images: .* has n02/val_1\.JPEG"):
            corrupted.load("fog", 4)

    def test_an_empty_class(self, tmp_path):
        for file in (imagenet_c(tmp_path) / "snow" / "1" / "n02").iterdir():
            file.unlink()
        with pytest.raises(ValueError, match=r"n02 holds no images"):
            open_corrupted(tmp_path)

    def test_no_classes_at_all(self, tmp_path):
        imagenet_c(tmp_path, ("fog",), wnids=())
        for severity in range(1, 6):
            (tmp_path / "fog" / str(severity)).mkdir(parents=True)
        with pytest.raises(ValueError, match=r"fog/1 holds no folders"):
            open_corrupted(tmp_path)

    def test_a_class_that_the_folder_lacks(self, tmp_path):
        with pytest.raises(ValueError, match=r"no folder of the class 'n2'; did you mean 'n02'"):
            open_corrupted(imagenet_c(tmp_path), classes=["n01", "n2"])

    def test_an_image_that_is_empty(self, tmp_path):
        (imagenet_c(tmp_path) / "fog" / "2" / "n01" / "val_0.JPEG").write_bytes(b"")
        with pytest.raises(ValueError, match=r"fog/2/n01/val_0\.JPEG cannot be read as an image"):
            open_corrupted(tmp_path, workers=0).load("fog", 2)

    def test_an_image_size_below_one(self, tmp_path):
        with pytest.raises(ValueError, match="image_size: 0"):
            open_corrupted(imagenet_c(tmp_path), image_size=0)
