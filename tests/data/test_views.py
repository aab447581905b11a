"""Pipelines: the papers' operations in their order, one set of parameters an image, nothing but the generator."""

import pytest
import torch
from torchvision.transforms.v2 import functional as F

from sparring.data import make_views, pipeline, pipeline_names
from sparring.data.views import seeded

ADJUST = (F.adjust_brightness, F.adjust_contrast, F.adjust_saturation, F.adjust_hue)


@pytest.fixture
def images():
    return torch.randint(0, 256, (12, 3, 16, 16), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def views(name, images, size=16, **place):
    return make_views(images, pipeline(name, size), **{"seed": 3, "epoch": 1, "step": 4, **place})


def crop(image, box):
    return F.resized_crop(image, *box.tolist(), size=[16, 16], antialias=True)


def bicubic_crop(image, box):
    return F.resized_crop(image, *box.tolist(), size=[16, 16], interpolation=F.InterpolationMode.BICUBIC).clamp(0, 1)


def jitter(image, chosen, factors, order):
    for k in order.tolist() if chosen else []:
        image = ADJUST[k](image, float(factors[k]))
    return image


def to_gray(image, chosen):
    return F.rgb_to_grayscale(image, num_output_channels=3) if chosen else image


def flip(image, chosen):
    return F.horizontal_flip(image) if chosen else image


def padded_crop(image, corner):
    return F.crop(F.pad(image, [4, 4, 4, 4]), *corner.tolist(), 16, 16)


@pytest.mark.parametrize(
    ("name", "order"),
    [
        ("simclr", (crop, flip, jitter, to_gray)),
        ("supcon", (crop, flip, jitter, to_gray)),
        ("swav", (crop, flip, jitter, to_gray)),
        ("uel", (crop, jitter, to_gray, flip)),
        ("rocl", (jitter, to_gray, flip, crop)),
        ("acl", (bicubic_crop, flip, jitter, to_gray)),
    ],
)
def test_the_published_pipelines_equal_torchvision_step_by_step(images, name, order):
    made, generator = pipeline(name, 16), torch.Generator().manual_seed(7)
    drawn = [operation.draw(24, (16, 16), generator) for operation in made.operations]
    expected = []
    for i in range(24):
        image = images[i % 12] / 255
        for step, parameters in zip(order, drawn, strict=True):
            image = step(image, *(p[i] for p in parameters))
        expected.append(image)
    ours = made(images, torch.Generator().manual_seed(7))
    assert torch.allclose(ours, torch.stack(expected).unflatten(0, (2, 12)), atol=5e-6)


def test_the_crop_of_classifiers_equals_torchvision_step_by_step(images):
    made, generator = pipeline("crop-flip", 16), torch.Generator().manual_seed(7)
    _, (corners,), (flipped,) = (operation.draw(12, (16, 16), generator) for operation in made.operations)
    expected = [flip(padded_crop(image / 255, corners[i]), flipped[i]) for i, image in enumerate(images)]
    assert torch.equal(made(images, torch.Generator().manual_seed(7)), torch.stack(expected)[None])
    assert 0 < flipped.sum() < 12


def test_the_shift_of_classifiers_is_a_tenth_of_the_image_and_flips_half():
    made, ramp = pipeline("shift-flip", 20), torch.arange(20.0) / 20
    image = torch.stack([ramp.expand(20, 20), ramp[:, None].expand(20, 20)])[None].expand(400, -1, -1, -1)
    shown = made(image, torch.Generator().manual_seed(7))[0]
    rightwards = (shown[:, 0, 10, 11] - shown[:, 0, 10, 10]).sign()
    assert (rightwards > 0).float().mean().item() == pytest.approx(0.5, abs=0.08)
    centre = shown[:, :, 10, 9:11].mean(dim=2) - torch.tensor([ramp[9:11].mean(), ramp[10]])
    for axis in (0, 1):  # a ramp of 1/20 a pixel: a tenth of 20 pixels is a change by 0.1
        assert centre[:, axis].abs().max().item() == pytest.approx(0.1, abs=2e-3)
        assert centre[:, axis].std().item() == pytest.approx(0.1 / 3**0.5, rel=0.1)


def test_the_published_strengths():
    crop, _, jitter, gray = pipeline("simclr", 32).operations
    assert (crop.scale, crop.size) == ((0.08, 1.0), 32)
    assert (jitter.brightness, jitter.contrast, jitter.saturation, jitter.hue, jitter.p) == (0.8, 0.8, 0.8, 0.2, 0.8)
    assert gray.p == 0.2
    swav = pipeline("swav", 32).operations
    assert swav[0].scale == (0.14, 1.0) and swav[1:] == pipeline("simclr", 32).operations[1:]
    crop, _, jitter, gray = pipeline("supcon", 32).operations
    assert crop.scale == (0.2, 1.0)
    assert (jitter.brightness, jitter.contrast, jitter.saturation, jitter.hue, jitter.p) == (0.4, 0.4, 0.4, 0.1, 0.8)
    assert gray.p == 0.2
    crop, jitter, gray, flip = pipeline("uel", 32).operations
    assert crop.scale == (0.2, 1.0)
    assert (jitter.brightness, jitter.contrast, jitter.saturation, jitter.hue, jitter.p) == (0.4, 0.4, 0.4, 0.4, 1.0)
    assert (gray.p, flip.p) == (0.2, 0.5)
    for name, scale, interpolation in (("rocl", (0.08, 1.0), "bilinear"), ("acl", (0.1, 1.0), "bicubic")):
        by_kind = {type(operation).__name__: operation for operation in pipeline(name, 32).operations}
        crop, jitter = by_kind["RandomResizedCrop"], by_kind["ColorJitter"]
        assert (crop.scale, crop.size, crop.interpolation, crop.antialias) == (scale, 32, interpolation, True)
        strengths = (jitter.brightness, jitter.contrast, jitter.saturation, jitter.hue, jitter.p)
        assert strengths == (0.4, 0.4, 0.4, 0.1, 0.8)
        assert (by_kind["RandomGrayscale"].p, by_kind["RandomHorizontalFlip"].p) == (0.2, 0.5)


def test_digits_are_never_mirrored():
    assert not [o for o in pipeline("digits", 8).operations if "Flip" in type(o).__name__]


@pytest.mark.parametrize("name", pipeline_names())
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [8, 16, 24])
def test_views_in_the_unit_interval(images, name, channels, size):
    made = views(name, images[:, :channels], size)
    count = 1 if name in ("crop-flip", "shift-flip", "supcon-ce") else 2
    assert pipeline(name, size).views == count
    assert made.shape == (count, 12, channels, size, size)
    assert made.dtype == torch.float32
    assert made.min() >= 0
    assert made.max() <= 1


