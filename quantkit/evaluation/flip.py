"""The flip test: a person is shown twice, as it is and mirrored, and both answers are averaged.

Equal to MMPose 1.3.2's `flip_test` (mmpose/models/utils/tta.py, heads/heatmap_heads and
heads/coord_cls_heads).
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from quantkit.backends.runner import Input

Array = NDArray[np.float32]

COCO_FLIP_INDICES: Final = (0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15)
"""Of each of COCO's keypoints, the one on the other side of the body."""


def mirrored(crop: Input) -> Input:
    """Mirror a crop of shape (channels, height, width) from left to right."""
    return np.ascontiguousarray(crop[..., ::-1])


def average_heatmaps(seen: Array, flipped: Array, *, combined: bool, shift: bool) -> Array:
    """Turn the heatmaps of a mirrored crop back and average them with those of the crop.

    Args:
        seen: Of the crop, shape (17, height, width), or (51, height, width) if combined.
        flipped: Of the mirrored crop, same shape.
        combined: There are three maps a keypoint, and the second, an offset along x, changes
            its sign (`flip_mode="udp_combined"`).
        shift: Move the maps that were turned back by a pixel to the right, where the crop is not
            the unbiased one of UDP (`shift_heatmap`).

    Returns:
        Same shape.
    """
    maps = flipped.reshape(len(COCO_FLIP_INDICES), -1, *flipped.shape[1:])
    back = maps[list(COCO_FLIP_INDICES), ..., ::-1].copy()
    if combined:
        back[:, 1] *= -1
    if shift:
        back[..., 1:] = back[..., :-1].copy()
    return (seen + back.reshape(seen.shape)) * np.float32(0.5)


def average_simcc(seen: Sequence[Array], flipped: Sequence[Array]) -> tuple[Array, ...]:
    """Turn the bins of a mirrored crop back and average them with those of the crop.

    Args:
        seen: Of the crop, shapes (17, bins along x) and (17, bins along y).
        flipped: Of the mirrored crop, same shapes.

    Returns:
        Same shapes.
    """
    sides = list(COCO_FLIP_INDICES)
    back: tuple[NDArray[Any], ...] = (flipped[0][sides, ::-1], flipped[1][sides])
    return tuple((one + two) * np.float32(0.5) for one, two in zip(seen, back, strict=True))
