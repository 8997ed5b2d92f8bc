"""From the body frame to pixels: a pinhole camera that looks at the pelvis."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.random import Generator

from quantkit.demo.people.rotation import Array, about_x, about_y, about_z

_FRONT, _BACK, _SIDE = 0.42, 0.20, 0.24
_MIN_DISTANCE: Final = 2.4


@dataclass(frozen=True)
class Camera:
    """How one person is seen.

    Attributes:
        rotation: Body frame to camera frame (x right, y up, z towards the camera), shape (3, 3).
        distance: From camera to pelvis, in statures.
        scale: Pixels to one stature at the pelvis.
        center: Pixel (x, y) at which the pelvis is seen.
    """

    rotation: Array
    distance: float
    scale: float
    center: tuple[float, float]

    def project(self, points: Array) -> tuple[Array, Array]:
        """Project points.

        Args:
            points: Body frame, shape (n, 3).

        Returns:
            Pixels of shape (n, 2), and the size of one stature in pixels at each point, shape
            (n,), which grows towards the camera.
        """
        seen = points @ self.rotation.T
        size = self.scale * self.distance / (self.distance - seen[:, 2])
        pixels = np.stack([seen[:, 0] * size, -seen[:, 1] * size], axis=1)
        return pixels + np.array(self.center), size


def draw_view(rng: Generator) -> tuple[Array, float]:
    """Draw the direction from which a person is seen, and the camera's distance in statures."""
    kind = rng.random()
    if kind < _FRONT:
        yaw = rng.normal(0.0, 25.0)
    elif kind < _FRONT + _BACK:
        yaw = rng.normal(180.0, 25.0)
    elif kind < _FRONT + _BACK + _SIDE:
        yaw = (90.0 if rng.random() < 0.5 else -90.0) + rng.normal(0.0, 22.0)
    else:
        yaw = rng.uniform(-180.0, 180.0)
    pitch = float(np.clip(rng.normal(8.0, 9.0), -15.0, 40.0))
    rotation = about_z(rng.normal(0.0, 5.0)) @ about_x(pitch) @ about_y(yaw)
    return rotation, rng.uniform(_MIN_DISTANCE, 7.0)
