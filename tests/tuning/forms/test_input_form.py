"""The codes that a form makes of values."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from quantkit.model.param import Layer
from quantkit.tuning.forms.input_form import Floats, InputForm, Shape

BOUNDS = st.lists(
    st.tuples(st.floats(-100, 100), st.floats(-100, 100)), min_size=1, max_size=6
).map(lambda pairs: np.sort(np.array(pairs), axis=1))


def codes(form: InputForm, values: Floats) -> Floats:
    found: Floats = np.clip(np.round(form.scale * values + form.zero), -127, 127)
    return found


@given(BOUNDS, st.booleans(), st.sampled_from([0.0, 0.5, 1.0]))
def test_zero_has_a_code_of_its_own_and_the_range_fits(
    bounds: Floats, zero_point: bool, exponent: float
) -> None:
    form = InputForm.of(Shape(exponent, 1.0, zero_point), bounds[:, 0], bounds[:, 1])
    assert (np.abs(form.zero) <= 127).all()
    assert (form.zero == np.round(form.zero)).all()
    step = 1 / np.abs(form.scale)
    for values in (np.minimum(bounds[:, 0], 0), np.maximum(bounds[:, 1], 0)):
        read = (codes(form, values) - form.zero) / form.scale
        assert (np.abs(read - values) <= step * (1 + 1e-9)).all()


def test_a_zero_point_halves_the_step_behind_a_relu() -> None:
    low, high = np.zeros(3), np.array([1.0, 2.0, 8.0])
    plain, shifted = (InputForm.of(Shape(1.0, 1.0, zero), low, high) for zero in (False, True))
    assert np.abs(shifted.scale).tolist() == (2 * plain.scale).tolist()
    assert shifted.zero.tolist() == [127.0] * 3


def test_a_padded_layer_needs_one_code_of_zero() -> None:
    low, high = np.array([0.0, -1.0]), np.array([1.0, 1.0])
    form = InputForm.of(Shape(1.0, 1.0, True), low, high)
    params = {0: "4", 1: "3", 6: "72"}
    assert form.suits(Layer("Convolution", "c", ("a",), ("b",), params))
    padded = Layer("Convolution", "c", ("a",), ("b",), {**params, 4: "1"})
    assert not form.suits(padded)
    one = InputForm.of(Shape(0.0, 1.0, True), np.zeros(2), high)
    assert one.suits(padded)


def test_a_padded_layer_takes_no_negative_code_of_zero() -> None:
    form = InputForm.of(Shape(0.0, 1.0, True), np.full(2, -3.0), np.ones(2))
    assert form.zero[0] < 0
    assert not form.suits(Layer("Convolution", "c", ("a",), ("b",), {0: "4", 1: "3", 4: "1"}))
