"""Batches: an epoch shows every image once, follows from (seed, epoch), and is shared out among processes."""

import pytest
import torch
from PIL import Image

from sparring.data import Batches, ImageSet, StreamedImages


@pytest.fixture
def numbered():
    """50 images, each filled with its own index."""
    images = torch.arange(50, dtype=torch.uint8).view(50, 1, 1, 1).expand(50, 3, 4, 4).contiguous()
    return ImageSet(images, torch.arange(50) % 5, tuple("abcde"), "numbered")


def epoch(batches, *where):
    batches.set_epoch(*where)
    return list(batches)


def test_an_epoch_shows_every_image_once_but_for_the_incomplete_batch(numbered):
    batches = Batches(numbered, 8, seed=0)
    shown = epoch(batches, 0)
    assert len(shown) == len(batches) == 6
    index = torch.cat([i for *_, i in shown])
    assert len(index) == len(index.unique()) == 48
    assert {len(images) for images, *_ in shown} == {8}


def test_images_labels_and_index_belong_together(numbered):
    for images, labels, index in Batches(numbered, 7, seed=1):
        assert torch.equal(images, numbered.images[index])
        assert torch.equal(labels, numbered.labels[index])


def test_an_epoch_is_a_function_of_seed_and_number(numbered):
    def order(seed, number):
        return torch.cat([i for *_, i in epoch(Batches(numbered, 8, seed=seed), number)])

    before = torch.get_rng_state()
    first = order(0, 3)
    assert torch.equal(first, order(0, 3))
    assert not torch.equal(first, order(0, 4))
    assert not torch.equal(first, order(1, 3))
    assert torch.equal(before, torch.get_rng_state())


def test_an_epoch_can_be_entered_at_any_step(numbered):
    batches = Batches(numbered, 8, seed=0)
    whole, rest = epoch(batches, 2), epoch(batches, 2, 4)
    assert len(batches) == len(rest) == 2
    for (a, *_), (b, *_) in zip(whole[4:], rest, strict=True):
        assert torch.equal(a, b)


def test_processes_partition_the_batch_of_one(numbered):
    whole = epoch(Batches(numbered, 12, seed=0), 1)
    parts = [epoch(Batches(numbered, 12, seed=0, rank=rank, world_size=3), 1) for rank in range(3)]
    for step, (images, labels, index) in enumerate(whole):
        for k, expected in enumerate((images, labels, index)):
            assert torch.equal(torch.cat([part[step][k] for part in parts]), expected)


def test_images_without_labels(numbered):
    batches = Batches(ImageSet(numbered.images, None, (), "x"), 8, seed=0)
    assert all(labels is None for _, labels, _ in batches)


@pytest.mark.parametrize("workers", [0, 2])
def test_streamed_images_come_in_the_same_order(tmp_path, numbered, workers):
    for i, image in enumerate(numbered.images):
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(tmp_path / f"{i:02}.png")
    files = StreamedImages(tuple(sorted(tmp_path.iterdir())), 4, workers)
    streamed = Batches(ImageSet(files, numbered.labels, numbered.classes, "x"), 8, seed=0)
    for ours, expected in zip(streamed, Batches(numbered, 8, seed=0), strict=True):
        assert all(torch.equal(a, b) for a, b in zip(ours, expected, strict=True))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 1}, "batch_size: 1; contrast needs at least 2"),
        ({"batch_size": 51}, "batch_size: 51, but numbered has only 50"),
        ({"batch_size": 8, "world_size": 3}, "batch_size: 8 cannot be split evenly over 3"),
        ({"batch_size": 8, "world_size": 2, "rank": 2}, "rank: 2"),
    ],
)
def test_refusals(numbered, arguments, message):
    with pytest.raises(ValueError, match=message):
        Batches(numbered, seed=0, **arguments)
