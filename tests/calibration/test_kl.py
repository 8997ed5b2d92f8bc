import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from quantkit.calibration import kl
from quantkit.calibration.blob_statistics import BINS, BlobStatistics
from quantkit.calibration.kl_float32 import divergence_float32
from tests.calibration.kl_reference import reference_cut, reference_divergence

FAMILIES = ("half normal", "long tail", "two humps", "spikes", "uniform", "one outlier")


def values_of(family: str, rng: np.random.Generator) -> NDArray[np.float64]:
    match family:
        case "half normal":
            return np.asarray(np.abs(rng.normal(size=20_000)))
        case "long tail":
            return rng.lognormal(0, 1.5, 20_000)
        case "two humps":
            return np.append(rng.normal(2, 0.1, 5_000), rng.normal(19, 1, 300))
        case "spikes":
            return rng.choice([0.1, 1.0, 3.0, 10.0], 1_000)
        case "uniform":
            return rng.uniform(0, 1, 5_000)
        case _:
            return np.append(np.abs(rng.normal(size=5_000)), 50.0)


def histogram_of(family: str, seed: int) -> NDArray[np.int64]:
    values = values_of(family, np.random.default_rng(seed))
    return np.histogram(values, BINS, (0, values.max()))[0].astype(np.int64)


def statistics_of(histogram: NDArray[np.int64], absmax: float) -> BlobStatistics:
    return BlobStatistics(absmax, histogram, int(histogram.sum()), 0, 0.0, absmax, (1,))


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_the_cut_is_that_of_the_plain_search(family: str) -> None:
    histogram = histogram_of(family, seed=0)
    near = kl.best_cut(histogram)
    around = range(max(128, near - 25), min(BINS, near + 26))
    assert reference_cut(histogram, [*range(128, BINS, 97), *around]) == near


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("seed", [3, 4])
def test_near_ties_go_the_way_of_float32(family: str, seed: int) -> None:
    histogram = histogram_of(family, seed)
    share = (histogram / histogram.sum()).astype(np.float32)
    exact = [divergence_float32(share, cut) for cut in range(128, BINS)]
    assert kl.best_cut(histogram) == 128 + int(np.argmin(exact))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("cut", [128, 129, 191, 256, 1000, 1024, 2047])
def test_one_divergence_equals_the_plain_one(family: str, cut: int) -> None:
    histogram = histogram_of(family, seed=1)
    share = (histogram / histogram.sum()).astype(np.float32)
    plain = reference_divergence_at(histogram, cut)
    assert divergence_float32(share, cut) == plain
    assert kl.divergences(share)[cut - 128] == pytest.approx(plain, rel=1e-5, abs=3e-6)


@given(
    st.lists(st.tuples(st.integers(0, BINS - 1), st.integers(1, 10**6)), min_size=1, max_size=60),
    st.floats(2.0**-60, 2.0**60, width=32),
)
@settings(max_examples=40, deadline=None)
def test_the_threshold_lies_within_the_range(bins: list[tuple[int, int]], absmax: float) -> None:
    histogram = np.zeros(BINS, np.int64)
    for index, count in bins:
        histogram[index] += count
    threshold = kl.threshold(statistics_of(histogram, absmax))
    assert 0 < threshold <= absmax
    assert kl.best_cut(histogram * 2) == kl.best_cut(histogram)


@given(st.integers(-40, 40), st.integers(0, 5))
@settings(max_examples=20, deadline=None)
def test_the_threshold_scales_with_the_values(exponent: int, seed: int) -> None:
    histogram = histogram_of("long tail", seed)
    one = kl.threshold(statistics_of(histogram, 3.0))
    scaled = kl.threshold(statistics_of(histogram, 3.0 * 2.0**exponent))
    assert scaled == one * 2.0**exponent


def test_all_values_in_one_low_bin_need_the_fewest_bins() -> None:
    histogram = np.zeros(BINS, np.int64)
    histogram[3] = 1000
    histogram[BINS - 1] = 1
    assert kl.best_cut(histogram) < 300


def reference_divergence_at(histogram: NDArray[np.int64], cut: int) -> float:
    return reference_divergence(list((histogram / histogram.sum()).astype(np.float32)), cut)
