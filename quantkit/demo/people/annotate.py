"""What an annotator would say about one person: keypoints with visibility, box and area."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from quantkit.demo.people.figure import Figure
from quantkit.demo.people.paint import Owners
from quantkit.demo.people.rotation import Array
from quantkit.evaluation.flip import COCO_FLIP_INDICES
from quantkit.evaluation.oks import KEYPOINT_NAMES

# Persons of whom fewer keypoints are seen are annotated without any, as in COCO.
_MIN_SEEN: Final = 6
# A shoulder or hip this much (in statures) behind the middle of the body is hidden by it.
_BEHIND: Final = 0.035
_WINDOW: Final = 2

_COVERS: Final[Mapping[str, tuple[str, ...]]] = {
    "shoulder": ("upper_arm",),
    "elbow": ("upper_arm", "forearm"),
    "wrist": ("forearm", "hand"),
    "hip": ("thigh",),
    "knee": ("thigh", "shin"),
    "ankle": ("shin", "foot"),
}
_SHARED_COVERS: Final = {
    "shoulder": frozenset({"trunk"}),
    "hip": frozenset({"trunk", "skirt"}),
    "knee": frozenset({"skirt"}),
}


@dataclass(frozen=True)
class RenderedPerson:
    """What the annotations say about one person.

    Attributes:
        keypoints: Shape (17, 3): x, y in pixels and v: 0 outside the picture or behind somebody
            or something else, 1 hidden by the person's own body, 2 seen.
        box: x, y, width, height of what is seen.
        area: Pixels of what is seen.
    """

    keypoints: Array
    box: tuple[float, float, float, float]
    area: float


def annotate(owners: Owners, figure: Figure, fine: int) -> RenderedPerson | None:
    """Annotate one person of a finished picture.

    Args:
        owners: The canvas's map of who is seen where, shape (h * fine, w * fine).
        figure: The person.
        fine: Painted pixels to one pixel of the picture.

    Returns:
        The annotation in pixels of the picture, None where nothing of the person is seen.
    """
    last = figure.first_owner + len(figure.parts)
    mine = (owners >= figure.first_owner) & (owners < last)
    if not mine.any():
        return None
    points = np.stack([figure.skeleton.joints[name] for name in KEYPOINT_NAMES])
    pixels, _ = figure.camera.project(points)
    v = _visibility(owners, pixels, points, figure)
    xy = np.where(v[:, None] > 0, (pixels + 0.5) / fine - 0.5, 0.0)
    marked = np.concatenate([xy.round(2), v[:, None]], axis=1)
    return RenderedPerson(marked, _box(mine, fine), float(mine.sum()) / fine**2)


def _visibility(owners: Owners, pixels: Array, points: Array, figure: Figure) -> NDArray[np.int64]:
    height, width = owners.shape
    depth = (points @ figure.camera.rotation.T)[:, 2]
    v = np.zeros(len(pixels), np.int64)
    for i, (x, y) in enumerate(np.rint(pixels).astype(int)):
        if 0 <= x < width and 0 <= y < height:
            behind = depth[i] < (depth[i] + depth[COCO_FLIP_INDICES[i]]) / 2 - _BEHIND
            covers = _covers(KEYPOINT_NAMES[i], behind=bool(behind))
            seen = bool(covers & _parts_near(owners, x, y, figure))
            v[i] = 2 if seen else 1 if _is_of(figure, owners[y, x]) else 0
    return np.zeros_like(v) if (v == 2).sum() < _MIN_SEEN else v


def _is_of(figure: Figure, owner: int) -> bool:
    return figure.first_owner <= owner < figure.first_owner + len(figure.parts)


def _covers(name: str, *, behind: bool) -> frozenset[str]:
    """Name the parts through which a keypoint shows."""
    side, _, joint = name.partition("_")
    if joint not in _COVERS:
        return frozenset({name})
    own = frozenset(f"{side}_{part}" for part in _COVERS[joint])
    return own if behind else own | _SHARED_COVERS.get(joint, frozenset())


def _parts_near(owners: Owners, x: int, y: int, figure: Figure) -> frozenset[str]:
    rows = slice(max(0, y - _WINDOW), y + _WINDOW + 1)
    window = owners[rows, max(0, x - _WINDOW) : x + _WINDOW + 1] - figure.first_owner
    return frozenset(figure.parts[i].name for i in window.flat if 0 <= i < len(figure.parts))


def _box(mask: NDArray[np.bool_], fine: int) -> tuple[float, float, float, float]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    left, top = columns[0] / fine, rows[0] / fine
    return (
        float(left),
        float(top),
        float((columns[-1] + 1) / fine - left),
        float((rows[-1] + 1) / fine - top),
    )
