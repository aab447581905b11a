"""The fifteen corruptions of ImageNet-C as plain loops over one image, a list image[channel][row][column] of numbers 0 to 255.

Settings and steps are those of make_cifar_c.py and make_imagenet_c.py. Every function takes the image, its settings and the
generator of its random numbers, and returns whole numbers. `draw` says in which order and shape numbers are drawn.
"""

import colorsys
import io
import math

import numpy as np
from PIL import Image

CIFAR = {
    "gaussian_noise": [0.04, 0.06, 0.08, 0.09, 0.10],
    "shot_noise": [500, 250, 100, 75, 50],
    "impulse_noise": [0.01, 0.02, 0.03, 0.05, 0.07],
    "defocus_blur": [(0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1)],
    "glass_blur": [(0.05, 1, 1), (0.25, 1, 1), (0.4, 1, 1), (0.25, 1, 2), (0.4, 1, 2)],
    "motion_blur": [(6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5)],
    "zoom_blur": [(1.06, 0.01), (1.11, 0.01), (1.16, 0.01), (1.21, 0.01), (1.26, 0.01)],
    "snow": [
        (0.1, 0.2, 1, 0.6, 8, 3, 0.95),
        (0.1, 0.2, 1, 0.5, 10, 4, 0.9),
        (0.15, 0.3, 1.75, 0.55, 10, 4, 0.9),
        (0.25, 0.3, 2.25, 0.6, 12, 6, 0.85),
        (0.3, 0.3, 1.25, 0.65, 14, 12, 0.8),
    ],
    "frost": [(1, 0.2), (1, 0.3), (0.9, 0.4), (0.85, 0.4), (0.75, 0.45)],
    "fog": [(0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75)],
    "brightness": [0.05, 0.1, 0.15, 0.2, 0.3],
    "contrast": [0.75, 0.5, 0.4, 0.3, 0.15],
    "elastic_transform": [
        (32 * 0, 32 * 0, 32 * 0.08),
        (32 * 0.05, 32 * 0.2, 32 * 0.07),
        (32 * 0.08, 32 * 0.06, 32 * 0.06),
        (32 * 0.1, 32 * 0.04, 32 * 0.05),
        (32 * 0.1, 32 * 0.03, 32 * 0.03),
    ],
    "pixelate": [0.95, 0.9, 0.85, 0.75, 0.65],
    "jpeg_compression": [80, 65, 58, 50, 40],
}
IMAGENET = {
    "gaussian_noise": [0.08, 0.12, 0.18, 0.26, 0.38],
    "shot_noise": [60, 25, 12, 5, 3],
    "impulse_noise": [0.03, 0.06, 0.09, 0.17, 0.27],
    "defocus_blur": [(3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5)],
    "glass_blur": [(0.7, 1, 2), (0.9, 2, 1), (1, 2, 3), (1.1, 3, 2), (1.5, 4, 2)],
    "motion_blur": [(10, 3), (15, 5), (15, 8), (15, 12), (20, 15)],
    "zoom_blur": [(1.11, 0.01), (1.16, 0.01), (1.21, 0.02), (1.26, 0.02), (1.31, 0.03)],
    "snow": [
        (0.1, 0.3, 3, 0.5, 10, 4, 0.8),
        (0.2, 0.3, 2, 0.5, 12, 4, 0.7),
        (0.55, 0.3, 4, 0.9, 12, 8, 0.7),
        (0.55, 0.3, 4.5, 0.85, 12, 8, 0.65),
        (0.55, 0.3, 2.5, 0.85, 12, 12, 0.55),
    ],
    "frost": [(1, 0.4), (0.8, 0.6), (0.7, 0.7), (0.65, 0.7), (0.6, 0.75)],
    "fog": [(1.5, 2), (2, 2), (2.5, 1.7), (2.5, 1.5), (3, 1.4)],
    "brightness": [0.1, 0.2, 0.3, 0.4, 0.5],
    "contrast": [0.4, 0.3, 0.2, 0.1, 0.05],
    "elastic_transform": [
        (244 * 2, 244 * 0.7, 244 * 0.1),
        (244 * 2, 244 * 0.08, 244 * 0.2),
        (244 * 0.05, 244 * 0.01, 244 * 0.02),
        (244 * 0.07, 244 * 0.01, 244 * 0.02),
        (244 * 0.12, 244 * 0.01, 244 * 0.02),
    ],
    "pixelate": [0.6, 0.5, 0.4, 0.3, 0.25],
    "jpeg_compression": [25, 18, 15, 10, 7],
}


