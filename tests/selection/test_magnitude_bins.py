import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from quantkit.selection.magnitude_bins import (
    MAGNITUDE_BINS,
    magnitude_bins,
    magnitude_centres,
    magnitude_counts,
    magnitude_edges,
)

Array = NDArray[np.float32]

EDGES = [0.0, *[m * 2.0**e for e in range(-12, 12) for m in (1.0, 1.5)][1:]]
LARGEST = np.finfo(np.float32).max


def searched(values: Array) -> NDArray[np.intp]:
    return np.searchsorted(EDGES, np.abs(values.astype(np.float64)), side="right") - 1


finite = st.floats(width=32, allow_nan=False, allow_infinity=False)
in_range = st.floats(-5000, 5000, width=32)


@settings(deadline=None, derandomize=True)
@given(arrays(np.float32, st.integers(1, 300), elements=finite | in_range))
def test_a_value_is_counted_between_the_ends_of_its_half_octave(values: Array) -> None:
    expected = searched(values)
    assert magnitude_bins(values).tolist() == expected.tolist()
    counts = np.bincount(expected, minlength=MAGNITUDE_BINS)
    assert magnitude_counts(values).tolist() == counts.tolist()


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("towards", [0.0, None, np.inf])
def test_ends_belong_to_the_half_octave_above(sign: int, towards: float | None) -> None:
    ends = np.array(EDGES[1:], np.float32)
    if towards is not None:
        ends = np.nextafter(ends, np.float32(towards))
    lower = towards == 0
    assert magnitude_bins(sign * ends).tolist() == [k - lower for k in range(1, 48)]


@pytest.mark.parametrize(
    ("value", "place"),
    [
        (0.0, 0),
        (-0.0, 0),
        (np.finfo(np.float32).smallest_subnormal, 0),
        (-np.finfo(np.float32).smallest_subnormal, 0),
        (np.finfo(np.float32).smallest_normal, 0),
        (4096.0, 47),
        (LARGEST, 47),
        (-LARGEST, 47),
    ],
)
def test_what_lies_below_or_above_is_in_the_first_or_last(value: float, place: int) -> None:
    assert magnitude_bins(np.array([value], np.float32)).tolist() == [place]


def test_as_many_values_as_a_count_can_hold_are_counted() -> None:
    counts = magnitude_counts(np.full(65_535, -1.0, np.float32))
    assert (counts[24], counts.sum(dtype=int)) == (65_535, 65_535)


def test_counts_of_parts_add_up() -> None:
    values = np.random.default_rng(0).lognormal(0, 4, 1000).astype(np.float32)
    parts = magnitude_counts(values[:300]) + magnitude_counts(values[300:])
    assert parts.tolist() == magnitude_counts(values).tolist()


def test_every_half_octave_begins_where_the_one_below_ends() -> None:
    assert magnitude_edges().tolist() == EDGES


def test_a_half_octave_is_stood_for_by_its_middle_and_the_first_by_zero() -> None:
    ends = [*EDGES[1:], 4096.0]
    middles = [(low + high) / 2 for low, high in zip(EDGES, ends, strict=True)]
    assert magnitude_centres().tolist() == [0.0, *middles[1:]]
