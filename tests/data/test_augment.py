"""Every operation against torchvision: pixels for given parameters, and the distribution of the parameters."""

import pytest
import torch
from scipy import ndimage
from scipy.stats import chisquare, ks_2samp
from torchvision.transforms import v2
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as F

from sparring.data.augment import (
    ColorJitter,
    RandomCrop,
    RandomGrayscale,
    RandomHorizontalFlip,
    RandomResizedCrop,
    RandomRotation,
    RandomShift,
    Resize,
)
from sparring.data.color import adjust_brightness, adjust_contrast, adjust_hue, adjust_saturation, gray


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def same_distribution(ours, theirs):
    """Kolmogorov-Smirnov: not told apart at one in a thousand (seeds are fixed)."""
    return ks_2samp(ours.double().numpy(), theirs.double().numpy(), method="asymp").pvalue > 1e-3


def difference(ours, theirs):
    return max((a - b).abs().max().item() for a, b in zip(ours, theirs, strict=True))


@pytest.fixture
def images():
    x = torch.rand(24, 3, 12, 12, generator=generator(1))
    x[0], x[1], x[2] = 0.0, 1.0, 0.3  # gray everywhere: hue undefined
    x[3:9] = (x[3:9] * 3).round() / 3  # ties between channels
    x[9, 1] = x[9, 0]
    return x


class TestColor:
    @pytest.mark.parametrize(
        ("ours", "theirs", "low", "high"),
        [
            (adjust_brightness, F.adjust_brightness, 0.0, 2.5),
            (adjust_contrast, F.adjust_contrast, 0.0, 2.5),
            (adjust_saturation, F.adjust_saturation, 0.0, 2.5),
            (adjust_hue, F.adjust_hue, -0.5, 0.5),
        ],
        ids=lambda v: getattr(v, "__name__", None),
    )
    @pytest.mark.parametrize("channels", [1, 3])
    def test_equals_torchvision_to_1e_6(self, images, ours, theirs, low, high, channels):
        x = images[:, :channels]
        factor = torch.linspace(low, high, len(x))[torch.randperm(len(x), generator=generator())]
        expected = [theirs(image, float(f)) for image, f in zip(x, factor, strict=True)]
        assert difference(ours(x, factor), expected) <= 1e-6

    def test_a_hue_of_a_full_circle_is_the_image(self, images):
        assert torch.allclose(adjust_hue(images, torch.ones(len(images))), images, atol=2e-6)

    def test_gray_equals_torchvision(self, images):
        assert difference(gray(images), F.rgb_to_grayscale(images)) <= 1e-7

    def test_inputs_are_left_alone(self, images):
        before, factor = images.clone(), torch.full((len(images),), 0.3)
        for adjust in (adjust_brightness, adjust_contrast, adjust_saturation, adjust_hue):
            adjust(images, factor)
        assert torch.equal(images, before)


