"""Whether ncnn's runtime really computes a layer in int8, told by what it does.

An int8 layer rounds its input: two inputs that round to the same integers give the same output to
the bit. A layer in floating point tells them apart.
"""

import numpy as np
from numpy.typing import NDArray

from quantkit.backends.ncnn_net import NcnnNet
from quantkit.model.network import Network
from quantkit.model.param import Layer, Param
from quantkit.model.weights import LayerWeights

_IN, _OUT = "probed_in", "probed_out"
_ACTIVATION = (9, 10, -23310)


def runs_in_int8(layer: Layer, weights: LayerWeights, scale: float) -> bool:
    """Run a layer by itself, without its activation, on two inputs of the same integers.

    Args:
        layer: A Convolution, ConvolutionDepthWise or InnerProduct as written for int8.
        weights: Its records.
        scale: Of its input.

    Raises:
        InputError: ncnn cannot load or run the layer.
    """
    alone = Layer(layer.type, "probed", (_IN,), (_OUT,), dict(layer.params))
    # A ReLU could hide every difference.
    alone = alone.with_params(dict.fromkeys(_ACTIVATION))
    param = Param((Layer("Input", _IN, (), (_IN,)), alone))
    network = Network(param, {"probed": weights})
    rng = np.random.default_rng(0)
    shape = _input_shape(layer, weights)
    integers = rng.integers(-100, 101, shape)
    with NcnnNet.of(network, _IN, (_OUT,)) as net:
        outputs = [
            net.run(_floats(integers + rng.uniform(-0.3, 0.3, shape), scale))[0] for _ in range(2)
        ]
    return bool(np.array_equal(outputs[0], outputs[1]))


def _floats(values: NDArray[np.float64], scale: float) -> NDArray[np.float32]:
    return np.asarray(values / scale, np.float32)


def _input_shape(layer: Layer, weights: LayerWeights) -> tuple[int, int, int]:
    inputs = weights.records["weight"].stored.size // layer.int_param(0, 1)
    if layer.type == "InnerProduct":
        return inputs, 1, 1
    width, dilation = layer.int_param(1, 0), layer.int_param(2, 1)
    height, dilation_y = layer.int_param(11, width), layer.int_param(12, dilation)
    channels = inputs // (width * height) * layer.int_param(7, 1)
    return channels, dilation_y * (height - 1) + 4, dilation * (width - 1) + 4
