import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from quantkit.errors import GateFailed
from quantkit.model.export.compare import Difference, check_difference, compare

values = hnp.arrays(
    np.float32, (2, 3), elements=st.floats(-100, 100, width=32, allow_subnormal=False)
)


@given(values)
def test_equal_outputs_do_not_differ(output: NDArray[np.float32]) -> None:
    assert compare([[output]], [[output.copy()]]) == Difference(0.0, 0.0, math.inf, 1)


def test_the_worst_crop_and_the_worst_output_count() -> None:
    before = [[_f4(0.0, 10.0), _f4(0.0, 1.0)]] * 2
    after = [
        [_f4(0.0, 10.0), _f4(0.0, 1.0)],
        [_f4(0.5, 10.0), _f4(0.0, 0.9)],
    ]
    difference = compare(before, after)
    assert difference.max_abs == 0.5
    assert difference.relative == pytest.approx(0.1)
    assert difference.sqnr_db == pytest.approx(10 * math.log10(2 / 0.01))
    assert difference.crops == 2


def test_a_constant_output_that_moves_is_infinitely_wrong() -> None:
    difference = compare([[_f4(0, 0, 0)]], [[_f4(1, 1, 1)]])
    assert difference.relative == math.inf
    assert difference.sqnr_db == -math.inf
    with pytest.raises(GateFailed):
        check_difference("a -> b", difference, 1e-3)


@pytest.mark.parametrize("after", [[[np.zeros((2, 3))]], [[np.zeros(6)], [np.zeros(6)]], []])
def test_other_shapes_are_refused(after: list[list[NDArray[np.float32]]]) -> None:
    with pytest.raises(GateFailed):
        compare([[_f4(0, 0, 0, 0, 0, 0)]], after)


def test_the_bound_names_the_step() -> None:
    with pytest.raises(GateFailed, match=r"export step 'a -> b' moves an output by 0.01 of its"):
        check_difference("a -> b", Difference(1.0, 0.01, 40.0, 1), 1e-3)
    check_difference("a -> b", Difference(1.0, 0.0009, 40.0, 1), 1e-3)


def test_nan_is_over_every_bound() -> None:
    with pytest.raises(GateFailed):
        check_difference("a -> b", Difference(math.nan, math.nan, math.nan, 1), 1e-3)


def _f4(*values: float) -> NDArray[np.float32]:
    return np.array(values, np.float32)
