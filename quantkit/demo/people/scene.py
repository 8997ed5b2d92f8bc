"""One picture: people in a place, and what an annotator would say about each of them."""

from dataclasses import dataclass
from typing import Final, Literal, get_args

import cv2
import numpy as np
from numpy.random import PCG64, Generator, SeedSequence

from quantkit.demo.people.annotate import RenderedPerson, annotate
from quantkit.demo.people.background import add_distractors, draw_background
from quantkit.demo.people.degradation import degrade
from quantkit.demo.people.figure import draw_figures, paint_figure
from quantkit.demo.people.occluders import add_occluder
from quantkit.demo.people.paint import Canvas, Image

Split = Literal["train", "calibration", "val"]
SPLITS: Final[tuple[Split, ...]] = get_args(Split)

# Width and height of the pictures; each is painted at twice the size to smooth its edges.
_SIZES: Final = ((256, 192), (192, 256), (224, 224))
_FINE: Final = 2
_SEED: Final = 20170717
# Of pictures with 1, 2, 3 and 4 persons.
_CROWD_SHARES: Final = (0.58, 0.30, 0.10, 0.02)
_OCCLUDER_SHARE: Final = 0.13


@dataclass(frozen=True)
class Rendered:
    """A picture (BGR, shape (h, w, 3)) and the persons of whom something is seen, far to near."""

    image: Image
    persons: tuple[RenderedPerson, ...]


def render(split: Split, index: int) -> Rendered:
    """Render one picture; the same arguments give the same bytes.

    OpenCV 5 draws a few edges differently from OpenCV 4, which `quantkit[all]` installs: there a
    picture in ten differs in some pixels.

    Args:
        split: Which stream of pictures; no two streams share their random numbers.
        index: Which picture of the stream, from 0.

    Example:
        >>> picture = render("val", 0)
        >>> picture.image.dtype, picture.persons[0].keypoints.shape
        (dtype('uint8'), (17, 3))
    """
    rng = Generator(PCG64(SeedSequence((_SEED, SPLITS.index(split), index))))
    width, height = _SIZES[int(rng.integers(len(_SIZES)))]
    wide, high = width * _FINE, height * _FINE
    canvas = Canvas(draw_background(wide, high, rng), np.zeros((high, wide), np.int32))
    angle = rng.uniform(0.0, 2 * np.pi)
    light = (float(np.cos(angle)), float(np.sin(angle)))
    add_distractors(canvas, rng, light)
    count = 1 + int(rng.choice(len(_CROWD_SHARES), p=_CROWD_SHARES))
    figures = draw_figures(wide, high, count, rng)
    for figure in figures:
        paint_figure(canvas, figure, light)
        while rng.random() < _OCCLUDER_SHARE:
            add_occluder(canvas, rng, light)
    small = cv2.resize(canvas.image, (width, height), interpolation=cv2.INTER_AREA)
    found = [annotate(canvas.owners, figure, _FINE) for figure in figures]
    persons = tuple(person for person in found if person is not None)
    return Rendered(degrade(np.asarray(small, np.uint8), rng), persons)
