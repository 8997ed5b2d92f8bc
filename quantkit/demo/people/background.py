"""What stands behind people: gradients, textures, shapes, and things that look like limbs."""

from typing import Final

import cv2
import numpy as np
from numpy.random import Generator

from quantkit.demo.people.clothing import Cloth, draw_color
from quantkit.demo.people.paint import Canvas, Image, paint_capsule

_OCTAVES: Final = (4, 9, 20, 45)


def draw_background(width: int, height: int, rng: Generator) -> Image:
    """Draw an empty scene.

    Args:
        width: Pixels.
        height: Pixels.
        rng: Where all choices come from.

    Returns:
        BGR, shape (height, width, 3).
    """
    image = _gradient(width, height, rng)
    if rng.random() < 0.55:
        image = _with_floor(image, rng)
    if rng.random() < 0.75:
        image = _with_texture(image, rng)
    if rng.random() < 0.25:
        _add_grid(image, rng)
    for _ in range(int(rng.integers(0, 14))):
        _add_shape(image, rng)
    return image


def add_distractors(canvas: Canvas, rng: Generator, light: tuple[float, float]) -> None:
    """Add a few capsules in the colours of skin and cloth: poles, branches, lone arms."""
    height, width = canvas.image.shape[:2]
    for _ in range(int(rng.integers(0, 6))):
        start = rng.uniform((0, 0), (width, height))
        points = start + np.cumsum(rng.normal(0.0, 0.13 * height, (2, 2)), axis=0)
        radii = rng.uniform(0.008, 0.035, 2) * height
        paint_capsule(canvas, points, radii, Cloth(draw_distractor_color(rng)), light)


def draw_distractor_color(rng: Generator) -> tuple[float, float, float]:
    """Draw a colour that is as often skin as cloth."""
    if rng.random() < 0.5:
        return draw_color(rng)
    tone = rng.uniform(0.35, 1.0)
    return 165 * tone, 190 * tone, 228 * tone


def _gradient(width: int, height: int, rng: Generator) -> Image:
    corners = np.array([[draw_color(rng), draw_color(rng)] for _ in range(2)])
    mild = corners.mean(axis=(0, 1)) * 0.5 + corners * 0.5
    small = np.rint(mild).astype(np.uint8)
    image = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR_EXACT)
    return np.asarray(image, np.uint8)


def _with_floor(image: Image, rng: Generator) -> Image:
    height, width = image.shape[:2]
    horizon = int(height * rng.uniform(0.35, 0.85))
    floor = _gradient(width, height - horizon, rng)
    return np.concatenate([image[:horizon], floor])


def _with_texture(image: Image, rng: Generator) -> Image:
    height, width = image.shape[:2]
    total = np.zeros((height, width, 3), np.int32)
    for cells in _OCTAVES:
        strength = rng.uniform(0.0, 40.0)
        shape = (cells, cells, 3 if rng.random() < 0.15 else 1)
        noise = rng.integers(0, 256, shape, dtype=np.uint8)
        field = cv2.resize(noise, (width, height), interpolation=cv2.INTER_LINEAR_EXACT)
        field = field.reshape(height, width, -1).astype(np.int32) - 128
        total += (field * int(strength)) // 128
    return np.clip(image + total, 0, 255).astype(np.uint8)


def _add_grid(image: Image, rng: Generator) -> None:
    height, width = image.shape[:2]
    pitch = int(rng.integers(14, 70))
    color, thickness = draw_color(rng), int(rng.integers(1, 5))
    if rng.random() < 0.7:
        for x in range(int(rng.integers(pitch)), width, pitch):
            cv2.line(image, (x, 0), (x, height), color, thickness)
    if rng.random() < 0.7:
        for y in range(int(rng.integers(pitch)), height, pitch):
            cv2.line(image, (0, y), (width, y), color, thickness)


def _add_shape(image: Image, rng: Generator) -> None:
    height, width = image.shape[:2]
    color = draw_color(rng)
    x, y = int(rng.integers(width)), int(rng.integers(height))
    w, h = (int(size) for size in rng.integers(8, height // 2, 2))
    angle = float(rng.uniform(0, 180))
    kind = rng.random()
    if kind < 0.4:
        cv2.rectangle(image, (x - w // 2, y - h // 2), (x + w // 2, y + h // 2), color, -1)
    elif kind < 0.65:
        cv2.ellipse(image, (x, y), (w // 2, h // 2), angle, 0, 360, color, -1)
    elif kind < 0.85:
        corners = rng.integers((x - w, y - h), (x + w + 1, y + h + 1), (4, 2)).astype(np.int32)
        cv2.fillConvexPoly(image, cv2.convexHull(corners), color)
    else:
        end = (x + int(rng.integers(-w, w + 1)), y + int(rng.integers(-h, h + 1)))
        cv2.line(image, (x, y), end, color, int(rng.integers(2, 14)))
