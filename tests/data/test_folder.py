"""Image folders as people have them, made in a temporary folder."""

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F

from sparring.config import DataConfig
from sparring.data import ImageSet, StreamedImages, load_images
from sparring.data.decode import decode
from sparring.data.folder import read


def picture(size=(8, 8), seed=0, mode="RGB"):
    rng = np.random.default_rng(seed)
    width, height = size
    return Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8)).convert(mode)


def save(file, image=None, **options):
    file.parent.mkdir(parents=True, exist_ok=True)
    (image or picture(seed=len(file.name))).save(file, **options)
    return file


def classes_below(root, names=("cat", "dog"), n=10):
    for c, name in enumerate(names):
        for i in range(n):
            save(root / name / f"{i:02}.png", picture(seed=100 * c + i))
    return root


def load(root, **options):
    return load_images(DataConfig(name="folder", root=str(root), **options), seed=0)


def pixels(image):
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


class TestLayouts:
    def test_train_and_test_below_root(self, tmp_path):
        classes_below(tmp_path / "train", n=3)
        classes_below(tmp_path / "test", n=2)
        train, test = load(tmp_path)
        assert (len(train), len(test)) == (6, 4)
        assert train.classes == test.classes == ("cat", "dog")
        assert train.labels.tolist() == [0, 0, 0, 1, 1, 1]
        assert torch.equal(train.images[4], pixels(picture(seed=101)))
        assert (train.channels, train.image_size) == (3, 8)

    def test_val_serves_as_test_and_may_lack_classes(self, tmp_path):
        classes_below(tmp_path / "train", names=("ant", "cat", "dog"), n=2)
        classes_below(tmp_path / "val", names=("cat", "dog"), n=1)
        _, test = load(tmp_path)
        assert test.labels.tolist() == [1, 2]
        assert test.classes == ("ant", "cat", "dog")

    def test_test_root(self, tmp_path):
        classes_below(tmp_path / "a")
        classes_below(tmp_path / "b", n=1)
        train, test = load(tmp_path / "a", test_root=str(tmp_path / "b"))
        assert (len(train), len(test)) == (20, 2)

    def test_a_seeded_tenth_of_every_class_is_held_out(self, tmp_path):
        classes_below(tmp_path, n=10)
        train, test = load(tmp_path)
        assert train.labels.bincount().tolist() == [9, 9]
        assert test.labels.bincount().tolist() == [1, 1]
        together = torch.cat([train.images, test.images]).flatten(1)
        assert len(torch.unique(together, dim=0)) == 20
        assert torch.equal(load(tmp_path)[1].images, test.images)

    def test_images_without_class_folders_have_no_labels(self, tmp_path):
        for i in range(20):
            save(tmp_path / f"{i}.png", picture(seed=i))
        train, test = load(tmp_path)
        assert train.labels is None
        assert train.classes == ()
        assert (len(train), len(test)) == (18, 2)

    def test_images_in_deeper_folders_belong_to_their_class(self, tmp_path):
        classes_below(tmp_path / "train", n=2)
        save(tmp_path / "train" / "cat" / "more" / "x.JPG")
        classes_below(tmp_path / "test", n=1)
        assert load(tmp_path)[0].labels.tolist() == [0, 0, 0, 1, 1]

    def test_the_name_is_the_folders_never_a_data_sets(self, tmp_path):
        assert load(classes_below(tmp_path / "cifar10"))[0].name == "folder:cifar10"

    def test_files_of_the_system_are_no_images(self, tmp_path):
        classes_below(tmp_path)
        for name in (".DS_Store", "Thumbs.db", "._00.png"):
            (tmp_path / "cat" / name).write_bytes(b"x")
        (tmp_path / "README.txt").write_text("beside the classes")
        assert sum(map(len, load(tmp_path))) == 20

    def test_subsets_are_balanced_and_repeatable(self, tmp_path):
        classes_below(tmp_path / "train", n=6)
        classes_below(tmp_path / "test", n=3)
        train, test = load(tmp_path, train_images=5, test_images=2)
        assert sorted(train.labels.bincount().tolist()) == [2, 3]
        assert test.labels.bincount().tolist() == [1, 1]
        assert torch.equal(train.images, load(tmp_path, train_images=5)[0].images)


