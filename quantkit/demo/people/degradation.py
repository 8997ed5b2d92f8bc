"""What light, lens and sensor do to a picture."""

import cv2
import numpy as np
from numpy.random import Generator

from quantkit.demo.people.paint import Image


def degrade(image: Image, rng: Generator) -> Image:
    """Light, blur and spoil a picture.

    Args:
        image: BGR, shape (h, w, 3).
        rng: Where all choices come from.

    Returns:
        A picture of the same shape.
    """
    image = _relight(image, rng)
    if rng.random() < 0.35:
        image = _defocus(image, rng)
    if rng.random() < 0.12:
        image = _smear(image, rng)
    return _add_noise(image, rng)


def _relight(image: Image, rng: Generator) -> Image:
    height, width = image.shape[:2]
    corners = rng.uniform(0.7, 1.25, (2, 2)) * rng.uniform(0.7, 1.2)
    across = np.linspace(0.0, 1.0, width)[None, :]
    down = np.linspace(0.0, 1.0, height)[:, None]
    top = corners[0, 0] * (1 - across) + corners[0, 1] * across
    bottom = corners[1, 0] * (1 - across) + corners[1, 1] * across
    gain = top * (1 - down) + bottom * down
    tint = rng.uniform(0.88, 1.12, 3)
    lift = rng.uniform(-12.0, 35.0)
    lit = image * gain[:, :, None] * tint + lift
    return np.asarray(np.clip(np.rint(lit), 0, 255), np.uint8)


def _defocus(image: Image, rng: Generator) -> Image:
    size = 3 if rng.random() < 0.65 else 5
    return np.asarray(cv2.GaussianBlur(image, (size, size), 0), np.uint8)


def _smear(image: Image, rng: Generator) -> Image:
    length = int(rng.integers(3, 7))
    size = (length, 1) if rng.random() < 0.7 else (1, length)
    return np.asarray(cv2.blur(image, size), np.uint8)


def _add_noise(image: Image, rng: Generator) -> Image:
    strength = rng.uniform(0.0, 12.0)
    noise = rng.standard_normal(image.shape, np.float32) * np.float32(strength)
    return np.asarray(np.clip(np.rint(image + noise), 0, 255), np.uint8)
