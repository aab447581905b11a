"""Images beside their adversarial copies and the amplified difference (CLAE, Fig. 2), with words below them."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np
from jaxtyping import Float

from sparring.reporting.figures import png

AMPLIFIED_TO = 0.5
"""The largest perturbation of an example is shown this far from mid-grey."""


def perturbed(
    original: Float[np.ndarray, "m C H W"],
    adversarial: Float[np.ndarray, "m C H W"],
    captions: Sequence[tuple[str, Sequence[str]]],
) -> tuple[str, str]:
    """The grid of images, and the sentences that say how the difference is shown.

    `captions` are rows of words below the images: what the row is, and one text per image.
    """
    difference = adversarial - original
    largest = float(np.abs(difference).max(initial=0))
    factor = AMPLIFIED_TO / largest if largest > 0 else 1.0
    rows = [
        ("original", original),
        ("adversarial", adversarial),
        (f"difference × {factor:.3g}", 0.5 + factor * difference),
    ]
    subjects = captions[0][1] if captions else []
    cells = []
    for word, images in rows:
        cells.append(f"<div>{escape(word)}</div>")
        for index, image in enumerate(images):
            subject = subjects[index] if index < len(subjects) else f"image {index + 1}"
            cells.append(png(image, f"{word}: {subject}"))
    for word, texts in captions:
        cells += [f"<div>{escape(text)}</div>" for text in (word, *texts)]
    columns = f"grid-template-columns: 5.6rem repeat({len(original)}, minmax(2.2rem, 5.6rem))"
    words = (
        f"The difference is amplified {factor:.3g} times around mid-grey; its largest value is "
        f"{255 * largest:.1f}/255 in pixels. Values outside [0, 1] are shown at the nearest end."
    )
    return f'<div class="scroll"><div class="examples" style="{columns}">{"".join(cells)}</div></div>', words