class TestRandomResizedCrop:
    @pytest.mark.parametrize("size", [5, 14, 20, 33], ids="to{}".format)
    @pytest.mark.parametrize("antialias", [True, False], ids=["antialias", "plain"])
    def test_pixels_equal_torchvision_edges_included(self, size, antialias):
        x = torch.rand(40, 3, 20, 14, generator=generator())
        crop = RandomResizedCrop(size, antialias=antialias)
        (box,) = crop.draw(40, (20, 14), generator(2))
        box[0], box[1] = torch.tensor([0, 0, 20, 14]), torch.tensor([19, 13, 1, 1])
        expected = [
            F.resized_crop(image, *b, size=[size, size], antialias=antialias)
            for image, b in zip(x, box.tolist(), strict=True)
        ]
        assert difference(crop.apply(x, box), expected) <= 2e-6

    @pytest.mark.parametrize("size", [5, 14, 20, 33], ids="to{}".format)
    def test_bicubic_pixels_equal_torchvision_clipped(self, size):
        x = torch.rand(
            40, 3, 20, 14, generator=generator()
        ).round()  # black and white, so that interpolation overshoots
        crop = RandomResizedCrop(size, interpolation="bicubic")
        (box,) = crop.draw(40, (20, 14), generator(2))
        box[0], box[1] = torch.tensor([0, 0, 20, 14]), torch.tensor([19, 13, 1, 1])
        expected = [
            F.resized_crop(image, *b, size=[size, size], interpolation=F.InterpolationMode.BICUBIC)
            for image, b in zip(x, box.tolist(), strict=True)
        ]
        assert max(float(image.max()) for image in expected) > 1.01
        assert difference(crop.apply(x, box), [image.clamp(0, 1) for image in expected]) <= 3e-6

    def test_bicubic_without_antialias_is_refused(self):
        with pytest.raises(ValueError, match="interpolation is bicubic, but antialias is False"):
            RandomResizedCrop(4, antialias=False, interpolation="bicubic").apply(
                torch.rand(1, 1, 8, 8), torch.tensor([[0, 0, 8, 8]])
            )

    @pytest.mark.parametrize("size", [(32, 32), (40, 20), (12, 60)], ids=str)
    @pytest.mark.parametrize("scale", [(0.08, 1.0), (0.2, 1.0)], ids=str)
    def test_boxes_are_distributed_as_torchvisions(self, size, scale):
        n = 1500
        theirs = v2.RandomResizedCrop(8, scale=scale)
        blank = torch.zeros(3, *size)
        drawn = [theirs.make_params([blank]) for _ in range(n)]
        expected = torch.tensor([[p[k] for k in ("top", "left", "height", "width")] for p in drawn])
        (box,) = RandomResizedCrop(8, scale=scale).draw(n, size, generator(3))
        features = [lambda b: b[:, 2] * b[:, 3], lambda b: b[:, 3] / b[:, 2], lambda b: b[:, 0], lambda b: b[:, 1]]
        for feature in features:
            assert same_distribution(feature(box), feature(expected))
        assert (box[:, :2] >= 0).all()
        assert (box[:, 0] + box[:, 2] <= size[0]).all()
        assert (box[:, 1] + box[:, 3] <= size[1]).all()

    @pytest.mark.parametrize("size", [(100, 10), (10, 100), (9, 11)], ids=str)
    def test_falls_back_to_torchvisions_central_box(self, size):
        scale = (4.0, 5.0)  # no box of four times the image's area fits
        (box,) = RandomResizedCrop(8, scale=scale).draw(5, size, generator())
        expected = v2.RandomResizedCrop(8, scale=scale).make_params([torch.zeros(3, *size)])
        assert box.tolist() == [[expected[k] for k in ("top", "left", "height", "width")]] * 5

    def test_is_differentiable(self):
        x = torch.rand(2, 1, 6, 6, dtype=torch.float64, requires_grad=True)
        box = torch.tensor([[0, 1, 4, 3], [2, 2, 4, 4]])
        assert torch.autograd.gradcheck(lambda v: RandomResizedCrop(4).apply(v, box), (x,))


class TestColorJitter:
    strengths = (0.4, 0.3, 0.8, 0.2)

    def test_equals_torchvision_in_each_images_own_order(self, images):
        jitter = ColorJitter(*self.strengths, p=0.7)
        chosen, factors, order = jitter.draw(len(images), (12, 12), generator())
        adjust = (F.adjust_brightness, F.adjust_contrast, F.adjust_saturation, F.adjust_hue)
        expected = []
        for i, image in enumerate(images):
            for k in order[i].tolist() if chosen[i] else []:
                image = adjust[k](image, float(factors[i, k]))
            expected.append(image)
        before = images.clone()
        assert difference(jitter.apply(images, chosen, factors, order), expected) <= 4e-6
        assert torch.equal(images, before)
        assert 0 < chosen.sum() < len(images)

    def test_factors_and_orders_are_distributed_as_torchvisions(self):
        n = 2000
        theirs = v2.ColorJitter(*self.strengths)
        drawn = [theirs.make_params([]) for _ in range(n)]
        chosen, factors, order = ColorJitter(*self.strengths, p=0.8).draw(n, (4, 4), generator())
        names = ("brightness_factor", "contrast_factor", "saturation_factor", "hue_factor")
        for k, name in enumerate(names):
            assert same_distribution(factors[:, k], torch.tensor([p[name] for p in drawn]))
        assert chosen.float().mean() == pytest.approx(0.8, abs=0.04)
        _, counts = torch.unique(order, dim=0, return_counts=True)
        assert len(counts) == 24
        assert chisquare(counts.numpy()).pvalue > 1e-3

    def test_a_strength_above_one_never_gives_a_negative_factor(self):
        _, factors, _ = ColorJitter(brightness=1.5).draw(500, (4, 4), generator())
        assert factors[:, 0].min() >= 0
        assert factors[:, 0].max() > 2

    def test_strength_zero_is_left_out(self, images):
        jitter = ColorJitter(contrast=0.5)
        _, factors, _ = drawn = jitter.draw(len(images), (12, 12), generator())
        assert torch.equal(jitter.apply(images, *drawn), adjust_contrast(images, factors[:, 1]))


