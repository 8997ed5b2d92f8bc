from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from quantkit.calibration.table import CalibrationTable
from quantkit.errors import InputError
from quantkit.model.eligibility import int8_layers
from quantkit.model.network import Network
from quantkit.quantization import quantize
from quantkit.quantization.rounding import to_int8
from quantkit.tuning.rounding import round_weights
from quantkit.tuning.rounding_moments import Sampling
from quantkit.tuning.rounding_sequence import SequenceOptions, round_in_sequence
from tests.nets import INPUT, OUTPUT, crop, small_network
from tests.quantization.agreement import run, simple_table

Array = NDArray[np.float32]


def smooth(seed: int) -> Array:
    coarse = np.random.default_rng(seed).standard_normal((3, 16, 12)).astype(np.float32)
    return (
        np.repeat(np.repeat(coarse, 4, axis=1), 4, axis=2) + crop(np.random.default_rng(seed)) / 4
    )


@pytest.fixture(scope="module")
def network() -> Network:
    return small_network(np.random.default_rng(0))


@pytest.fixture(scope="module")
def table(network: Network) -> CalibrationTable:
    """Coarse scales for weights and activations."""
    fine = simple_table(network, smooth(0), [layer.name for layer in int8_layers(network)])
    weights = {name: tuple(x / 8 for x in scales) for name, scales in fine.weight_scales.items()}
    inputs = {name: scale / 8 for name, scale in fine.activation_scales.items()}
    return replace(fine, weight_scales=weights, activation_scales=inputs)


def sampling(count: int = 8) -> Sampling:
    return Sampling(lambda: [smooth(seed) for seed in range(count)], INPUT)


def noise(network: Network, fp32: Network) -> float:
    off = [run(network, smooth(s), OUTPUT) - run(fp32, smooth(s), OUTPUT) for s in range(50, 54)]
    return float(np.square(off).mean())


def test_it_errs_less_than_rounding_on_fp32_inputs(
    network: Network, table: CalibrationTable
) -> None:
    apart = round_weights(network, table, sampling())
    found = round_in_sequence(network, table, sampling(), (OUTPUT,))
    plain = noise(quantize(network, table), network)
    assert noise(quantize(apart.network, table), network) < plain
    assert noise(quantize(found.network, table), network) < noise(
        quantize(apart.network, table), network
    )


def test_an_endless_ridge_without_drift_is_rounding_on_int8_inputs(
    network: Network, table: CalibrationTable
) -> None:
    first = table.only(["stem"])
    options = SequenceOptions(ridge=1e6, drift=0)
    whole = Sampling(sampling().crops, INPUT, positions=10**6)
    found = round_in_sequence(network, first, whole, (OUTPUT,), options).network
    apart = round_weights(network, first, whole).network
    scales = np.array(table.weight_scales["stem"], np.float32)
    a, b = (to_int8(one.weights["stem"]["weight"], scales) for one in (found, apart))
    assert (a == b).mean() > 0.98


def test_snapped_weights_stay_within_the_levels_and_round_to_themselves(
    network: Network, table: CalibrationTable
) -> None:
    found = round_in_sequence(network, table, sampling(3), (OUTPUT,)).network
    for name in table.layers:
        scales = np.array(table.weight_scales[name], np.float32)
        weight = found.weights[name]["weight"]
        rows = to_int8(weight, scales).reshape(len(scales), -1)
        exact = (rows / scales[:, None].astype(np.float64)).astype(np.float32)
        np.testing.assert_array_equal(weight, exact.reshape(-1))


def test_the_result_is_the_same_again(network: Network, table: CalibrationTable) -> None:
    first, again = (
        round_in_sequence(network, table, sampling(2), (OUTPUT,)).network.sha256 for _ in range(2)
    )
    assert first == again


def test_no_crops_are_an_error(network: Network, table: CalibrationTable) -> None:
    with pytest.raises(InputError, match="no crops"):
        round_in_sequence(network, table, sampling(0), (OUTPUT,))
