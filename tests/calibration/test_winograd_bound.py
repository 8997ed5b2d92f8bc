"""The bound against ncnn's own kernels: Winograd on and off, and sums in 64 bits."""

from pathlib import Path

import ncnn
import numpy as np
import pytest
from numpy.typing import NDArray

from quantkit.calibration.weight_integers import to_int8
from quantkit.calibration.weight_scales import weight_scales
from quantkit.calibration.winograd_bound import (
    MOST_EXACT,
    bounded_levels,
    largest_sums,
    unproven_channels,
)
from quantkit.model.network import Network
from quantkit.model.param import Layer, Param
from quantkit.model.weights import INT8_TAG, LayerWeights, Record
from tests.nets import INPUT, OUTPUT

Ints = NDArray[np.int64]
FIRST_ROUNDED, LAST_ROUNDED = 1_864_135, 2**21
"""Between these an odd sum may come out one nearer to zero: its float32 division by 576."""


def int8_network(weights: NDArray[np.int8], scales: NDArray[np.float32]) -> Network:
    outputs, inputs = weights.shape[:2]
    params = {0: str(outputs), 1: "3", 4: "1", 6: str(outputs * inputs * 9), 8: "2"}
    layers = (
        Layer("Input", INPUT, (), (INPUT,)),
        Layer("Convolution", "conv", (INPUT,), (OUTPUT,), params),
    )
    records = {
        "weight": Record(weights.reshape(-1), INT8_TAG),
        "weight_scales": Record(scales),
        "bottom_scale": Record(np.ones(1, np.float32)),
    }
    return Network(Param(layers), {"conv": LayerWeights(records)})


def sums(weights: NDArray[np.int8], tensor: Ints, tmp_path: Path, *, winograd: bool) -> Ints:
    network = int8_network(weights, np.ones(len(weights), np.float32))
    param, weights_file = tmp_path / "net.param", tmp_path / "net.bin"
    param.write_text(network.param_text())
    weights_file.write_bytes(network.bin_bytes())
    net = ncnn.Net()
    net.opt.num_threads = 1
    net.opt.use_winograd_convolution = winograd
    assert net.load_param(str(param)) == 0
    assert net.load_model(str(weights_file)) == 0
    extractor = net.create_extractor()
    floats = tensor.astype(np.float32)
    extractor.input(INPUT, ncnn.Mat(floats).clone())
    output = extractor.extract(OUTPUT)[1]
    return np.array(output).astype(np.int64)


def in_64_bits(weights: NDArray[np.int8], tensor: Ints) -> Ints:
    height, width = tensor.shape[1:]
    padded = np.pad(tensor, ((0, 0), (1, 1), (1, 1)))
    total = np.zeros((len(weights), height, width), np.int64)
    for y, x in np.ndindex(3, 3):
        shifted = padded[:, y : y + height, x : x + width]
        total += np.tensordot(weights[:, :, y, x].astype(np.int64), shifted, 1)
    return total