def level(value):
    """A pixel in [0, 1] as a whole number, cut off, not rounded."""
    return int(min(max(value, 0.0), 1.0) * 255 + 1e-6)


def each(image, function):
    """function(channel, row, column) at every place, as levels."""
    return [
        [[level(function(k, i, j)) for j in range(len(image[0][0]))] for i in range(len(image[0]))]
        for k in range(len(image))
    ]


def mirror(i, n):
    """... 2 1 [0 1 2 ... n-1] n-2 ..."""
    i = abs(i) % (2 * (n - 1))
    return min(i, 2 * (n - 1) - i)


def reflect(i, n):
    """... 1 0 [0 1 2 ... n-1] n-1 ..."""
    i %= 2 * n
    return min(i, 2 * n - 1 - i)


def nearest(i, n):
    """... 0 0 [0 1 2 ... n-1] n-1 ..."""
    return min(max(i, 0), n - 1)


def gaussian_taps(reach, sigma):
    taps = [math.exp(-(t**2) / (2 * sigma**2)) for t in range(-reach, reach + 1)]
    return [tap / sum(taps) for tap in taps]


def smooth(plane, sigma, border, truncate):
    """A Gaussian filter of one plane, first along its columns, then along its rows."""
    if sigma == 0:
        return plane
    height, width, reach = len(plane), len(plane[0]), int(truncate * sigma + 0.5)
    taps = list(zip(range(-reach, reach + 1), gaussian_taps(reach, sigma), strict=True))
    down = [[sum(w * plane[border(i + t, height)][j] for t, w in taps) for j in range(width)] for i in range(height)]
    return [[sum(w * down[i][border(j + t, width)] for t, w in taps) for j in range(width)] for i in range(height)]


def gaussian_noise(image, c, rng):
    noise = rng.standard_normal((len(image), len(image[0]), len(image[0][0])))
    return each(image, lambda k, i, j: image[k][i][j] / 255 + c * noise[k][i][j])


def shot_noise(image, c, rng):
    counts = rng.poisson([[[value / 255 * c for value in row] for row in plane] for plane in image])
    return each(image, lambda k, i, j: counts[k][i][j] / c)


def impulse_noise(image, c, rng):
    u = rng.random((len(image), len(image[0]), len(image[0][0])))
    return each(image, lambda k, i, j: 0 if u[k][i][j] < c / 2 else 1 if u[k][i][j] < c else image[k][i][j] / 255)


def disk(radius, sigma):
    """A dictionary of weights by place."""
    reach, taps = (8, 1) if radius <= 8 else (radius, 2)
    places = range(-reach, reach + 1)
    inside = [(i, j) for i in places for j in places if i * i + j * j <= radius**2]
    w = gaussian_taps(taps, sigma)
    size = 2 * reach + 1
    kernel = {}
    for i in places:
        for j in places:
            kernel[i, j] = sum(
                w[a + taps] * w[b + taps] / len(inside)
                for a in range(-taps, taps + 1)
                for b in range(-taps, taps + 1)
                if (mirror(i + a + reach, size) - reach, mirror(j + b + reach, size) - reach) in inside
            )
    return kernel


def defocus_blur(image, c, rng):
    height, width = len(image[0]), len(image[0][0])
    kernel = {place: weight for place, weight in disk(*c).items() if weight > 0}
    return each(
        image,
        lambda k, i, j: sum(
            weight * image[k][mirror(i + a, height)][mirror(j + b, width)] / 255 for (a, b), weight in kernel.items()
        ),
    )


def glass_blur(image, c, rng):
    sigma, reach, rounds = c
    height, width = len(image[0]), len(image[0][0])
    hs, ws = range(height - reach, reach, -1), range(width - reach, reach, -1)
    moves = rng.integers(-reach, reach, (rounds, len(hs), len(ws), 2), dtype=np.int8)
    first = [smooth([[value / 255 for value in row] for row in plane], sigma, nearest, 4) for plane in image]
    x = each(image, lambda k, i, j: first[k][i][j])
    for turn in range(rounds):
        for a, h in enumerate(hs):
            for b, w in enumerate(ws):
                dx, dy = (int(d) for d in moves[turn, a, b])
                for plane in x:
                    plane[h][w] = plane[h + dy][w + dx]
    second = [smooth([[value / 255 for value in row] for row in plane], sigma, nearest, 4) for plane in x]
    return each(image, lambda k, i, j: second[k][i][j])