@pytest.mark.parametrize("name", [n for n in pipeline_names() if n != "none"])
def test_every_image_and_view_has_parameters_of_its_own(images, name):
    same = images[:1].expand(12, -1, -1, -1)
    made = views(name, same).flatten(0, 1).flatten(1)
    # of the 162 views that a crop and a flip can give, chance draws some twice
    assert len(torch.unique(made, dim=0)) >= (10 if name == "crop-flip" else 12 * pipeline(name, 16).views)


def test_none_gives_the_image_twice(images):
    made = views("none", images)
    assert torch.equal(made[0], images / 255)
    assert torch.equal(made[1], images / 255)


@pytest.mark.parametrize("name", pipeline_names())
def test_float_and_uint8_images_give_the_same_views(images, name):
    floats = images / 255
    assert torch.equal(views(name, images), views(name, floats))
    assert torch.equal(floats, images / 255)


@pytest.mark.parametrize("name", ["simclr", "uel", "digits", "crop-flip", "shift-flip"])
def test_views_are_a_function_of_seed_epoch_and_step(images, name):
    before = torch.get_rng_state()
    made = views(name, images)
    torch.rand(5)
    assert torch.equal(made, views(name, images))
    for other in ({"seed": 4}, {"epoch": 2}, {"step": 5}):
        assert not torch.equal(made, views(name, images, **other))
    torch.set_rng_state(before)
    views(name, images)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("name", ["simclr", "uel", "digits", "crop-flip", "shift-flip"])
def test_processes_together_see_the_views_of_one(images, name):
    parts = [views(name, images[4 * rank : 4 * rank + 4], rank=rank, world_size=3) for rank in range(3)]
    assert torch.equal(torch.cat(parts, dim=1), views(name, images))


@pytest.mark.parametrize("name", ["simclr", "uel", "digits", "crop-flip", "shift-flip"])
def test_taking_images_in_parts_changes_nothing(images, name, monkeypatch):
    whole = views(name, images)
    monkeypatch.setattr("sparring.data.views.PART", 5)
    assert torch.allclose(views(name, images), whole, atol=1e-6)


def test_streams_of_different_purpose_or_length_differ():
    seeds = {
        seeded(*where).initial_seed()
        for where in [(0, "a"), (0, "b"), (0, "a", 0), (0, "a", 0, 0), (0, "a", 1), (1, "a"), (2**40, "a")]
    }
    assert len(seeds) == 7


@pytest.mark.gpu
@pytest.mark.parametrize("name", pipeline_names())
def test_cpu_and_gpu_give_the_same_views(images, name):
    assert torch.allclose(views(name, images), views(name, images.cuda()).cpu(), atol=1e-5)


class TestRefusals:
    def test_an_unknown_name_names_the_nearest(self):
        with pytest.raises(ValueError, match=r"views: 'simcrl' is none of .*did you mean 'simclr'\?"):
            pipeline("simcrl", 32)

    def test_a_size_below_one(self):
        with pytest.raises(ValueError, match="image_size: 0"):
            pipeline("simclr", 0)

    def test_a_negative_seed(self):
        with pytest.raises(ValueError, match="seed: -1"):
            seeded(-1, "views")

    @pytest.mark.gpu
    def test_a_generator_on_the_gpu(self, images):
        with pytest.raises(ValueError, match="drawn on the CPU"):
            pipeline("simclr", 16)(images, torch.Generator("cuda"))
