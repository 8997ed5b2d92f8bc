from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from quantkit.backends.ncnn_net import NcnnNet
from quantkit.calibration.table import CalibrationTable, read_table
from quantkit.errors import InputError
from quantkit.model.eligibility import int8_layers, quantized_layers
from quantkit.model.network import Network, read_network
from quantkit.model.param import read_param
from quantkit.model.source import NcnnFiles
from quantkit.model.weights import FP16_TAG, LayerWeights, Record, parse_weights, read_weights
from quantkit.quantization import quantize
from quantkit.quantization.requantize import never
from tests.nets import INPUT, OUTPUT, NetBuilder, crop, small_network, write_pair
from tests.quantization.agreement import cosine, run, simple_table

GOLDEN = ["small_96x96", "simplepose_256x192", "tinypose_256x192"]
ENDS = {
    "small_96x96": ("in0", ("out0",)),
    "simplepose_256x192": ("data", ("hybridsequential0_conv7_fwd",)),
    "tinypose_256x192": ("image", ("save_infer_model/scale_0.tmp_1",)),
}


@pytest.fixture
def network() -> Network:
    return small_network(np.random.default_rng(0))


@pytest.fixture
def tensor() -> NDArray[np.float32]:
    return crop(np.random.default_rng(1))


@pytest.fixture
def table(network: Network, tensor: NDArray[np.float32]) -> CalibrationTable:
    return simple_table(network, tensor, [layer.name for layer in int8_layers(network)])


@pytest.mark.parametrize("kind", ["kl", "mixed"])
@pytest.mark.parametrize("name", GOLDEN)
def test_the_files_equal_those_of_ncnn2int8_to_the_byte(golden: Path, name: str, kind: str) -> None:
    folder = golden / name
    param = read_param(folder / "fp32.param")
    network = Network(param, read_weights(param, folder / "fp32.bin"))
    int8 = quantize(network, read_table(folder / f"{kind}.table"))
    assert int8.param_text() == (folder / f"{kind}_int8.param").read_text()
    assert int8.bin_bytes() == (folder / f"{kind}_int8.bin").read_bytes()


@pytest.mark.parametrize("name", GOLDEN)
def test_the_written_files_run_as_those_of_ncnn2int8(
    golden: Path, tmp_path: Path, name: str
) -> None:
    folder = golden / name
    source = NcnnFiles(folder / "fp32.param", folder / "fp32.bin", *ENDS[name])
    int8 = quantize(read_network(source), read_table(folder / "kl.table"))
    tensor = np.load(next(iter(sorted((folder / "inputs").glob("*.npy")))))
    theirs = NcnnFiles(folder / "kl_int8.param", folder / "kl_int8.bin", *ENDS[name])
    with NcnnNet.from_files(theirs) as reference:
        expected = reference.run(tensor)
    with NcnnNet.of(int8, theirs.input, theirs.outputs) as net:
        found = net.run(tensor)
    for ours, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(ours, other)


def test_every_kind_of_layer_comes_close_in_int8(
    network: Network, table: CalibrationTable, tensor: NDArray[np.float32]
) -> None:
    int8 = quantize(network, table)
    assert quantized_layers(int8) == tuple(layer.name for layer in int8_layers(network))
    assert cosine(run(int8, tensor, OUTPUT), run(network, tensor, OUTPUT)) > 0.998
    assert int8.nbytes < network.nbytes * 0.4


def test_terms_say_how_each_layer_is_quantized(network: Network, table: CalibrationTable) -> None:
    int8 = quantize(network, table)
    terms = {layer.name: layer.int_param(8, 0) for layer in int8_layers(int8)}
    assert terms == {
        "stem": 102,
        "depthwise": 101,
        "expand": 2,
        "residual": 2,
        "grouped": 1,
        "excite": 2,
        "neck": 102,
        "left": 2,
        "right": 2,
        "head": 2,
    }


def test_the_written_network_is_read_again(network: Network, table: CalibrationTable) -> None:
    int8 = quantize(network, table)
    again = parse_weights(int8.param, int8.bin_bytes())
    assert Network(int8.param, again).sha256 == int8.sha256
    assert again["stem"]["weight"].dtype == np.int8
    assert again["stem"]["top_scale"].tolist() == again["depthwise"]["bottom_scale"].tolist()


def test_int8_weights_times_scale_are_the_weights(
    network: Network, table: CalibrationTable
) -> None:
    int8 = quantize(network, table)
    for name, weights in int8.weights.items():
        scales = weights["weight_scales"][:, None]
        restored = weights["weight"].reshape(len(scales), -1) / scales
        original = network.weights[name]["weight"].reshape(len(scales), -1)
        assert (np.abs(restored - original) <= 0.5001 / scales).all()


@pytest.mark.parametrize("fused", [True, False])
def test_a_convolution_is_the_sum_of_integer_products(fused: bool) -> None:
    net = NetBuilder(np.random.default_rng(3))
    net.conv("conv", INPUT, "out", (3, 8), kernel=3, stride=2, relu=True)
    net.conv("next", "out", "end", (8, 4))
    network, tensor = net.build(), crop(np.random.default_rng(4))
    table = simple_table(network, tensor, ("conv", "next"))
    chosen = table if fused else table.only(["conv"])
    found = run(quantize(network, chosen, store_fp16=False), tensor, "out").reshape(8, 32, 24)
    expected = _integer_convolution(network, table, tensor)
    if fused:
        expected = _rounded(expected * np.float32(table.activation_scales["next"]))
        assert np.abs(found - expected).max() <= 1
        assert (found == expected).mean() > 0.999
    else:
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def _integer_convolution(
    network: Network, table: CalibrationTable, tensor: NDArray[np.float32]
) -> NDArray[np.float32]:
    bottom = np.float32(table.activation_scales["conv"])
    scales = np.array(table.weight_scales["conv"], np.float32)
    weights = network.weights["conv"]["weight"].reshape(8, 3, 3, 3) * scales[:, None, None, None]
    pixels = np.pad(_rounded(tensor * bottom), ((0, 0), (1, 1), (1, 1))).astype(np.int64)
    sums = np.zeros((8, 32, 24), np.int64)
    for y, x in np.ndindex(3, 3):
        kernel = _rounded(weights[:, :, y, x]).astype(np.int64)
        sums += np.tensordot(kernel, pixels[:, y : y + 64 : 2, x : x + 48 : 2], 1)
    floats = (
        sums / (bottom * scales)[:, None, None] + network.weights["conv"]["bias"][:, None, None]
    )
    return np.asarray(np.maximum(floats, 0), np.float32)


