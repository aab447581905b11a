"""Settings that change no figure, each at another value than its default."""

from typing import Any

from sparring.config import NO_FIGURE, ROOTS
from sparring.configuration import fields


def other(key: str) -> Any:
    """A value that the setting takes and that is not its default."""
    field = fields()[key]
    if field.choices:
        return next(choice for choice in field.choices if choice != field.default)
    return {bool: not field.default, int: 7, str: "elsewhere"}[field.plain_type]


NONE_OF_A_FIGURE = {key: other(key) for key in NO_FIGURE}
IMAGES_ELSEWHERE = {key: other(key) for key in ROOTS}
