import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from quantkit.calibration.blob_statistics import BINS
from quantkit.calibration.growing_histogram import FINE_BINS, GrowingHistogram

finite = st.floats(width=32, allow_nan=False, allow_infinity=False)
parts = st.lists(st.lists(finite, max_size=20), max_size=8)


def counted(values: list[float]) -> GrowingHistogram:
    histogram = GrowingHistogram()
    histogram.add(np.array(values, np.float32))
    return histogram


def plain(values: list[float], end: float) -> NDArray[np.int64]:
    """Each value's bin by exact arithmetic: all numbers are short of a double's precision."""
    bins = [int(abs(value) / end * FINE_BINS) for value in values if value != 0]
    return np.bincount(np.array(bins, int), minlength=FINE_BINS)


@given(parts)
@settings(deadline=None)
def test_growing_and_merging_give_the_counts_of_all_values_at_once(
    parts: list[list[float]],
) -> None:
    grown, merged = GrowingHistogram(), GrowingHistogram()
    for part in parts:
        grown.add(np.array(part, np.float32))
        merged.merge(counted(part))
    together = [value for part in parts for value in part]
    assert grown.end == merged.end > max(map(abs, together), default=0)
    assert (grown.counts == merged.counts).all()
    assert (grown.counts == plain(together, grown.end)).all()


# Below 2**-126 bins no longer shrink with the values.
@given(st.lists(finite.filter(lambda value: abs(value) > 1e-37), min_size=1, max_size=60))
@settings(deadline=None)
def test_resampling_keeps_the_sum_and_moves_values_by_a_fine_bin_at_most(
    values: list[float],
) -> None:
    absmax = max(map(abs, values))
    histogram = counted(values)
    counts = histogram.resampled(absmax)
    assert counts.sum() == len(values)
    assert counts[-1] >= 1
    below = np.cumsum(counts)
    width = histogram.end / FINE_BINS
    for index in range(0, BINS, 37):
        edge = (index + 1) * absmax / BINS
        sizes = np.abs(np.array(values, np.float64))
        assert (sizes < edge - width).sum() - 1 <= below[index] <= (sizes <= edge + width).sum() + 1


@pytest.mark.parametrize("absmax", [1e-42, 1e-30, 0.7, 1.0, 6.0, 3.4e38])
def test_at_least_twice_the_final_bins_lie_below_the_largest_value(absmax: float) -> None:
    values = (np.linspace(0.05, 1, 9_999) * np.float32(absmax)).astype(np.float32)
    histogram = counted(values.tolist())
    if absmax > 1e-38:
        assert np.flatnonzero(histogram.counts)[-1] >= FINE_BINS // 2
    assert histogram.resampled(float(values.max())).sum() == values.size


def test_a_largest_value_that_the_sample_missed_is_counted_once() -> None:
    counts = counted([1.0, 2.0]).resampled(64.0)
    assert counts[-1] == 1
    assert counts.sum() == 3