class TestDecode:
    @pytest.mark.parametrize("mode", ["L", "1", "P", "RGBA", "LA", "CMYK"])
    def test_every_mode_becomes_rgb(self, tmp_path, mode):
        image = picture(mode=mode)
        file = save(tmp_path / ("x.tif" if mode == "CMYK" else "x.png"), image)
        assert torch.equal(decode(file), pixels(image.convert("RGB")))

    def test_a_palette_with_transparency_keeps_its_colours(self, tmp_path):
        image = picture(mode="P")
        file = save(tmp_path / "x.png", image, transparency=bytes(range(256)))
        assert torch.equal(decode(file), pixels(image.convert("RGB")))

    def test_sixteen_bits_keep_their_upper_eight(self, tmp_path):
        values = np.linspace(0, 65535, 64).reshape(8, 8).astype(np.uint16)
        file = save(tmp_path / "x.png", Image.fromarray(values))
        assert np.array_equal(decode(file)[2].numpy(), values // 256)

    def test_exif_orientation_is_applied(self, tmp_path):
        image = picture((6, 4))
        exif = image.getexif()
        exif[0x0112] = 6  # to be turned clockwise
        file = save(tmp_path / "x.png", image, exif=exif)
        assert torch.equal(decode(file), pixels(image.rotate(-90, expand=True)))

    @pytest.mark.parametrize("shape", [(20, 31), (31, 20), (9, 9), (12, 5)], ids=str)
    def test_a_size_resizes_the_shorter_side_and_crops_the_centre_as_torchvision(self, tmp_path, shape):
        image = picture(shape)
        file = save(tmp_path / "x.png", image)
        expected = v2.Compose([v2.Resize(10), v2.CenterCrop(10)])(image)
        assert torch.equal(decode(file, 10), F.pil_to_tensor(expected))

    @pytest.mark.parametrize("shape", [(20, 31), (31, 20), (12, 12), (16, 5)], ids=str)
    @pytest.mark.parametrize("stream", ["memory", "stream"])
    def test_evaluation_images_are_cropped_from_larger_ones_as_torchvision(self, tmp_path, shape, stream):
        for part in ("train", "test"):
            for name in ("cat", "dog"):
                save(tmp_path / part / name / "x.png", picture(shape, seed=len(part + name)))
        train, test = load(tmp_path, image_size=10, resize=12, loading=stream, workers=0)
        for images, part, size in ((train, "train", 10), (test, "test", 12)):
            with Image.open(tmp_path / part / "cat" / "x.png") as image:
                expected = v2.Compose([v2.Resize(size), v2.CenterCrop(10)])(image)
            assert torch.equal(images.images[torch.tensor([0])][0], F.pil_to_tensor(expected)), part
            assert images.image_size == 10

    def test_a_resize_that_cannot_be_is_refused(self, tmp_path):
        classes_below(tmp_path)
        for options, sentence in (
            ({"image_size": 10, "resize": 9}, "data.resize: 9; it must be at least data.image_size, 10"),
            ({"resize": 9}, "data.resize: 9; it must be given together with data.image_size"),
            ({"image_size": 10, "resize": 0}, "data.resize: 0; it must be at least 1"),
        ):
            with pytest.raises(ValueError, match=sentence):
                load(tmp_path, **options)
        with pytest.raises(ValueError, match=r"data\.resize is 20, but digits is no data set of image files"):
            load_images(DataConfig(name="digits", resize=20), seed=0)

    @pytest.mark.parametrize("suffix", [".jpg", ".bmp", ".webp", ".gif", ".tiff", ".ppm"])
    def test_formats(self, tmp_path, suffix):
        file = save(tmp_path / f"x{suffix}")
        with Image.open(file) as image:
            assert torch.equal(decode(file), pixels(image.convert("RGB")))

    def test_float_pixels_are_refused(self, tmp_path):
        file = save(tmp_path / "x.tif", Image.fromarray(np.zeros((4, 4), dtype=np.float32)))
        with pytest.raises(ValueError, match=r"x\.tif cannot be read .*no known range"):
            decode(file)


def truncated(root):
    whole = save(root / "whole.jpg", picture((64, 64))).read_bytes()
    (root / "cat").mkdir(parents=True, exist_ok=True)
    (root / "cat" / "broken.jpg").write_bytes(whole[: len(whole) // 2])
    (root / "whole.jpg").unlink()


class TestRefusals:
    @pytest.mark.parametrize("size", [None, 8])
    @pytest.mark.parametrize("content", [b"", b"no image at all"])
    @pytest.mark.parametrize("loading", ["memory", "stream"])
    def test_a_file_that_is_no_image_among_good_ones(self, tmp_path, content, size, loading):
        classes_below(tmp_path)
        (tmp_path / "cat" / "bad.jpg").write_bytes(content)
        with pytest.raises(ValueError, match=r"cat/bad\.jpg cannot be read as an image .*skip_unreadable"):
            load(tmp_path, train_images=19, image_size=size, loading=loading)

    def test_a_truncated_image_in_memory(self, tmp_path):
        classes_below(tmp_path / "train")
        classes_below(tmp_path / "test", n=1)
        truncated(tmp_path / "train")
        with pytest.raises(ValueError, match=r"cat/broken\.jpg cannot be read"):
            load(tmp_path, image_size=8)

    def test_a_truncated_image_while_streaming(self, tmp_path):
        classes_below(tmp_path / "train")
        classes_below(tmp_path / "test", n=1)
        truncated(tmp_path / "train")
        train, _ = load(tmp_path, image_size=8, loading="stream")
        with pytest.raises(ValueError, match=r"cat/broken\.jpg cannot be read"):
            train.images[torch.arange(len(train))]

    @pytest.mark.parametrize("loading", ["memory", "stream"])
    def test_skipped_only_if_asked(self, tmp_path, loading):
        classes_below(tmp_path / "train")
        classes_below(tmp_path / "test", n=1)
        truncated(tmp_path / "train")
        with pytest.warns(UserWarning, match=r"1 file\(s\) left out .*broken\.jpg"):
            train, _ = load(tmp_path, image_size=8, skip_unreadable=True, loading=loading)
        assert train.labels.bincount().tolist() == [10, 10]
        assert len(train.images) == 20

    def test_a_file_without_an_images_extension(self, tmp_path):
        classes_below(tmp_path)
        (tmp_path / "dog" / "notes.txt").write_text("hello")
        with pytest.raises(ValueError, match=r"dog/notes\.txt is no image"):
            load(tmp_path)
        with pytest.warns(UserWarning, match=r"notes\.txt"):
            assert sum(map(len, load(tmp_path, skip_unreadable=True))) == 20

    def test_images_of_different_sizes(self, tmp_path):
        classes_below(tmp_path)
        save(tmp_path / "dog" / "wide.png", picture((9, 8)))
        with pytest.raises(ValueError, match=r"differ in size: .*8 x 8 .*wide\.png 9 x 8; give data\.image_size"):
            load(tmp_path, train_images=19, test_images=2)
        train, test = load(tmp_path, image_size=6)
        assert train.images.shape[1:] == test.images.shape[1:] == (3, 6, 6)

    def test_images_that_are_not_square(self, tmp_path):
        for i in range(4):
            save(tmp_path / f"{i}.png", picture((6, 4), i))
        with pytest.raises(ValueError, match=r"6 x 4 pixels; give data\.image_size"):
            load(tmp_path)

    def test_no_root(self):
        with pytest.raises(ValueError, match=r"data\.root"):
            load_images(DataConfig(name="folder"), seed=0)

    def test_a_missing_folder(self, tmp_path):
        with pytest.raises(ValueError, match=r"nowhere is no folder"):
            load(tmp_path / "nowhere")

    def test_an_empty_folder(self, tmp_path):
        with pytest.raises(ValueError, match="holds no images"):
            load(tmp_path)

    def test_an_empty_class(self, tmp_path):
        classes_below(tmp_path)
        (tmp_path / "zebra").mkdir()
        with pytest.raises(ValueError, match=r"zebra holds no images"):
            load(tmp_path)

    def test_a_single_class(self, tmp_path):
        classes_below(tmp_path, names=("cat",))
        with pytest.raises(ValueError, match="single class 'cat'"):
            load(tmp_path)

    def test_images_beside_classes(self, tmp_path):
        save(classes_below(tmp_path) / "x.png")
        with pytest.raises(ValueError, match=r"images \(x\.png\) beside folders \(cat\)"):
            load(tmp_path)

    def test_a_test_class_that_training_lacks(self, tmp_path):
        classes_below(tmp_path / "train")
        classes_below(tmp_path / "test", names=("cat", "emu"))
        with pytest.raises(ValueError, match="class 'emu'"):
            load(tmp_path)

    def test_one_image_a_class(self, tmp_path):
        classes_below(tmp_path, n=1)
        with pytest.raises(ValueError, match="one image a class"):
            load(tmp_path)

    def test_more_images_than_there_are(self, tmp_path):
        with pytest.raises(ValueError, match=r"data\.train_images: 30, but there are only 18"):
            load(classes_below(tmp_path), train_images=30)


class TestStreaming:
    def test_gives_the_images_that_memory_gives(self, tmp_path):
        classes_below(tmp_path, n=5)
        memory, _ = load(tmp_path, loading="memory", image_size=6)
        streamed, _ = load(tmp_path, loading="stream", image_size=6, workers=0)
        assert isinstance(streamed.images, StreamedImages)
        assert streamed.images.shape == memory.images.shape
        assert torch.equal(streamed.images[3], memory.images[3])
        assert torch.equal(streamed.images[torch.tensor([4, 1])], memory.images[[4, 1]])
        assert torch.equal(torch.cat(list(streamed.images)), memory.images)
        assert torch.equal(streamed.labels, memory.labels)

    def test_auto_streams_beyond_the_memory_budget(self, tmp_path, monkeypatch):
        classes_below(tmp_path, n=5)
        assert isinstance(load(tmp_path)[0].images, torch.Tensor)
        monkeypatch.setattr("sparring.data.folder.MEMORY_BUDGET", 8 * 3 * 8 * 8 - 1)
        assert isinstance(load(tmp_path)[0].images, StreamedImages)

    def test_progress_counts_every_file(self, tmp_path):
        from sparring.data.folder import list_folder

        seen = []
        images = read(
            list_folder(classes_below(tmp_path, n=3)),
            "x",
            image_size=4,
            progress=lambda done, total: seen.append((done, total)),
        )
        assert isinstance(images, ImageSet)
        assert seen == [(6, 6)]
