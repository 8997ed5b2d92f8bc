import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from quantkit.data.warp import warp_exact


def _by_definition(
    image: NDArray[np.uint8], matrix: NDArray[np.float64], size: tuple[int, int]
) -> NDArray[np.float64]:
    """Bilinear interpolation as the textbook has it, in float64, on an image framed in black."""
    inverse = np.linalg.inv(np.vstack((matrix, [0, 0, 1])))
    x, y = np.meshgrid(np.arange(size[0]), np.arange(size[1]))
    source_x, source_y, _ = np.einsum("ij,jhw->ihw", inverse, np.stack((x, y, np.ones_like(x))))
    framed = np.pad(image.astype(float), ((1, 1), (1, 1), (0, 0)))
    # Everything further out than the frame is as black as the frame.
    column = source_x.clip(-1, image.shape[1]) + 1
    row = source_y.clip(-1, image.shape[0]) + 1
    left = np.minimum(column.astype(int), image.shape[1])
    top = np.minimum(row.astype(int), image.shape[0])
    right_share, low_share = (column - left)[..., None], (row - top)[..., None]
    upper = framed[top, left] * (1 - right_share) + framed[top, left + 1] * right_share
    lower = framed[top + 1, left] * (1 - right_share) + framed[top + 1, left + 1] * right_share
    blended: NDArray[np.float64] = upper * (1 - low_share) + lower * low_share
    return blended


@settings(max_examples=60, deadline=None)
@given(
    scale=st.tuples(st.floats(0.05, 8), st.floats(0.05, 8)),
    shift=st.tuples(st.floats(-60, 60), st.floats(-60, 60)),
    shape=st.tuples(st.integers(1, 30), st.integers(1, 30)),
)
def test_it_is_bilinear_interpolation(
    scale: tuple[float, float], shift: tuple[float, float], shape: tuple[int, int]
) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    matrix = np.array([[scale[0], 0, shift[0]], [0, scale[1], shift[1]]])
    crop = warp_exact(image, matrix, (21, 17)).transpose(1, 2, 0)
    assert np.abs(crop - _by_definition(image, matrix, (21, 17))).max() <= 0.5 + 1e-3


def test_the_identity_changes_nothing() -> None:
    image = np.random.default_rng(1).integers(0, 256, (5, 7, 3), np.uint8)
    assert np.array_equal(warp_exact(image, np.eye(2, 3), (7, 5)), image.transpose(2, 0, 1))


def test_outside_is_black() -> None:
    image = np.full((4, 4, 3), 255, np.uint8)
    assert not warp_exact(image, np.array([[1.0, 0, 50], [0, 1, 0]]), (8, 8)).any()


@pytest.mark.parametrize("zoom", [0.4, 1.0, 2.3])
def test_it_stays_near_whatever_opencv_is_installed(zoom: float) -> None:
    noise = np.random.default_rng(2).integers(0, 256, (90, 120, 3), np.uint8)
    image = np.asarray(cv2.GaussianBlur(noise, (9, 9), 0), np.uint8)
    matrix = np.array([[zoom, 0, -7.3], [0, zoom, 4.1]])
    theirs = cv2.warpAffine(image, matrix, (96, 128), flags=cv2.INTER_LINEAR)
    difference = np.abs(
        theirs.transpose(2, 0, 1).astype(int) - warp_exact(image, matrix, (96, 128))
    )
    assert difference.max() <= 4
    assert difference.mean() < 0.2