class TestCropAndShift:
    def test_windows_equal_torchvisions_crop_of_the_padded_image(self):
        x = torch.rand(30, 3, 9, 7, generator=generator())
        crop = RandomCrop(2)
        (corner,) = crop.draw(30, (9, 7), generator())
        corner[0], corner[1], corner[2] = torch.tensor([0, 0]), torch.tensor([4, 4]), torch.tensor([2, 2])
        expected = [F.crop(F.pad(i, [2, 2, 2, 2]), *c, 9, 7) for i, c in zip(x, corner.tolist(), strict=True)]
        made = crop.apply(x, corner)
        assert difference(made, expected) == 0
        assert torch.equal(made[2], x[2])

    def test_corners_are_distributed_as_torchvisions(self):
        theirs = v2.RandomCrop(12, padding=4)
        blank = torch.zeros(3, 12, 12)
        drawn = [theirs.make_params([blank]) for _ in range(1000)]
        (corner,) = RandomCrop(4).draw(1000, (12, 12), generator())
        for axis, name in ((0, "top"), (1, "left")):
            assert set(corner[:, axis].tolist()) == set(range(9))
            assert same_distribution(corner[:, axis], torch.tensor([p[name] for p in drawn]))
        assert chisquare(torch.unique(corner, dim=0, return_counts=True)[1].numpy()).pvalue > 1e-3

    def test_a_shift_equals_scipys_with_edges_repeated(self):
        x = torch.rand(20, 3, 13, 10, generator=generator())
        shift = RandomShift(0.3)
        (fractions,) = shift.draw(20, (13, 10), generator())
        fractions[0], fractions[1] = torch.tensor([0.0, 0.0]), torch.tensor([1 / 13, -2 / 10])  # whole pixels
        expected = [
            torch.from_numpy(ndimage.shift(i.numpy(), (0, down * 13, right * 10), order=1, mode="nearest"))
            for i, (down, right) in zip(x, fractions.tolist(), strict=True)
        ]
        made = shift.apply(x, fractions)
        assert difference(made, expected) <= 5e-6
        assert torch.allclose(made[0], x[0], atol=1e-6)
        assert torch.allclose(made[1, :, 1:, :-2], x[1, :, :-1, 2:], atol=1e-5)

    def test_shifts_are_uniform_in_both_directions(self):
        (fractions,) = RandomShift(0.1).draw(2000, (4, 9), generator())
        for axis in (0, 1):
            assert same_distribution(fractions[:, axis], torch.rand(2000) * 0.2 - 0.1)
        assert abs(torch.corrcoef(fractions.T)[0, 1].item()) < 0.08


class TestFlipAndGrayscale:
    @pytest.mark.parametrize(
        ("operation", "theirs"),
        [
            (RandomHorizontalFlip(0.5), F.horizontal_flip),
            (RandomGrayscale(0.2), lambda image: F.rgb_to_grayscale(image, num_output_channels=3)),
        ],
    )
    def test_changes_the_drawn_images_only(self, images, operation, theirs):
        (chosen,) = operation.draw(len(images), (12, 12), generator(5))
        expected = [theirs(x) if c else x for x, c in zip(images, chosen, strict=True)]
        assert 0 < chosen.sum() < len(images)
        assert difference(operation.apply(images, chosen), expected) <= 1e-7

    @pytest.mark.parametrize("kind", [RandomHorizontalFlip, RandomGrayscale])
    def test_happens_with_probability_p(self, kind):
        (chosen,) = kind(0.3).draw(4000, (4, 4), generator())
        assert chosen.float().mean() == pytest.approx(0.3, abs=0.03)

    def test_a_gray_image_stays_as_it_is(self, images):
        assert torch.equal(RandomGrayscale().apply(images[:, :1], torch.ones(24, dtype=torch.bool)), images[:, :1])


class TestRotationAndResize:
    def test_rotation_equals_torchvision(self):
        x = torch.rand(20, 3, 17, 12, generator=generator())
        rotation = RandomRotation(40.0)
        (angle,) = rotation.draw(20, (17, 12), generator())
        expected = [
            F.rotate(image, float(a), interpolation=InterpolationMode.BILINEAR)
            for image, a in zip(x, angle, strict=True)
        ]
        assert difference(rotation.apply(x, angle), expected) <= 1e-5
        (angle,) = rotation.draw(2000, (1, 1), generator())
        assert same_distribution(angle, torch.rand(2000) * 80 - 40)

    @pytest.mark.parametrize("size", [7, 30])
    def test_resize_equals_torchvision(self, size):
        x = torch.rand(3, 3, 17, 12, generator=generator())
        assert difference(Resize(size).apply(x), F.resize(x, [size, size], antialias=True)) <= 2e-6
