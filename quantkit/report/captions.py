"""Words on a picture, in the letters that OpenCV has."""

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Color = tuple[int, int, int]

BLACK: Final[Color] = (0, 0, 0)
_FONT: Final = cv2.FONT_HERSHEY_SIMPLEX
_CUT: Final = ".."
_INDENT: Final = 4


def png(picture: Image) -> bytes:
    """Write a picture as a PNG file."""
    return cv2.imencode(".png", picture)[1].tobytes()


def strip(
    lines: Sequence[str], width: int, *, line: int = 18, size: float = 0.42, color: Color = BLACK
) -> Image:
    """Write lines on white; what is too wide for the strip is shortened.

    Args:
        lines: What is written; letters outside ASCII, which OpenCV cannot draw, become `?`.
        width: Of the strip, in pixels.
        line: Height of a line, in pixels.
        size: Scale of the letters; 1 is about 22 pixels high.
        color: Of the letters, BGR.

    Returns:
        Shape (lines times `line`, width, 3).
    """
    drawn = np.full((len(lines) * line, width, 3), 255, np.uint8)
    for index, text in enumerate(lines):
        place = (_INDENT, index * line + round(0.7 * line))
        shown = shortened(text, width - _INDENT * 2, size)
        cv2.putText(drawn, shown, place, _FONT, size, color, 1, cv2.LINE_AA)
    return drawn


def wrapped(text: str, width: int, *, lines: int, size: float = 0.42) -> list[str]:
    """Break a text between words so that it fits a `strip`; the last line takes what is left.

    Args:
        text: What is broken.
        width: Of the strip, in pixels.
        lines: The most lines.
        size: Scale of the letters.

    Example:
        >>> wrapped("#12 000123.jpg", 90, lines=2)
        ['#12', '000123.jpg']
    """
    done: list[str] = []
    for word in text.split():
        longer = f"{done[-1]} {word}" if done else word
        if done and (len(done) == lines or text_width(longer, size) <= width - _INDENT * 2):
            done[-1] = longer
        else:
            done.append(word)
    return done


def shortened(text: str, width: int, size: float) -> str:
    """Leave out the middle of a text that is wider than `width` pixels; names differ at their end.

    Example:
        >>> shortened("000000123456.jpg", 60, 0.42)
        '0..56.jpg'
    """
    text = text.encode("ascii", "replace").decode()
    if text_width(text, size) <= width:
        return text
    for kept in range(len(text) - 1, 0, -1):
        front = kept // 4
        shorter = f"{text[:front]}{_CUT}{text[len(text) - kept + front :]}"
        if text_width(shorter, size) <= width:
            return shorter
    return ""


def text_width(text: str, size: float) -> int:
    """Width of a text in pixels."""
    return int(cv2.getTextSize(text, _FONT, size, 1)[0][0])
