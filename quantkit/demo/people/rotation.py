"""Rotations of the body frame: x to the person's left, y up, z to the front; angles in degrees."""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float64]


def about_x(degrees: float) -> Array:
    """Rotate about x: a positive angle bows an upright body to the front.

    Example:
        >>> (about_x(90.0) @ np.array([0.0, 1.0, 0.0])).round(6)
        array([0., 0., 1.])
    """
    c, s = _cos_sin(degrees)
    return np.array([[1.0, 0.0, 0.0], [0.0, c, -s], [0.0, s, c]])


def about_y(degrees: float) -> Array:
    """Rotate about y: a positive angle turns the front to the person's left.

    Example:
        >>> (about_y(90.0) @ np.array([0.0, 0.0, 1.0])).round(6)
        array([1., 0., 0.])
    """
    c, s = _cos_sin(degrees)
    return np.array([[c, 0.0, s], [0.0, 1.0, 0.0], [-s, 0.0, c]])


def about_z(degrees: float) -> Array:
    """Rotate about z: a positive angle lifts a hanging arm to the person's left.

    Example:
        >>> (about_z(90.0) @ np.array([0.0, -1.0, 0.0])).round(6) + 0.0
        array([1., 0., 0.])
    """
    c, s = _cos_sin(degrees)
    return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])


def _cos_sin(degrees: float) -> tuple[float, float]:
    radians = np.deg2rad(degrees)
    return float(np.cos(radians)), float(np.sin(radians))
