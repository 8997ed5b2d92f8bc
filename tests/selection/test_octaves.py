import math

import numpy as np
import pytest

from quantkit.selection.octaves import octaves


def test_octaves_are_logarithms_to_the_base_of_two() -> None:
    values = [1e-6, 0.3, 1.0, 7.0, 3e38]
    found = octaves(np.array(values, np.float32))
    assert found == pytest.approx([math.log2(value) for value in values], rel=1e-6)


@pytest.mark.parametrize("value", [0.0, 1e-45, 2.0**-25, 2.0**-24])
def test_zero_is_as_far_down_as_octaves_go(value: float) -> None:
    assert octaves(np.array([value], np.float32)).tolist() == [-24.0]