def reaching(wanted: Ints) -> tuple[NDArray[np.int8], Ints]:
    """Weights and an input whose sums in the middle of a 3x3 image are just the wanted ones."""
    channels = int(wanted.max()) // (127 * 127 * 9) + 2
    weights = np.zeros((len(wanted), channels * 9), np.int8)
    for row, total in zip(weights, wanted, strict=True):
        whole, rest = divmod(int(total), 127)
        row[: whole // 127] = 127
        row[whole // 127] = whole % 127
        row[-5] = rest
    tensor = np.full((channels, 3, 3), 127, np.int64)
    tensor[-1] = 1
    return weights.reshape(len(wanted), channels, 3, 3), tensor


@pytest.mark.parametrize("sign", [1, -1])
def test_winograd_is_right_up_to_the_bound_and_wrong_beyond(tmp_path: Path, sign: int) -> None:
    near = MOST_EXACT + np.arange(-24, 24)
    weights, tensor = reaching(near)
    expected = in_64_bits(weights, sign * tensor)
    assert (np.abs(expected[:, 1, 1]) == near).all()
    found = sums(weights, sign * tensor, tmp_path, winograd=True)
    wrong = np.abs(found - expected)[:, 1, 1] > 1
    assert wrong.tolist() == (near > MOST_EXACT).tolist()


@pytest.mark.parametrize("sign", [1, -1])
def test_the_only_rounding_is_that_of_the_division_by_576(tmp_path: Path, sign: int) -> None:
    rng = np.random.default_rng(0)
    wanted = rng.integers(1_000_000, MOST_EXACT, 2048)
    weights, tensor = reaching(wanted)
    found = sums(weights, sign * tensor, tmp_path, winograd=True)[:, 1, 1]
    off = wanted - sign * found
    assert set(off[(wanted < FIRST_ROUNDED) | (wanted >= LAST_ROUNDED)]) == {0}
    assert set(off) == {0, 1}


@pytest.mark.parametrize("channels", [16, 64, 256])
def test_wrapping_on_the_way_does_no_harm(tmp_path: Path, channels: int) -> None:
    rng = np.random.default_rng(channels)
    weights = rng.integers(-127, 128, (16, channels, 3, 3)).astype(np.int8)
    tensor = rng.choice([-127, 127], (channels, 13, 10)).astype(np.int64)
    expected = in_64_bits(weights, tensor)
    assert np.abs(expected).max() < FIRST_ROUNDED
    np.testing.assert_array_equal(sums(weights, tensor, tmp_path, winograd=True), expected)
    np.testing.assert_array_equal(sums(weights, tensor, tmp_path, winograd=False), expected)


@pytest.mark.parametrize("nonnegative", [False, True])
def test_the_worst_input_reaches_the_bound(nonnegative: bool) -> None:
    rng = np.random.default_rng(1)
    weights = rng.integers(-127, 128, (4, 5, 3, 3)).astype(np.int8)
    low = 0 if nonnegative else -127
    reached = []
    for row in weights.astype(np.int64):
        up, down = np.where(row > 0, 127, low), np.where(row < 0, 127, low)
        reached.append(max(abs((row * up).sum()), abs((row * down).sum())))
    assert largest_sums(weights, nonnegative=nonnegative).tolist() == reached
    for _ in range(50):
        tensor = rng.integers(low, 128, (5, 3, 3))
        middle = in_64_bits(weights, tensor)[:, 1, 1]
        assert (np.abs(middle) <= reached).all()


@pytest.mark.parametrize("nonnegative", [False, True])
@pytest.mark.parametrize("channels", [8, 128, 256, 384])
def test_the_chosen_levels_are_exact_on_the_worst_input(
    tmp_path: Path, channels: int, nonnegative: bool
) -> None:
    rng = np.random.default_rng(channels)
    rows = rng.normal(size=(8, channels * 9)).astype(np.float32)
    levels = bounded_levels(rows, nonnegative=nonnegative)
    assert unproven_channels(rows, levels, nonnegative=nonnegative) == ()
    conv = Layer("Convolution", "conv", ("a",), ("b",), {0: "8", 1: "3", 6: str(rows.size)})
    scales = np.array(weight_scales(conv, rows, nonnegative=nonnegative).scales, np.float32)
    weights = to_int8(rows, scales).reshape(8, channels, 3, 3)
    low = 0 if nonnegative else -127
    for row in weights:
        for sign in (1, -1):
            tensor = np.where(sign * row > 0, 127, low).astype(np.int64)
            expected = in_64_bits(weights, tensor)
            assert np.abs(expected[:, 1, 1]).max() <= MOST_EXACT
            off = np.abs(sums(weights, tensor, tmp_path, winograd=True) - expected)
            assert off[:, 1, 1].max() <= 1


def test_levels_are_as_many_as_the_bound_allows() -> None:
    rng = np.random.default_rng(3)
    rows = rng.normal(size=(32, 3456)).astype(np.float32)
    levels = bounded_levels(rows)
    assert ((levels > 31) & (levels < 127)).all()
    assert len(unproven_channels(rows, levels + 2)) == 32
    assert (bounded_levels(rows, nonnegative=True) > levels).all()
    assert (bounded_levels(rows[:, :576]) == 127).all()


def test_channels_too_wide_for_31_levels_keep_them_and_are_named() -> None:
    rows = np.ones((2, 9 * 128), np.float32)
    rows[1] /= 8
    rows[1, 0] = 1
    assert bounded_levels(rows).tolist() == [31, 127]
    assert unproven_channels(rows, np.array([31, 127])) == (0,)
