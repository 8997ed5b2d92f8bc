import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from quantkit.calibration.blob_statistics import BINS, BlobStatistics, bin_counts


def one_by_one(values: NDArray[np.float32], absmax: float) -> list[int]:
    counts = [0] * BINS
    for value in values.ravel():
        position = np.abs(value) / np.float32(absmax) * np.float32(BINS)
        counts[min(int(position), BINS - 1)] += 1
    return counts


@pytest.mark.parametrize("size", [1, 7, 300, 9_000])
@pytest.mark.parametrize("scale", [1e-30, 0.37, 5e20])
def test_every_value_is_in_the_bin_of_the_plain_formula(size: int, scale: float) -> None:
    rng = np.random.default_rng(size)
    values = (rng.normal(size=size) * scale).astype(np.float32)
    values[::3] = 0
    absmax = float(np.abs(values).max()) or 1.0
    assert bin_counts(values, absmax).tolist() == one_by_one(values, absmax)


@given(st.lists(st.integers(0, BINS), min_size=1, max_size=50), st.floats(0.125, 1e6, width=32))
@settings(deadline=None)
def test_values_on_the_edges_of_bins_go_where_the_plain_formula_puts_them(
    edges: list[int], absmax: float
) -> None:
    below = [np.nextafter(np.float32(edge * absmax / BINS), np.float32(0)) for edge in edges]
    values = np.array([edge * absmax / BINS for edge in edges] + below, np.float32)
    values = np.clip(values, 0, np.float32(absmax))
    assert bin_counts(-values, absmax).tolist() == one_by_one(values, absmax)


@pytest.mark.slow
def test_blobs_that_are_counted_in_chunks_lose_nothing() -> None:
    values = np.random.default_rng(0).normal(size=(5, 211, 207)).astype(np.float32)
    absmax = float(np.abs(values).max())
    positions = np.abs(values.ravel()) / np.float32(absmax) * np.float32(BINS)
    expected = np.bincount(np.minimum(positions.astype(np.int64), BINS - 1), minlength=BINS)
    assert (bin_counts(values, absmax) == expected).all()


def test_the_values_stay_as_they_were() -> None:
    values = np.array([[-1.0, 2.0]], np.float32)
    bin_counts(values, 2.0)
    assert values.tolist() == [[-1.0, 2.0]]


def test_zero_fraction_of_nothing_is_zero() -> None:
    empty = BlobStatistics(0.0, np.zeros(BINS, np.int64), 0, 0, 0.0, 0.0, ())
    assert empty.zero_fraction == 0.0