def motion(image, radius, sigma, angle):
    """ImageMagick's MotionBlurImage."""
    height, width = len(image[0]), len(image[0][0])
    taps = [math.exp(-(t**2) / (2 * sigma**2)) for t in range(2 * radius + 1)]
    sine, cosine = math.sin(math.radians(angle)), math.cos(math.radians(angle))
    places = [(math.ceil(t * sine - 0.5), math.ceil(t * cosine - 0.5)) for t in range(2 * radius + 1)]

    def at(plane, i, j):
        total = 0.0
        for tap, (down, right) in zip(taps, places, strict=True):
            total += tap / sum(taps) * plane[nearest(i + down, height)][nearest(j + right, width)]
        return int(total + 0.5 + 1e-9)

    return [[[at(plane, i, j) for j in range(width)] for i in range(height)] for plane in image]


def motion_blur(image, c, rng):
    return motion(image, *c, rng.uniform(-45, 45))


def central_zoom(plane, factor):
    """The middle of a plane, enlarged by linear interpolation to the plane's size."""
    height, width = len(plane), len(plane[0])

    def source(i, n):
        kept = math.ceil(n / factor)
        size = round(kept * factor)
        at = (i + (size - n) // 2) * (kept - 1) / (size - 1) if size > 1 else 0
        low = min(int(at), kept - 2) if kept > 1 else 0
        return (n - kept) // 2 + low, at - low

    def value(i, j):
        (top, a), (left, b) = source(i, height), source(j, width)
        corners = [(0, 0, (1 - a) * (1 - b)), (1, 0, a * (1 - b)), (0, 1, (1 - a) * b), (1, 1, a * b)]
        return sum(weight * plane[top + di][left + dj] for di, dj, weight in corners if weight)

    return [[value(i, j) for j in range(width)] for i in range(height)]


def zoom_blur(image, c, rng):
    factors = [float(factor) for factor in np.arange(1, *c)]
    zoomed = [[central_zoom(plane, factor) for factor in factors] for plane in image]
    return each(
        image,
        lambda k, i, j: (image[k][i][j] + sum(z[i][j] for z in zoomed[k])) / (len(factors) + 1) / 255,
    )


def snow(image, c, rng):
    mean, deviation, factor, threshold, radius, sigma, kept = c
    height, width = len(image[0]), len(image[0][0])
    noise = rng.standard_normal((height, width))
    angle = rng.uniform(-135, -45)
    flakes = central_zoom([[mean + deviation * value for value in row] for row in noise], factor)
    flakes = [[[level(value if value >= threshold else 0) for value in row] for row in flakes]]
    fallen = motion(flakes, radius, sigma, angle)[0]

    def value(k, i, j):
        x = [plane[i][j] / 255 for plane in image]
        grey = x[0] if len(x) == 1 else 0.299 * x[0] + 0.587 * x[1] + 0.114 * x[2]
        white = kept * x[k] + (1 - kept) * max(x[k], 1.5 * grey + 0.5)
        return white + fallen[i][j] / 255 + fallen[height - 1 - i][width - 1 - j] / 255

    return each(image, value)


def frost(image, c, rng, textures):
    """textures: five photographs, each texture[channel][row][column], already of the table's size."""
    height, width = len(image[0]), len(image[0][0])
    texture = textures[rng.integers(5)]
    top, left = rng.integers(len(texture[0]) - height), rng.integers(len(texture[0][0]) - width)
    return each(image, lambda k, i, j: (c[0] * image[k][i][j] + c[1] * float(texture[k][top + i][left + j])) / 255)


def plasma(noise, size, decay):
    """The diamond-square algorithm on a torus, place by place."""
    heights = [[0.0] * size for _ in range(size)]
    values, step, wibble = iter(noise), size, 100.0
    while step >= 2:
        half = step // 2
        for rows, columns, neighbours in (
            (
                range(half, size, step),
                range(half, size, step),
                [(-half, -half), (-half, half), (half, -half), (half, half)],
            ),
            (range(0, size, step), range(half, size, step), [(-half, 0), (half, 0), (0, -half), (0, half)]),
            (range(half, size, step), range(0, size, step), [(-half, 0), (half, 0), (0, -half), (0, half)]),
        ):
            for i in rows:
                for j in columns:
                    mean = sum(heights[(i + a) % size][(j + b) % size] for a, b in neighbours) / 4
                    heights[i][j] = mean + wibble * (wibble * next(values))
        step, wibble = half, wibble / decay
    low, high = min(map(min, heights)), max(map(max, heights))
    return [[(value - low) / (high - low) for value in row] for row in heights]


def fog(image, c, rng):
    size = 1
    while size < max(len(image[0]), len(image[0][0])):
        size *= 2
    mist = plasma(rng.uniform(-1, 1, size * size - 1), size, c[1])
    most = max(max(map(max, plane)) for plane in image) / 255
    return each(image, lambda k, i, j: (image[k][i][j] / 255 + c[0] * mist[i][j]) * most / (most + c[0]))


def brightness(image, c, rng):
    def value(k, i, j):
        x = [plane[i][j] / 255 for plane in image] * (3 if len(image) == 1 else 1)
        hue, saturation, v = colorsys.rgb_to_hsv(*x)
        return colorsys.hsv_to_rgb(hue, saturation, min(v + c, 1))[k]

    return each(image, value)


def contrast(image, c, rng):
    means = [sum(map(sum, plane)) / (len(plane) * len(plane[0])) / 255 for plane in image]
    return each(image, lambda k, i, j: (image[k][i][j] / 255 - means[k]) * c + means[k])


def bilinear(plane, row, column, border):
    i, j = math.floor(row), math.floor(column)
    a, b = row - i, column - j
    height, width = len(plane), len(plane[0])
    return sum(
        weight * plane[border(i + di, height)][border(j + dj, width)]
        for di, dj, weight in [(0, 0, (1 - a) * (1 - b)), (1, 0, a * (1 - b)), (0, 1, (1 - a) * b), (1, 1, a * b)]
    )


def elastic_transform(image, c, rng):
    amplitude, sigma, shift = c
    height, width = len(image[0]), len(image[0][0])
    reach = min(height, width) // 3
    corners = [(width // 2 + a * reach, height // 2 + b * reach) for a, b in [(1, 1), (1, -1), (-1, -1)]]
    moved = [(x + shift * u, y + shift * v) for (x, y), (u, v) in zip(corners, rng.uniform(-1, 1, (3, 2)), strict=True)]
    field = rng.uniform(-1, 1, (2, height, width))

    # A point is moved[0] + s (moved[1] - moved[0]) + t (moved[2] - moved[0]); its source has the same s and t at the corners.
    (ax, ay), (bx, by), (cx, cy) = moved
    area = (bx - ax) * (cy - ay) - (cx - ax) * (by - ay)

    def source(x, y):
        s = ((x - ax) * (cy - ay) - (cx - ax) * (y - ay)) / area
        t = ((bx - ax) * (y - ay) - (x - ax) * (by - ay)) / area
        return tuple(p + s * (q - p) + t * (r - p) for p, q, r in zip(*corners, strict=True))

    warped = []
    for plane in image:
        warped.append([])
        for i in range(height):
            places = [source(j, i) for j in range(width)]
            warped[-1].append([bilinear(plane, row, column, mirror) / 255 for column, row in places])
    dx, dy = (smooth(field[axis].tolist(), sigma, reflect, 3) for axis in (0, 1))
    return each(
        image,
        lambda k, i, j: bilinear(warped[k], i + amplitude * dy[i][j], j + amplitude * dx[i][j], reflect),
    )


def picture(image):
    pixels = np.array(image, dtype=np.uint8)
    return Image.fromarray(pixels[0] if len(pixels) == 1 else np.ascontiguousarray(np.moveaxis(pixels, 0, -1)))


def pixels(picture):
    array = np.asarray(picture)
    return (array[None] if array.ndim == 2 else np.moveaxis(array, -1, 0)).tolist()


def pixelate(image, c, rng):
    """By Pillow, as the original."""
    height, width = len(image[0]), len(image[0][0])
    small = picture(image).resize((int(width * c), int(height * c)), Image.Resampling.BOX)
    return pixels(small.resize((width, height), Image.Resampling.BOX))


def jpeg_compression(image, c, rng):
    file = io.BytesIO()
    picture(image).save(file, "JPEG", quality=c)
    return pixels(Image.open(file))
