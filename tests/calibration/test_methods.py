"""Every threshold method, against oracles that know the values themselves."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from quantkit.calibration import METHODS, MethodName, aciq, mse, percentile
from quantkit.calibration.blob_statistics import BINS, BlobStatistics, bin_counts
from quantkit.calibration.growing_histogram import GrowingHistogram

Array = NDArray[np.float32]
RNG = np.random.default_rng(7)
BLOBS = {
    "normal": RNG.normal(size=60_000),
    "relu": np.maximum(RNG.normal(size=60_000), 0),
    "laplace": RNG.laplace(size=60_000),
    "heavy": RNG.standard_t(3, size=60_000),
    "uniform": RNG.uniform(-1, 1, size=60_000),
    "relu6": np.clip(RNG.normal(3, 3, size=60_000), 0, 6),
    "constant": np.full(500, -0.375),
    "one value": np.array([2.5]),
    "one spike": np.append(np.zeros(99_999), 8.0),
    "tiny": RNG.normal(size=5_000) * 1e-30,
    "huge": RNG.normal(size=5_000) * 1e37,
}


def statistics(values: NDArray[Any]) -> BlobStatistics:
    single = values.astype(np.float32)
    absmax = float(np.abs(single).max())
    histogram = bin_counts(single, absmax)
    zeros = int((single == 0).sum())
    histogram[0] -= zeros
    return BlobStatistics(
        absmax=absmax,
        histogram=histogram,
        count=single.size,
        zeros=zeros,
        minimum=float(single.min()),
        maximum=float(single.max()),
        shape=single.shape,
    )


@pytest.mark.parametrize("blob", BLOBS)
@pytest.mark.parametrize("method", METHODS)
def test_a_threshold_gives_a_scale(method: MethodName, blob: str) -> None:
    one = statistics(BLOBS[blob])
    threshold = METHODS[method](one)
    assert math.isfinite(threshold)
    assert threshold > 0
    if method != "aciq":
        assert threshold <= one.absmax


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("blob", ["normal", "relu", "laplace", "heavy", "relu6"])
def test_thresholds_grow_with_the_values(method: MethodName, blob: str) -> None:
    threshold = METHODS[method](statistics(BLOBS[blob]))
    assert METHODS[method](statistics(BLOBS[blob] * 8)) == pytest.approx(8 * threshold)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("blob", ["constant", "one value"])
def test_a_constant_is_kept_whole(method: MethodName, blob: str) -> None:
    one = statistics(BLOBS[blob])
    threshold = METHODS[method](one)
    assert threshold >= one.absmax * 0.99


@pytest.mark.parametrize("percent", [99.99, 99.9, 95.0, 50.0])
@pytest.mark.parametrize("blob", ["normal", "relu", "laplace", "heavy", "uniform", "relu6"])
def test_percentiles_are_numpys(blob: str, percent: float) -> None:
    one = statistics(BLOBS[blob])
    expected = np.percentile(np.abs(BLOBS[blob]), percent)
    width = one.absmax / BINS
    # As many values as one bin holds may lie between: a few widths in the thinnest tail.
    near = np.percentile(np.abs(BLOBS[blob]), [percent - 0.004, min(percent + 0.004, 100)])
    found = percentile.threshold(one, percent)
    assert near[0] - width <= found <= near[1] + width
    assert abs(found - expected) < 0.05 * expected + width


def test_a_percentile_of_rare_spikes_is_the_largest_value() -> None:
    assert percentile.threshold(statistics(BLOBS["one spike"]), 99.99) == 8.0


def rounding_error(values: NDArray[Any], threshold: float) -> float:
    step = threshold / 127
    return float(((np.clip(np.rint(values / step), -127, 127) * step - values) ** 2).sum())


@pytest.mark.parametrize("blob", ["normal", "relu", "laplace", "heavy", "uniform", "relu6"])
def test_no_threshold_has_a_smaller_squared_error(blob: str) -> None:
    values = BLOBS[blob]
    one = statistics(values)
    found = rounding_error(values, mse.threshold(one))
    searched = [rounding_error(values, one.absmax * n / 400) for n in range(40, 401)]
    assert found <= min(searched) * 1.02


@pytest.mark.parametrize("blob", ["normal", "relu", "laplace", "heavy"])
def test_the_search_ends_where_octavs_recursion_does(blob: str) -> None:
    size = np.abs(BLOBS[blob][BLOBS[blob] != 0])
    clip = float(size.mean())
    for _ in range(100):
        beyond = size > clip
        rounding = (~beyond).mean() / (12 * 127**2)
        clip = float((size * beyond).mean() / (rounding + beyond.mean()))
    one = statistics(BLOBS[blob])
    assert mse.threshold(one) == pytest.approx(clip, rel=0.01, abs=2 * one.absmax / BINS)


@given(st.dictionaries(st.integers(0, BINS - 1), st.integers(1, 10**9), min_size=1))
@settings(deadline=None)
def test_squared_errors_are_those_of_a_plain_sum(counts: dict[int, int]) -> None:
    histogram = np.zeros(BINS, np.int64)
    histogram[list(counts)] = list(counts.values())
    values = np.arange(BINS) + 0.5
    errors = mse.squared_errors(histogram)
    for index in (0, 8, 500, BINS - 2, BINS - 1):
        end = index + 1.0
        kept = values < end
        expected = histogram[kept].sum() * (end / 127) ** 2 / 12
        expected += (histogram * np.where(kept, 0, values - end) ** 2).sum()
        # It is a difference of sums as large as this one, and rounded as they are.
        largest = float((histogram * values**2).sum())
        assert errors[index] == pytest.approx(expected, rel=1e-9, abs=1e-6 + 1e-14 * largest)


def test_a_single_value_has_no_spread() -> None:
    assert aciq.gaussian_clip(3.0, 1) == 3.0


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("blob", ["normal", "relu", "laplace", "relu6"])
def test_a_histogram_that_grew_serves_as_well(method: MethodName, blob: str) -> None:
    exact = statistics(BLOBS[blob])
    grown = GrowingHistogram()
    for part in np.array_split(BLOBS[blob].astype(np.float32), 9):
        grown.add(part)
    fields = {**vars(exact), "histogram": grown.resampled(exact.absmax)}
    tolerance = 0.15 if method == "kl" else 0.01
    found = METHODS[method](BlobStatistics(**fields))
    assert found == pytest.approx(METHODS[method](exact), rel=tolerance)
