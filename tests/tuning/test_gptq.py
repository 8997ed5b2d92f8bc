import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantkit.quantization.rounding import to_int8
from quantkit.tuning.gptq import Floats, gptq, nearest, squared_error
from quantkit.tuning.rounding_descent import descended


def problem(seed: int, shape: tuple[int, int, int], rank: int) -> tuple[Floats, Floats, Floats]:
    """Scaled weights, the Hessian of `rank` correlated inputs, and levels."""
    rng = np.random.default_rng(seed)
    blocks, rows, columns = shape
    weights = rng.normal(size=shape).astype(np.float32).astype(np.float64) * 3
    common = rng.normal(size=(blocks, rank, 1))
    inputs = rng.normal(size=(blocks, rank, columns)) + 2 * common
    return weights, inputs.transpose(0, 2, 1) @ inputs / rank, np.full((blocks, rows), 127.0)


shapes = st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 70))


@pytest.mark.slow
@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**31), shapes, st.integers(1, 90))
def test_the_error_is_never_larger_than_that_of_nearest_rounding(
    seed: int, shape: tuple[int, int, int], rank: int
) -> None:
    weights, hessian, levels = problem(seed, shape, rank)
    plain = squared_error(weights, nearest(weights, 127), hessian)
    found = gptq(weights, hessian, levels)
    moved = descended(weights, found, hessian, levels, sweeps=3)
    assert (found == np.rint(found)).all()
    assert (squared_error(weights, found, hessian) <= plain).all()
    slack = 1e-9 * (1 + plain)
    assert (
        squared_error(weights, moved, hessian) <= squared_error(weights, found, hessian) + slack
    ).all()


def test_correlated_inputs_lose_far_less() -> None:
    weights, hessian, levels = problem(1, (1, 16, 64), 400)
    plain = squared_error(weights, nearest(weights, 127), hessian).sum()
    found = gptq(weights, hessian, levels)
    assert squared_error(weights, found, hessian).sum() < plain / 3


@pytest.mark.parametrize("variance", [1.0, 1e-9, 0.0])
def test_inputs_without_correlation_leave_the_nearest(variance: float) -> None:
    weights, _, levels = problem(2, (2, 5, 70), 10)
    hessian = np.broadcast_to(np.eye(70) * variance, (2, 70, 70))
    plain = nearest(weights, 127)
    np.testing.assert_array_equal(gptq(weights, hessian, levels), plain)
    np.testing.assert_array_equal(descended(weights, plain, hessian, levels, sweeps=2), plain)


def test_no_integer_leaves_the_levels() -> None:
    weights, hessian, levels = problem(3, (1, 8, 40), 60)
    low = np.full_like(levels, 2)
    found = gptq(weights, hessian, low)
    assert np.abs(found).max() == 2
    assert np.abs(descended(weights, found, hessian, low, sweeps=3)).max() == 2


def test_the_best_of_all_integers_is_found_for_a_small_row() -> None:
    weights, hessian, levels = problem(4, (1, 1, 4), 50)
    offsets = np.stack(np.meshgrid(*[np.arange(-3, 5)] * 4), axis=-1).reshape(1, -1, 4)
    tried = np.floor(weights) + offsets
    least = squared_error(np.broadcast_to(weights, tried.shape), tried, hessian).min()
    found = descended(weights, gptq(weights, hessian, levels), hessian, levels, sweeps=5)
    assert squared_error(weights, found, hessian)[0, 0] <= 1.2 * least


def test_nearest_is_the_rounding_of_the_kernel() -> None:
    values = np.array([0.5, -0.5, 0.49999997, 1.5, 126.7, -300.0], np.float32)
    expected = to_int8(values, np.ones(1, np.float32))
    np.testing.assert_array_equal(nearest(values.astype(np.float64), 127), expected)
