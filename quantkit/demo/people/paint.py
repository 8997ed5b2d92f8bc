"""The painter: parts from far to near, into a picture and a map of who is seen where."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from quantkit.demo.people.body import Part
from quantkit.demo.people.camera import Camera
from quantkit.demo.people.clothing import Cloth
from quantkit.demo.people.rotation import Array

Image = NDArray[np.uint8]
Owners = NDArray[np.int32]

_SUBPIXEL: Final = 3
_CIRCLE: Final = np.stack(
    [np.cos(np.arange(16) * np.pi / 8), np.sin(np.arange(16) * np.pi / 8)], axis=1
)
# Each layer of a shaded part: share of the radius, shift towards the light, brightness.
_LAYERS: Final = ((1.0, 0.0, 0.72), (0.78, 0.2, 0.92), (0.45, 0.42, 1.1))
_FLAT: Final = ((1.0, 0.0, 1.0),)


@dataclass(frozen=True)
class Canvas:
    """What is painted on.

    Attributes:
        image: BGR, shape (h, w, 3).
        owners: Shape (h, w): 0 where no person is seen, else a number that the caller chose.
    """

    image: Image
    owners: Owners


def paint_part(
    canvas: Canvas, part: Part, camera: Camera, owner: int, light: tuple[float, float]
) -> None:
    """Paint one part over what is there.

    Args:
        canvas: Changed in place.
        part: What to paint.
        camera: How it is seen.
        owner: Number to put where it is seen.
        light: Direction towards the light in the picture, at most of length 1.
    """
    pixels, size = camera.project(part.centers)
    radii = part.radii * size
    for share, shift, brightness in _LAYERS if part.shaded else _FLAT:
        outline = _hull(pixels + np.outer(shift * radii, light), share * radii)
        if share == 1.0:
            cv2.fillConvexPoly(canvas.owners, outline, (owner,), cv2.LINE_8, _SUBPIXEL)
        color = np.clip(np.array(part.cloth.color) * brightness, 0, 255)
        cv2.fillConvexPoly(canvas.image, outline, color.tolist(), cv2.LINE_8, _SUBPIXEL)
    if part.cloth.printed != "plain":
        _paint_print(canvas.image, pixels, radii, part.cloth)


def paint_capsule(
    canvas: Canvas, points: Array, radii: Array, cloth: Cloth, light: tuple[float, float]
) -> None:
    """Paint a limb-like shape that belongs to nobody; points in pixels, shape (n, 2)."""
    for share, shift, brightness in _LAYERS:
        outline = _hull(points + np.outer(shift * radii, light), share * radii)
        if share == 1.0:
            cv2.fillConvexPoly(canvas.owners, outline, (0,), cv2.LINE_8, _SUBPIXEL)
        color = np.clip(np.array(cloth.color) * brightness, 0, 255)
        cv2.fillConvexPoly(canvas.image, outline, color.tolist(), cv2.LINE_8, _SUBPIXEL)


def far_to_near(parts: Sequence[Part], camera: Camera) -> list[Part]:
    """Order parts as a painter needs them: by the mean depth of their spheres."""
    return sorted(parts, key=lambda part: float((part.centers @ camera.rotation.T)[:, 2].mean()))


def _hull(points: Array, radii: Array) -> NDArray[np.int32]:
    circles = points[:, None, :] + radii[:, None, None] * _CIRCLE
    fixed = np.rint(circles.reshape(-1, 2) * (1 << _SUBPIXEL)).astype(np.int32)
    outline: NDArray[np.int32] = cv2.convexHull(fixed)
    return outline


def _paint_print(image: Image, points: Array, radii: Array, cloth: Cloth) -> None:
    first, last = points[:2].mean(axis=0), points[-2:].mean(axis=0)
    width = float(radii.max())
    along = last - first
    length = float(np.hypot(*along))
    if length < 4.0 or width < 2.0:
        return
    across = np.array([-along[1], along[0]]) / length
    half = float(np.abs((points - first) @ across).max()) + 0.3 * float(radii.min())
    count = max(2, int(length / max(4.0, 0.55 * width)))
    for step in np.linspace(0.1, 0.9, count):
        middle = first + step * along
        _line(image, middle - half * across, middle + half * across, cloth, 0.2 * width)
    if cloth.printed == "checks":
        for offset in np.linspace(-0.6, 0.6, 4) * half:
            _line(image, first + offset * across, last + offset * across, cloth, 0.15 * width)


def _line(image: Image, start: Array, end: Array, cloth: Cloth, width: float) -> None:
    a, b = (np.rint(point * (1 << _SUBPIXEL)).astype(int).tolist() for point in (start, end))
    thickness = max(1, round(width))
    cv2.line(image, a, b, cloth.ink, thickness, cv2.LINE_8, _SUBPIXEL)
