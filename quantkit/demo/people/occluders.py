"""What stands in front of people: boxes, tables, poles, bushes and things that look like limbs."""

from typing import Final

import cv2
import numpy as np
from numpy.random import Generator

from quantkit.demo.people.background import draw_distractor_color
from quantkit.demo.people.clothing import Cloth, draw_color
from quantkit.demo.people.paint import Canvas, paint_capsule

_NOBODY: Final = (0,)


def add_occluder(canvas: Canvas, rng: Generator, light: tuple[float, float]) -> None:
    """Put one thing in front of whatever is on the canvas.

    Args:
        canvas: Changed in place; nobody owns the pixels of the thing.
        rng: Where all choices come from.
        light: Direction towards the light.
    """
    kind = rng.random()
    if kind < 0.25:
        _add_table(canvas, rng)
    elif kind < 0.45:
        _add_box(canvas, rng)
    elif kind < 0.65:
        _add_pole(canvas, rng)
    elif kind < 0.85:
        _add_bush(canvas, rng)
    else:
        _add_limb(canvas, rng, light)


def _add_table(canvas: Canvas, rng: Generator) -> None:
    height, width = canvas.owners.shape
    top, half = int(height * rng.uniform(0.62, 0.95)), int(width * rng.uniform(0.1, 0.35))
    x = int(rng.integers(width))
    _rectangle(canvas, (x - half, top), (x + half, height), draw_color(rng))
    _rectangle(canvas, (x - half - 6, top - 6), (x + half + 6, top + 4), draw_color(rng))


def _add_box(canvas: Canvas, rng: Generator) -> None:
    height, width = canvas.owners.shape
    x, y = int(rng.integers(width)), int(height * rng.uniform(0.25, 1.0))
    w, h = (int(size) for size in rng.uniform(0.05, 0.17, 2) * height)
    _rectangle(canvas, (x - w, y - h), (x + w, y + h), draw_color(rng))


def _add_pole(canvas: Canvas, rng: Generator) -> None:
    height, width = canvas.owners.shape
    x, half = int(rng.integers(width)), int(height * rng.uniform(0.008, 0.03))
    _rectangle(canvas, (x - half, 0), (x + half, height), draw_color(rng))


def _add_bush(canvas: Canvas, rng: Generator) -> None:
    height, width = canvas.owners.shape
    x, y = rng.uniform(0, width), rng.uniform(0.55, 1.1) * height
    tone = np.array(draw_color(rng))
    for _ in range(int(rng.integers(8, 22))):
        center = np.rint(rng.normal((x, y), 0.07 * height)).astype(int).tolist()
        axes = np.rint(rng.uniform(0.015, 0.06, 2) * height).astype(int).tolist()
        angle = float(rng.uniform(0, 180))
        color = np.clip(tone * rng.uniform(0.7, 1.25), 0, 255).tolist()
        cv2.ellipse(canvas.image, center, axes, angle, 0, 360, color, -1)
        cv2.ellipse(canvas.owners, center, axes, angle, 0, 360, _NOBODY, -1)


def _add_limb(canvas: Canvas, rng: Generator, light: tuple[float, float]) -> None:
    height, width = canvas.owners.shape
    start = rng.uniform((0, 0), (width, height))
    points = start + np.cumsum(rng.normal(0.0, 0.16 * height, (2, 2)), axis=0)
    radii = rng.uniform(0.012, 0.035, 2) * height
    paint_capsule(canvas, points, radii, Cloth(draw_distractor_color(rng)), light)


def _rectangle(
    canvas: Canvas, first: tuple[int, int], last: tuple[int, int], color: tuple[float, ...]
) -> None:
    cv2.rectangle(canvas.image, first, last, color, -1)
    cv2.rectangle(canvas.owners, first, last, _NOBODY, -1)
