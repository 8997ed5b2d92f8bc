import struct
from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from quantkit.quantization.rounding import to_fp16, to_int8

FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)


def test_halves_are_rounded_away_from_zero() -> None:
    values = np.array([0.5, 1.5, 2.5, -0.5, -1.5, 0.49, -0.49, 126.5, 127.4, 1e9], np.float32)
    expected = [1, 2, 3, -1, -2, 0, 0, 127, 127, 127]
    assert to_int8(values, np.ones(1, np.float32)).tolist() == expected
    assert to_int8(-values, np.ones(1, np.float32)).tolist() == [-x for x in expected]


def test_each_row_has_its_scale() -> None:
    weights = np.array([1, 2, 3, 1, 2, 3], np.float32)
    assert to_int8(weights, np.array([1, 10], np.float32)).tolist() == [1, 2, 3, 10, 20, 30]


@given(st.lists(FLOATS, min_size=1, max_size=9), st.floats(2**-10, 2**20, width=32))
def test_int8_is_the_nearest_integer_in_range(values: list[float], scale: float) -> None:
    weights, scales = np.array(values, np.float32), np.array([scale], np.float32)
    with np.errstate(over="ignore"):
        products = weights * scales
        found = to_int8(weights, scales).tolist()
    for product, integer in zip(products.tolist(), found, strict=True):
        clipped = Fraction(max(min(product, 127.0), -127.0))
        # One float below a half is rounded up by ncnn's kernels.
        assert abs(integer - clipped) <= Fraction(1, 2) + Fraction(1, 2**20)


@given(st.lists(st.floats(-65504, 65504, width=32), min_size=4, max_size=8))
def test_fp16_is_the_nearest_half_but_for_the_last_odd_ones(values: list[float]) -> None:
    stored = to_fp16(np.array(values, np.float32)).tolist()
    whole = len(values) - len(values) % 4
    nearest = [struct.unpack("e", struct.pack("e", value))[0] for value in values]
    assert stored[:whole] == nearest[:whole]
    for value, half in zip(values[whole:], stored[whole:], strict=True):
        assert abs(half) <= abs(value)
        assert abs(value) - abs(half) < max(abs(value) * 2**-10, 2**-14)


def test_values_beyond_fp16_become_infinite() -> None:
    values = np.array([1e5, 0, 0, 0, -1e5], np.float32)
    assert to_fp16(values).tolist() == [np.inf, 0, 0, 0, -np.inf]
