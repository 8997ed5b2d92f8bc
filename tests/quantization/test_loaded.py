from pathlib import Path

import numpy as np
import pytest

from quantkit.calibration.table import CalibrationTable
from quantkit.errors import InputError
from quantkit.model.eligibility import int8_layers
from quantkit.model.network import Network
from quantkit.model.weights import LayerWeights
from quantkit.quantization import quantize
from quantkit.quantization.int8_probe import runs_in_int8
from quantkit.quantization.loaded import loaded_layers
from quantkit.quantization.loaded_child import facts
from tests.nets import crop, small_network, write_pair
from tests.quantization.agreement import simple_table

NETWORK = small_network(np.random.default_rng(0))
LAYERS = tuple(layer.name for layer in int8_layers(NETWORK))
SHAPE = (3, 64, 48)


@pytest.fixture(scope="module")
def table() -> CalibrationTable:
    return simple_table(NETWORK, crop(np.random.default_rng(1)), LAYERS)


@pytest.fixture(scope="module")
def int8(table: CalibrationTable) -> Network:
    return quantize(NETWORK, table)


def test_all_layers_asked_for_run_in_int8(int8: Network, tmp_path: Path) -> None:
    found = loaded_layers(write_pair(int8, tmp_path), LAYERS, SHAPE)
    assert found.asked == found.running == LAYERS
    assert found.lines() == ["all 10 layers asked for run in int8"]


def test_what_differs_is_named(table: CalibrationTable, tmp_path: Path) -> None:
    mixed = quantize(NETWORK, table.without(["neck"]))
    asked = [name for name in LAYERS if name != "head"] + ["other"]
    found = loaded_layers(write_pair(mixed, tmp_path), asked)
    assert found.differing == {
        "neck": "is not int8 in the .param (no 8=)",
        "head": "is int8, but was not asked for",
        "other": "is not in the network",
    }
    assert found.lines()[0] == "8 of the 10 layers asked for run in int8"


def test_the_runtime_tells_int8_from_floats_for_every_kind_of_layer(
    int8: Network, table: CalibrationTable
) -> None:
    for name in LAYERS:
        scale = table.activation_scales[name]
        assert runs_in_int8(int8.param.layer(name), int8.weights[name], scale)
        assert not runs_in_int8(NETWORK.param.layer(name), NETWORK.weights[name], scale)


def test_float_weights_that_ncnn_quantizes_at_load_run_in_int8(
    int8: Network, table: CalibrationTable
) -> None:
    records = {**int8.weights["head"].records, "weight": NETWORK.weights["head"].records["weight"]}
    scale = table.activation_scales["head"]
    assert runs_in_int8(int8.param.layer("head"), LayerWeights(records), scale)


def test_weights_that_are_not_int8_in_the_bin_are_named(int8: Network, tmp_path: Path) -> None:
    records = {**int8.weights["head"].records, "weight": NETWORK.weights["head"].records["weight"]}
    files = write_pair(int8.replaced({}, {"head": LayerWeights(records)}), tmp_path)
    wrong = {name: one["problem"] for name, one in facts(files, SHAPE).items() if one["problem"]}
    assert wrong == {"head": "has weights in the .bin that are not int8"}


def test_a_network_that_does_not_load_is_an_error(int8: Network, tmp_path: Path) -> None:
    files = write_pair(int8, tmp_path)
    files.bin.write_bytes(files.bin.read_bytes()[:-400])
    with pytest.raises(InputError, match="too short"):
        loaded_layers(files, LAYERS)
