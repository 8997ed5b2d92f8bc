"""One person in a picture: a skeleton with parts on it, seen by a camera that was put in place."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator

from quantkit.demo.people.body import Part, body_parts
from quantkit.demo.people.camera import Camera, draw_view
from quantkit.demo.people.clothing import draw_look
from quantkit.demo.people.paint import Canvas, far_to_near, paint_part
from quantkit.demo.people.pose import draw_pose
from quantkit.demo.people.skeleton import Skeleton, draw_build, place_joints

# How often a person may be cut by the border of the picture, and how much of it at most.
_CUT_SHARE = 0.16
_MOST_CUT = 0.38


@dataclass(frozen=True)
class Figure:
    """One person.

    Attributes:
        skeleton: The joints.
        parts: What is painted; a canvas knows part i as `first_owner + i`.
        camera: How the person is seen, in pixels of the canvas.
        first_owner: Number of the first part on the canvas.
    """

    skeleton: Skeleton
    parts: tuple[Part, ...]
    camera: Camera
    first_owner: int


def draw_figures(width: int, height: int, count: int, rng: Generator) -> tuple[Figure, ...]:
    """Draw the persons of one picture, from small (far) to tall (near)."""
    figures = [_draw_figure(width, height, count, rng) for _ in range(count)]
    figures.sort(key=lambda figure: figure.camera.scale)
    numbered, owner = [], 1
    for figure in figures:
        numbered.append(replace(figure, first_owner=owner))
        owner += len(figure.parts)
    return tuple(numbered)


def paint_figure(canvas: Canvas, figure: Figure, light: tuple[float, float]) -> None:
    """Paint one person over what is on the canvas."""
    owners = {id(part): figure.first_owner + i for i, part in enumerate(figure.parts)}
    for part in far_to_near(figure.parts, figure.camera):
        paint_part(canvas, part, figure.camera, owners[id(part)], light)


def _draw_figure(width: int, height: int, count: int, rng: Generator) -> Figure:
    skeleton = place_joints(draw_pose(rng), draw_build(rng))
    parts = body_parts(skeleton, draw_look(rng))
    rotation, distance = draw_view(rng)
    stature = rng.uniform(0.68, 1.2) if count == 1 else rng.uniform(0.58, 1.0)
    camera = Camera(rotation, distance, stature * height, (0.0, 0.0))
    return Figure(skeleton, parts, _place(camera, skeleton, (width, height), rng), 1)


def _place(camera: Camera, skeleton: Skeleton, size: tuple[int, int], rng: Generator) -> Camera:
    pixels, _ = camera.project(np.stack(list(skeleton.joints.values())))
    low, extent = pixels.min(axis=0), np.ptp(pixels, axis=0)
    room = np.array(size, np.float64)
    slack = _MOST_CUT * extent if rng.random() < _CUT_SHARE else -0.03 * room
    first, last = -slack, room + slack - extent
    start = rng.uniform(np.minimum(first, last), np.maximum(first, last))
    x, y = start - low
    return replace(camera, center=(float(x), float(y)))
