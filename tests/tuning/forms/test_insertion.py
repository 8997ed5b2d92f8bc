"""A network whose layers read codes: the same in fp32, and in int8 what the integers say."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from quantkit.calibration.table import CalibrationTable
from quantkit.calibration.weight_integers import to_int8
from quantkit.model.network import Network
from quantkit.quantization import quantize
from quantkit.quantization.prepared_layers import IN_CODES
from quantkit.quantization.table_lint import lint_table
from quantkit.tuning.forms import InputForm, with_forms
from quantkit.tuning.forms.input_form import Shape
from quantkit.tuning.rounding import round_weights
from quantkit.tuning.rounding_layer import RoundingOptions
from quantkit.tuning.rounding_moments import Sampling
from tests.nets import INPUT, NetBuilder
from tests.quantization.agreement import db, run, simple_table

Array = NDArray[np.float32]
Doubles = NDArray[np.float64]
SHAPES = {
    "per tensor": Shape(0.0, 1.0, False),
    "per channel": Shape(1.0, 1.0, False),
    "half per channel": Shape(0.5, 0.8, False),
    "per tensor, zero point": Shape(0.0, 1.0, True),
    "per channel, zero point": Shape(1.0, 1.0, True),
}
LAYERS: dict[str, dict[str, Any]] = {
    "1x1": {"kernel": 1, "channels": (16, 24)},
    "3x3 padded, Winograd": {"kernel": 3, "channels": (16, 24)},
    "3x3 strided": {"kernel": 3, "stride": 2, "channels": (16, 24)},
    "5x5 padded": {"kernel": 5, "channels": (8, 8)},
    "depthwise": {"kernel": 3, "group": 16, "channels": (16, 16)},
    "depthwise strided": {"kernel": 5, "stride": 2, "group": 12, "channels": (12, 12)},
}


def chain(channels: tuple[int, int], **how: Any) -> Network:
    """A layer behind a ReLU whose channels differ in range by up to 64."""
    net = NetBuilder(np.random.default_rng(0))
    net.conv("before", INPUT, "middle", (3, channels[0]), relu=True)
    net.conv("layer", "middle", "top", channels, **how)
    network = net.build()
    weights = network.weights["before"]
    grown = np.repeat(2.0 ** np.linspace(-3, 3, channels[0]), 3).astype(np.float32)
    weights["weight"][:] *= grown  # The records share their memory with what is read.
    return network


@pytest.fixture
def picture() -> Array:
    return np.random.default_rng(1).standard_normal((3, 20, 28)).astype(np.float32)


def formed(network: Network, picture: Array, shape: Shape) -> tuple[Network, CalibrationTable]:
    table = simple_table(network, picture, ["layer"])
    middle = run(network, picture, "middle").reshape(-1, *picture.shape[1:])
    form = InputForm.of(shape, middle.min((1, 2)).astype(float), middle.max((1, 2)).astype(float))
    found = with_forms(network, table, {"layer": form})
    return found.network, found.table


def exact(network: Network, table: CalibrationTable, codes: Doubles) -> tuple[Doubles, Doubles]:
    """Compute the layer in float64 from the integers that int8 has: the products, and the bias."""
    layer = network.param.layer("layer")
    weights = network.weights["layer"]
    scales = np.array(table.weight_scales["layer"], np.float32)
    outputs, kernel = layer.int_param(0, 0), layer.int_param(1, 0)
    rows = (
        to_int8(weights["weight"], scales).astype(np.float64).reshape(outputs, -1, kernel, kernel)
    )
    pad, stride = layer.int_param(4, 0), layer.int_param(3, 1)
    border = [(0, 0), (pad, pad), (pad, pad)]
    padded = np.pad(codes, border, constant_values=layer.float_param(18, 0.0))
    views: Any = np.lib.stride_tricks.sliding_window_view
    windows: Doubles = views(padded, (kernel, kernel), (1, 2))[:, ::stride, ::stride]
    depthwise = layer.type == "ConvolutionDepthWise"
    sums = (
        np.einsum("chwij,cij->chw", windows, rows[:, 0])
        if depthwise
        else np.einsum("chwij,ocij->ohw", windows, rows)
    )
    step = scales.astype(np.float64)[:, None, None]
    bias = np.asarray(weights["bias"], np.float64)[:, None, None]
    return sums / step, np.broadcast_to(bias, sums.shape)


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("shape", SHAPES)
def test_ncnn_computes_what_the_integers_say(layer: str, shape: str, picture: Array) -> None:
    network, table = formed(chain(**LAYERS[layer]), picture, SHAPES[shape])
    got = run(quantize(network, table, store_fp16=False), picture, "top")
    read = run(network, picture, f"layer{IN_CODES}").astype(np.float64)
    read = read.reshape(-1, *picture.shape[1:])
    codes = np.clip(np.sign(read) * np.floor(np.abs(read) + 0.5), -127, 127)
    products, bias = (one.ravel() for one in exact(network, table, codes))
    # ncnn's depthwise kernels for x86 divide by the scale with 12 bits (rcpps).
    share = 4e-4 if "depthwise" in layer else 2e-6
    allowed = share * np.abs(products) + 2e-6 * np.abs(bias).max()
    assert (np.abs(got - (products + bias)) <= allowed).all()


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("shape", SHAPES)
def test_the_fp32_network_stays_as_it_was(layer: str, shape: str, picture: Array) -> None:
    before = chain(**LAYERS[layer])
    after, _ = formed(before, picture, SHAPES[shape])
    assert db(run(before, picture, "top"), run(after, picture, "top")) > 100


@pytest.mark.parametrize("layer", LAYERS)
def test_a_zero_point_makes_it_err_less(layer: str, picture: Array) -> None:
    before = chain(**LAYERS[layer])
    wanted = run(before, picture, "top")

    def corrected_db(shape: str) -> float:
        network, table = formed(before, picture, SHAPES[shape])
        sampling = Sampling(lambda: [picture], INPUT)
        # Rounding weights moves the offset of the zero point, which the bias must take.
        found = round_weights(network, table, sampling, RoundingOptions("nearest", bias=True))
        return db(wanted, run(quantize(found.network, table), picture, "top"))

    assert corrected_db("per tensor, zero point") > corrected_db("per tensor") + 2


def test_the_check_of_a_table_takes_a_border_of_the_code_of_zero(picture: Array) -> None:
    network, table = formed(
        chain(**LAYERS["3x3 padded, Winograd"]), picture, SHAPES["per channel, zero point"]
    )
    assert network.param.layer("layer").params[18] == "127.0"
    findings = lint_table(table.text(), network)
    assert not [one for one in findings if one.severity == "error"]
