"""Accuracy under corruptions of classifiers whose accuracy is known, from images in memory and from official folders."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from sparring.data.corrupted import CORRUPTIONS, CorruptedSet, open_corrupted
from sparring.evaluation import wilson
from sparring.evaluation.corrupted import corruption_accuracy
from sparring.evaluation.corruption_error import ALEXNET_CLEAN_ERROR, ALEXNET_ERROR
from sparring.evaluation.corruptions import corrupt
from tests.data.corrupted_folders import cifar_c, imagenet_c, pixels

GRAY = torch.tensor([30, 60, 85, 100, 112, 120, 140, 170, 200, 250], dtype=torch.uint8)
BRIGHTER = (0.05, 0.1, 0.15, 0.2, 0.3)  # what CIFAR-C's brightness adds at severities 1 to 5


def bright(x):
    """Class 1 if the image is brighter than a half."""
    mean = x.mean(dim=(1, 2, 3))
    return torch.stack([0.5 - mean, mean - 0.5], dim=1)


def gray_images(side=8):
    images = GRAY.view(-1, 1, 1, 1).expand(-1, 3, side, side).contiguous()
    return images, (GRAY > 127).long()


def noisy_images(n=10, seed=0):
    rng = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (n, 3, 8, 8), generator=rng, dtype=torch.uint8), torch.arange(n) % 3


def linear(classes=3, seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(192, classes))


class TestMadeOnTheFly:
    def test_a_threshold_on_brightness_fails_where_it_must(self):
        """Gray images of class 0 turn into class 1 once brightness lifts them over the threshold."""
        entry = corruption_accuracy(bright, *gray_images(), names=["brightness", "contrast"])
        for severity, added in enumerate(BRIGHTER):
            wrong = sum(g <= 127 and g / 255 + added > 0.5 for g in GRAY.tolist())
            assert entry["accuracy"]["brightness"][severity] == pytest.approx(1 - wrong / 10)
        # Contrast shrinks differences from the image's own mean, of which constant images have none.
        assert entry["accuracy"]["contrast"] == [1.0] * 5
        assert len(set(entry["accuracy"]["brightness"])) > 3
        assert entry["clean_accuracy"] == 1.0

    def test_the_entry_is_what_the_report_reads(self):
        entry = corruption_accuracy(bright, *gray_images(), names=["fog", "brightness"], severities=[1, 5], seed=3)
        values = [value for name in ("fog", "brightness") for value in entry["accuracy"][name]]
        assert list(entry["accuracy"]) == ["fog", "brightness"] and len(values) == 4
        for name, accuracies in entry["accuracy"].items():
            expected = [list(wilson(round(10 * value), 10)) for value in accuracies]
            assert entry["interval"][name] == expected
        assert entry["mean_accuracy"] == pytest.approx(sum(values) / 4)
        assert entry["mean_error"] == pytest.approx(1 - sum(values) / 4)
        assert entry["relative_drop"] == pytest.approx(1 - sum(values) / 4)  # the clean accuracy is 1
        assert (entry["table"], entry["seed"], entry["severities"], entry["n"]) == ("cifar", 3, [1, 5], 10)
        assert len(entry["missing"]) == 13 and entry["mce"] is None
        assert entry["words"] == "2 corruptions with CIFAR-C's strengths, severities 1, 5, seed 3"
        assert json.loads(json.dumps(entry)) == entry

    @pytest.mark.parametrize("batch_size", [1, 3, 10])
    def test_batches_do_not_matter(self, batch_size):
        images, labels = noisy_images()
        names = ["gaussian_noise", "glass_blur", "snow", "elastic_transform"]
        seen = []

        def remember(x):
            seen.append(x)
            return x.mean(dim=(2, 3))

        entry = corruption_accuracy(remember, images, labels, names=names, severities=[2], batch_size=batch_size)
        assert max(map(len, seen)) <= batch_size
        shown = torch.cat(seen[1:])[len(images) :].unflatten(
            0, (len(names), -1)
        )  # after the probe and the clean images
        for part, name in zip(shown, names, strict=True):
            expected = corrupt(images, name, 2)
            assert torch.equal((255 * part).round().to(torch.uint8), expected)
            right = (expected.float().mean(dim=(2, 3)).argmax(dim=1) == labels).float().mean()
            assert entry["accuracy"][name] == [pytest.approx(right.item())]

    def test_the_seed_and_the_table_reach_the_corruption(self):
        images, labels = noisy_images()

        def first_noisy(**options):
            seen = []
            corruption_accuracy(
                lambda x: seen.append(x) or x.mean(dim=(2, 3)),
                images,
                labels,
                names=["gaussian_noise"],
                severities=[4],
                **options,
            )
            return (255 * seen[-1]).round().to(torch.uint8)

        for options in ({"seed": 1}, {"table": "imagenet"}, {}):
            assert torch.equal(first_noisy(**options), corrupt(images, "gaussian_noise", 4, **options))
        assert not torch.equal(first_noisy(), first_noisy(seed=1))

    def test_evaluation_mode_and_no_trace(self):
        model = nn.Sequential(linear(), nn.Dropout(0.9))
        images, labels = noisy_images()
        options = {"names": ["fog"], "severities": [1]}
        before = torch.random.get_rng_state()
        entry = corruption_accuracy(model, images, labels, **options)
        assert model.training and model[1].training
        assert torch.equal(before, torch.random.get_rng_state())
        assert entry["accuracy"] == corruption_accuracy(model[0], images, labels, **options)["accuracy"]
        grads = []
        corruption_accuracy(lambda x: grads.append(torch.is_grad_enabled()) or model[0](x), images, labels, **options)
        assert not any(grads)

    def test_a_known_clean_accuracy_is_not_measured_again(self):
        images, labels = noisy_images()
        entry = corruption_accuracy(
            linear(), images, labels, names=["fog"], severities=[1], clean_accuracy=0.5, batch_size=10
        )
        assert entry["clean_accuracy"] == 0.5
        assert entry["relative_drop"] == pytest.approx((0.5 - entry["mean_accuracy"]) / 0.5)

    def test_nothing_right_on_clean_images_has_no_relative_drop(self):
        images, labels = gray_images()
        entry = corruption_accuracy(bright, images, 1 - labels, names=["contrast"], severities=[1])
        assert entry["clean_accuracy"] == 0 and entry["relative_drop"] is None

    def test_progress_counts_images(self):
        told = []
        corruption_accuracy(
            bright, *gray_images(), names=["fog", "contrast"], severities=[1, 2], progress=lambda *a: told.append(a)
        )
        assert [t[:3] for t in told[:2]] == [("fog, severity 1", 10, 40), ("fog, severity 2", 20, 40)]
        assert told[-1] == ("contrast, severity 2", 40, 40, 0.0)

    def test_against_alexnet_only_on_all_of_the_official_imagenet(self):
        images, _ = noisy_images(2)

        def always_first(x):
            return torch.eye(1000)[:1].expand(len(x), -1)

        labels, names = torch.tensor([0, 999]), tuple(str(k) for k in range(1000))
        official = CorruptedSet(
            "ImageNet-C",
            "imagenet",
            CORRUPTIONS,
            (),
            names,
            labels,
            torch.arange(2),
            lambda name, severity, index: images[index],
        )
        entry = corruption_accuracy(always_first, official, clean_accuracy=0.75)
        assert set(entry["accuracy"]) == set(CORRUPTIONS) and entry["missing"] == []
        expected = np.mean([5 * 0.5 / sum(ALEXNET_ERROR[name]) for name in CORRUPTIONS])
        assert entry["mce"] == pytest.approx(expected)
        added = np.mean([5 * 0.25 / (sum(ALEXNET_ERROR[name]) - 5 * ALEXNET_CLEAN_ERROR) for name in CORRUPTIONS])
        assert entry["relative_mce"] == pytest.approx(added)
        part = corruption_accuracy(always_first, official, severities=[1, 2, 3, 4], names=["fog"])
        made_here = corruption_accuracy(always_first, images, labels, table="imagenet", clean_accuracy=0.75)
        for other in (part, made_here):
            assert other["mce"] is None and other["relative_mce"] is None


class TestOfficialFolders:
    def test_cifar_c_from_its_files(self, tmp_path):
        corrupted = open_corrupted(cifar_c(tmp_path / "CIFAR-10-C", ("snow", "fog")))

        def model(x):
            return x.mean(dim=(2, 3))

        entry = corruption_accuracy(model, corrupted, clean_accuracy=0.9, batch_size=4)
        for k, name in enumerate(("snow", "fog")):
            for severity in range(1, 6):
                predicted = pixels(k, severity).reshape(6, 16, 3).mean(axis=1).argmax(axis=1)
                right = (predicted == corrupted.labels.numpy()).mean()
                assert entry["accuracy"][name][severity - 1] == pytest.approx(right)
        assert len(entry["missing"]) == 13 and "fog" not in entry["missing"]
        assert (entry["table"], entry["seed"], entry["n"], entry["clean_accuracy"]) == ("cifar", None, 6, 0.9)
        assert entry["relative_drop"] == pytest.approx((0.9 - entry["mean_accuracy"]) / 0.9)
        assert entry["words"] == "2 corruptions of CIFAR-10-C (its own files), severities 1, 2, 3, 4, 5"

    def test_a_subset_and_an_unknown_clean_accuracy(self, tmp_path):
        corrupted = open_corrupted(cifar_c(tmp_path, ("fog",))).subset(3, seed=1)
        entry = corruption_accuracy(lambda x: x.mean(dim=(2, 3)), corrupted, severities=[2])
        predicted = pixels(0, 2).reshape(6, 16, 3).mean(axis=1).argmax(axis=1)[corrupted.index.numpy()]
        assert entry["accuracy"]["fog"] == [pytest.approx((predicted == corrupted.labels.numpy()).mean())]
        assert entry["n"] == 3 and entry["clean_accuracy"] is None and entry["relative_drop"] is None

    @pytest.mark.parametrize("workers", [0, 1])
    def test_imagenet_c_is_streamed(self, tmp_path, workers):
        corrupted = open_corrupted(imagenet_c(tmp_path), image_size=8, workers=workers)

        def model(x):
            """Class 1 from the third image on: imagenet_c paints blue 0, 20, 40, 60."""
            blue = 255 * x[:, 2].mean(dim=(1, 2))
            return torch.stack([30 - blue, blue - 30], dim=1)

        entry = corruption_accuracy(model, corrupted, names=["fog"], severities=[1, 5], batch_size=3)
        assert entry["accuracy"] == {"fog": [1.0, 1.0]} and entry["table"] == "imagenet"


class TestRefusals:
    def refused(self, sentence, model=bright, images=None, labels=None, **options):
        calls = []

        def counted(x):
            calls.append(len(x))
            return model(x)

        given = gray_images()
        with pytest.raises(ValueError, match=sentence):
            corruption_accuracy(
                counted, given[0] if images is None else images, given[1] if labels is None else labels, **options
            )
        assert calls in ([], [1])

    def test_labels(self):
        with pytest.raises(ValueError, match="labels: there are none"):
            corruption_accuracy(bright, gray_images()[0])
        self.refused(r"labels: 0 to 2, outside the 2 classes", labels=torch.arange(10) % 3)
        self.refused(
            r"labels: -1 to 1, outside the 2 classes", labels=gray_images()[1] - (torch.arange(10) == 3).long()
        )

    def test_an_empty_subset(self):
        self.refused("images: there are none", images=gray_images()[0][:0], labels=gray_images()[1][:0])

    def test_a_wrong_class_count(self):
        self.refused("returns 2 logits an image, but there are 10 classes", classes=10)

    def test_a_folder_of_another_class_count(self, tmp_path):
        corrupted = open_corrupted(cifar_c(tmp_path, ("fog",)))
        with pytest.raises(ValueError, match="returns 2 logits an image, but there are 3 classes"):
            corruption_accuracy(bright, corrupted)
        with pytest.raises(ValueError, match="labels: a corrupted folder brings its own"):
            corruption_accuracy(bright, corrupted, corrupted.labels)
        with pytest.raises(ValueError, match="'snow' is none of fog"):
            corruption_accuracy(bright, corrupted, names=["snow"])

    def test_what_is_no_logits(self):
        self.refused("must return logits .B K., not tuple", model=lambda x: (bright(x), x))
        self.refused(r"must return logits .B K., not \(1,\)", model=lambda x: x.mean(dim=(1, 2, 3)))
        self.refused("logits are NaN", model=lambda x: bright(x) * torch.nan)

    def test_logits_that_turn_nan_later(self):
        with pytest.raises(ValueError, match="logits are NaN"):
            corruption_accuracy(lambda x: bright(x) * (1 if len(x) == 1 else torch.nan), *gray_images(), names=["fog"])

    def test_images_that_are_not_uint8(self):
        self.refused("images must be .*uint8", images=gray_images()[0].float() / 255)

    def test_settings(self):
        self.refused(r"'fogg' is none of .*did you mean 'fog'", names=["snow", "fogg"])
        self.refused("names must be one corruption or more", names=[])
        self.refused("names must be one corruption or more, each once", names=["fog", "fog"])
        self.refused(r"severities must be among 1, 2, 3, 4, 5, each once, not \[0, 1\]", severities=[0, 1])
        self.refused("severities must be among", severities=[6])
        self.refused("severities must be among", severities=[])
        self.refused("severities must be among", severities=[2, 2])
        self.refused("batch_size must be at least 1, not 0", batch_size=0)
        self.refused("clean_accuracy must be a fraction", clean_accuracy=80.0)
        self.refused("seed must be 0 or larger, not -1", seed=-1)