def _rounded(values: NDArray[np.float32]) -> NDArray[np.float32]:
    halves = np.copysign(np.float32(0.5), values)
    return np.asarray(np.clip(np.trunc(values + halves), -127, 127), np.float32)


def test_layers_left_alone_are_stored_as_fp16(network: Network, table: CalibrationTable) -> None:
    mixed = quantize(network, table.without(["neck"]))
    assert mixed.weights["neck"].records["weight"].tag == FP16_TAG
    assert mixed.weights["neck"].records["bias"] is network.weights["neck"].records["bias"]
    assert mixed.param.layer("neck") is network.param.layer("neck")


def test_one_layer_alone_shares_all_others(
    network: Network, table: CalibrationTable, tensor: NDArray[np.float32]
) -> None:
    one = quantize(network, table.only(["right"]), store_fp16=False)
    assert quantized_layers(one) == ("right",)
    assert all(one.weights[x] is network.weights[x] for x in network.weights if x != "right")
    blobs = ("left", "neck", "activated")
    np.testing.assert_array_equal(run(one, tensor, *blobs), run(network, tensor, *blobs))
    assert not np.array_equal(run(one, tensor, "right"), run(network, tensor, "right"))


def test_an_empty_table_changes_the_storage_alone(
    network: Network, tensor: NDArray[np.float32]
) -> None:
    empty = CalibrationTable({}, {})
    assert quantize(network, empty, store_fp16=False).sha256 == network.sha256
    halved = quantize(network, empty)
    assert halved.param_text() == network.param_text()
    found, expected = run(halved, tensor, OUTPUT), run(network, tensor, OUTPUT)
    np.testing.assert_allclose(found, expected, atol=2e-2)
    assert not np.array_equal(found, expected)


def test_requantize_fusion_can_be_left_out(
    network: Network, table: CalibrationTable, tensor: NDArray[np.float32]
) -> None:
    plain = quantize(network, table, requantize=never)
    assert {layer.int_param(8, 0) for layer in int8_layers(plain)} == {1, 2}
    assert cosine(run(plain, tensor, OUTPUT), run(network, tensor, OUTPUT)) > 0.998


def test_a_network_stored_as_fp16_is_quantized_from_what_it_stores(
    network: Network, table: CalibrationTable
) -> None:
    halved = quantize(network, CalibrationTable({}, {}))
    int8 = quantize(halved, table.only(["head"]))
    values = halved.weights["head"]["weight"].reshape(17, -1)
    scales = np.array(table.weight_scales["head"], np.float32)[:, None]
    assert (int8.weights["head"]["weight"].reshape(17, -1) == _rounded(values * scales)).all()
    assert (
        int8.weights["stem"].records["weight"].stored
        is halved.weights["stem"].records["weight"].stored
    )


def test_tiny_biases_are_written_as_zero(network: Network, table: CalibrationTable) -> None:
    bias = network.weights["head"].records["bias"].stored.copy()
    bias[:2] = [1e-31, -1e-38]
    records = {**network.weights["head"].records, "bias": Record(bias)}
    tiny = network.replaced({}, {"head": LayerWeights(records)})
    assert quantize(tiny, table).weights["head"]["bias"][:2].tolist() == [0, 0]


def test_a_weight_beyond_fp16_is_named(network: Network) -> None:
    weight = network.weights["head"].records["weight"].stored.copy()
    weight[7] = 1e6
    records = {**network.weights["head"].records, "weight": Record(weight, 0)}
    big = network.replaced({}, {"head": LayerWeights(records)})
    with pytest.raises(InputError, match=r"Convolution 'head': 'weight' has a value beyond fp16"):
        quantize(big, CalibrationTable({}, {}))


def test_the_files_of_an_int8_network_load(
    network: Network, table: CalibrationTable, tmp_path: Path, tensor: NDArray[np.float32]
) -> None:
    int8 = quantize(network, table)
    files = write_pair(int8, tmp_path)
    with NcnnNet.from_files(files) as net:
        found = net.run(tensor)[0].ravel()
    np.testing.assert_array_equal(found, run(int8, tensor, OUTPUT))


def test_a_table_with_rows_of_attention_gives_ncnn2int8s_records(golden: Path) -> None:
    folder = golden / "attention_64x48"

    def read(name: str) -> Network:
        param = read_param(folder / f"{name}.param")
        return Network(param, read_weights(param, folder / f"{name}.bin"))

    table = read_table(folder / "kl.table")
    ours, theirs = quantize(read("fp32"), table), read("kl_int8")
    assert quantized_layers(ours) == table.layers
    for name in table.layers:
        expected = theirs.weights[name].records
        assert ours.weights[name].records.keys() == expected.keys()
        for record, values in ours.weights[name].records.items():
            np.testing.assert_array_equal(values.stored, expected[record].stored)
