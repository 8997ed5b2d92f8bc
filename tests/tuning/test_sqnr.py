import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantkit.tuning.sqnr import decibels_from_json, decibels_json, sqnr_by_output, sqnr_db


@given(st.floats(min_value=1e-4, max_value=0.5), st.integers(min_value=1, max_value=4))
def test_white_noise_of_a_known_size_gives_its_decibels(share: float, crops: int) -> None:
    signal = np.tile(np.array([1, -1], np.float32), 500)
    noisy = (signal * np.float32(1 + share)).astype(np.float32)
    got = sqnr_db([(signal,)] * crops, [(noisy,)] * crops)
    assert got == pytest.approx(-20 * math.log10(share), abs=0.02)


def test_equal_outputs_have_no_noise() -> None:
    outputs = [(np.ones(3, np.float32), np.zeros(2, np.float32))]
    assert sqnr_db(outputs, outputs) == math.inf


def test_outputs_that_are_not_finite_are_the_worst() -> None:
    assert sqnr_db([(np.ones(2, np.float32),)], [(np.array([1, np.nan], np.float32),)]) == -math.inf


def test_another_number_of_outputs_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="zip"):
        sqnr_db([(np.ones(2, np.float32),)], [(np.ones(2, np.float32), np.ones(2, np.float32))])


@pytest.mark.parametrize("decibels", [20.25, np.inf, -np.inf, 0.0])
def test_an_sqnr_comes_back_from_json(decibels: float) -> None:
    written = json.dumps(decibels_json(decibels), allow_nan=False)
    assert decibels_from_json(json.loads(written)) == decibels


def test_another_word_is_no_sqnr() -> None:
    with pytest.raises(ValueError, match="great"):
        decibels_from_json("great")


def test_each_output_has_an_sqnr_of_its_own() -> None:
    large, small = np.full(10, 1000, np.float32), np.ones(10, np.float32)
    reference, got = [(large, small)], [(large, small * np.float32(0.5))]
    assert sqnr_by_output(reference, got)[0] == np.inf
    assert sqnr_by_output(reference, got)[1] == pytest.approx(10 * np.log10(4))
    assert sqnr_db(reference, got) > 60
