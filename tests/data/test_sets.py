"""The sets that need no file, subsets and held-out parts."""

import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsClassifier

from sparring.config import DataConfig
from sparring.data import about, data_names, load_images
from sparring.data.images import balanced, held_out, resized
from sparring.data.official import SOURCES


def load(name, seed=0, **options):
    return load_images(DataConfig(name=name, **options), seed=seed)


class TestDigits:
    def test_are_scikit_learns_with_a_stratified_fifth_held_out(self):
        train, test = load("digits", image_size=8)
        assert len(train) + len(test) == 1797
        values = load_digits().images
        restored = torch.cat([train.images, test.images])[:, 0].double() * 16 / 255
        order = lambda a: sorted(map(tuple, a.reshape(1797, 64).round().int().tolist()))  # noqa: E731
        assert order(restored) == order(torch.from_numpy(values))
        for part, fraction in ((train, 0.8), (test, 0.2)):
            expected = fraction * torch.from_numpy(load_digits().target).bincount()
            assert (part.labels.bincount() - expected).abs().max() <= 0.6

    def test_are_enlarged_to_16_pixels_unless_told(self):
        assert load("digits")[0].images.shape == (1438, 1, 16, 16)
        assert load("digits", image_size=12)[1].image_size == 12

    def test_the_split_follows_from_the_seed(self):
        first, again, other = load("digits"), load("digits"), load("digits", seed=1)
        assert torch.equal(first[1].images, again[1].images)
        assert not torch.equal(first[1].images, other[1].images)

    def test_enlarging_keeps_them_legible(self):
        train, test = load("digits", train_images=500)
        neighbours = KNeighborsClassifier(1).fit(train.images.flatten(1).numpy(), train.labels.numpy())
        assert neighbours.score(test.images.flatten(1).numpy(), test.labels.numpy()) > 0.9


class TestSynthetic:
    def test_is_the_same_every_time_and_balanced(self):
        train, test = load("synthetic", image_size=8)
        assert torch.equal(train.images, load("synthetic", image_size=8, seed=5)[0].images)
        assert train.images.shape == (512, 3, 8, 8)
        assert test.labels.bincount().tolist() == [64] * 4
        assert len(train.classes) == 4

    def test_classes_can_be_told_apart_by_their_spectra_only(self):
        train, test = load("synthetic")
        spectra = [torch.fft.rfft2(s.images.double().mean(1) - 127).abs().flatten(1).numpy() for s in (train, test)]
        neighbours = KNeighborsClassifier(5).fit(spectra[0], train.labels.numpy())
        assert neighbours.score(spectra[1], test.labels.numpy()) > 0.9


class TestSubsets:
    def test_is_balanced_sorted_and_seeded(self):
        labels = torch.arange(90) % 3
        index = balanced(labels, 31, 0, "train")
        assert sorted(labels[index].bincount().tolist()) == [10, 10, 11]
        assert index.tolist() == sorted(set(index.tolist()))
        assert torch.equal(index, balanced(labels, 31, 0, "train"))
        assert not torch.equal(index, balanced(labels, 31, 1, "train"))

    def test_other_classes_fill_up_what_a_small_one_lacks(self):
        labels = torch.tensor([0] * 2 + [1] * 20 + [2] * 20)
        assert labels[balanced(labels, 20, 0, "x")].bincount().tolist() == [2, 9, 9]

    def test_all_images_are_all_images(self):
        assert balanced(torch.tensor([1, 0, 1, 1]), 4, 0, "x").tolist() == [0, 1, 2, 3]

    def test_every_image_has_the_same_chance(self):
        labels = torch.arange(40) % 2
        counts = torch.zeros(40)
        for seed in range(400):
            counts[balanced(labels, 10, seed, "x")] += 1
        assert counts.sum() == 4000
        assert (counts / 400 - 0.25).abs().max() < 0.08

    def test_through_the_configuration(self):
        train, test = load("digits", train_images=100, test_images=30)
        assert train.labels.bincount().tolist() == [10] * 10
        assert test.labels.bincount().tolist() == [3] * 10

    def test_held_out_parts_partition_and_take_one_of_each_class_at_least(self):
        labels = torch.tensor([0] * 30 + [1] * 3)
        train, test = held_out(labels, 33, 0.1, 0)
        assert sorted([*train.tolist(), *test.tolist()]) == list(range(33))
        assert labels[test].bincount().tolist() == [3, 1]


def test_resizing_keeps_a_constant_and_the_right_size():
    images = torch.full((3, 3, 10, 10), 200, dtype=torch.uint8)
    assert torch.equal(resized(images, 7), torch.full((3, 3, 7, 7), 200, dtype=torch.uint8))
    assert resized(images, 10) is images


class TestNames:
    def test_every_name_has_a_line(self):
        named = {"digits", "cifar10", "cifar100", "fashion-mnist", "folder", "synthetic"}
        assert set(data_names()) == named | SOURCES.keys()
        assert all(data_names().values())

    def test_what_is_known_of_embedded_sets_is_true(self):
        for name in ("digits", "synthetic"):
            train, _ = load(name)
            assert (train.channels, train.image_size) == (about(name).channels, about(name).image_size)

    def test_an_unknown_name_names_the_nearest(self):
        with pytest.raises(ValueError, match=r"data\.name: 'cifar-10' is none of .*did you mean 'cifar10'\?"):
            load("cifar-10")

    @pytest.mark.parametrize("field", ["image_size", "train_images", "test_images"])
    def test_counts_below_one(self, field):
        with pytest.raises(ValueError, match=rf"data\.{field}: 0"):
            load("digits", **{field: 0})

    def test_more_images_than_there_are(self):
        with pytest.raises(ValueError, match=r"data\.test_images: 5000, but there are only 359"):
            load("digits", test_images=5000)
