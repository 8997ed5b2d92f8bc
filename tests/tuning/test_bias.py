import numpy as np
from numpy.typing import NDArray

from quantkit.backends.ncnn_net import NcnnNet
from quantkit.calibration.table import CalibrationTable
from quantkit.model.network import Network
from quantkit.quantization import quantize
from quantkit.tuning.rounding import round_weights
from quantkit.tuning.rounding_layer import RoundingOptions
from quantkit.tuning.rounding_moments import Sampling
from tests.nets import INPUT, NetBuilder

Array = NDArray[np.float32]
BIAS_ALONE = RoundingOptions(rounding="nearest")


def planted() -> tuple[Network, CalibrationTable]:
    """A convolution whose weights are all rounded down, by 0.4 of a step."""
    net = NetBuilder(np.random.default_rng(0))
    net.conv("conv", INPUT, "out", (4, 6))
    network = net.build()
    weights = network.weights["conv"]["weight"]
    weights[:] = np.rint(weights * 20) / 20 + np.float32(0.02)
    return network, CalibrationTable({"conv": (20.0,) * 6}, {"conv": 127 / 4})


def image(seed: int) -> Array:
    values = np.random.default_rng(seed).standard_normal((4, 24, 24)).astype(np.float32)
    return np.clip(values, -1.9, 1.9) + 2


def output(network: Network, tensor: Array) -> Array:
    with NcnnNet.of(network, INPUT, ("out",)) as net:
        return net.run(tensor)[0]


def mean_error(network: Network, table: CalibrationTable, fp32: Network) -> Array:
    test = image(99)
    off = output(quantize(network, table), test) - output(fp32, test)
    means: Array = np.abs(off.mean(axis=(1, 2)))
    return means


def test_a_planted_mean_shift_is_taken_back() -> None:
    network, table = planted()
    crops = [image(seed) for seed in range(4)]
    corrected = round_weights(network, table, Sampling(lambda: crops, INPUT), BIAS_ALONE).network
    assert mean_error(network, table, network).min() > 0.1
    assert mean_error(corrected, table, network).max() < 0.02


def test_outliers_that_int8_clips_do_not_move_the_bias() -> None:
    network, table = planted()
    crops = [image(seed) for seed in range(4)]
    clean = round_weights(network, table, Sampling(lambda: crops, INPUT), BIAS_ALONE).network
    for one in crops:
        one[:, ::12, ::12] = 1e6
    dirty = round_weights(network, table, Sampling(lambda: crops, INPUT), BIAS_ALONE).network
    assert mean_error(dirty, table, network).max() < 0.02
    np.testing.assert_allclose(
        dirty.weights["conv"]["bias"], clean.weights["conv"]["bias"], atol=0.01
    )
