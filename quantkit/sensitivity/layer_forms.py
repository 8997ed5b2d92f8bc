"""One layer in each of the forms that it is tried in, as a network of its own."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from quantkit.backends.ncnn_net import NcnnNet
from quantkit.calibration.table import CalibrationTable
from quantkit.calibration.weight_integers import half_away, to_int8
from quantkit.model.network import Network
from quantkit.model.weights import FP32_TAG, LayerWeights, Record
from quantkit.quantization.int8 import quantize
from quantkit.quantization.requantize import never
from quantkit.tuning.suffix import Array, Blobs, load_alone


class LayerForms:
    """The layers of a table in fp32, in int8, and with only their weights rounded.

    Args:
        network: The fp32 network.
        table: The scales.

    Raises:
        InputError: The table does not fit the network.
    """

    def __init__(self, network: Network, table: CalibrationTable) -> None:
        self.fp32 = network
        self.table = table
        # Floats at every cut: what a convolution hands on must not depend on the one behind it.
        self.int8 = quantize(network, table, store_fp16=False, requantize=never)

    def in_fp32(self, name: str) -> NcnnNet:
        """Load a layer as it is."""
        return load_alone(self.fp32, name)

    def in_int8(self, name: str, bottom_scale: float | None = None) -> NcnnNet:
        """Load a layer in int8, with another scale for its input if one is given."""
        if bottom_scale is None:
            return load_alone(self.int8, name)
        scale = Record(np.array([bottom_scale], np.float32))
        records = {**self.int8.weights[name].records, "bottom_scale": scale}
        return load_alone(self.int8.replaced({}, {name: LayerWeights(records)}), name)

    def with_rounded_weights(self, name: str, levels: int | None = None) -> NcnnNet:
        """Load a layer in fp32 with the weights that its integers stand for.

        Args:
            name: The layer.
            levels: What the largest weight of each channel becomes; by default as in the table.
        """
        scales = self.table.weight_array(name)
        weight = np.asarray(self.fp32.weights[name]["weight"], np.float32)
        if levels is not None:
            largest = np.abs(weight.reshape(len(scales), -1)).max(axis=1)
            scales = np.float32(levels) / np.where(largest > 0, largest, np.float32(levels))
        integers = to_int8(weight, scales).reshape(len(scales), -1)
        rounded = (integers / scales[:, None]).astype(np.float32).reshape(-1)
        records = {**self.fp32.weights[name].records, "weight": Record(rounded, FP32_TAG)}
        return load_alone(self.fp32.replaced({}, {name: LayerWeights(records)}), name)

    def bottom_scale(self, name: str) -> float:
        """Look up the scale of a layer's input."""
        return self.table.activation_scales[name]


def rounded_input(values: Array, scale: float | NDArray[np.float32]) -> Array:
    """Quantize and dequantize a blob as an int8 layer does with its input.

    Args:
        values: The blob, channels first.
        scale: Of all values, or one for each channel.

    Example:
        >>> rounded_input(np.array([0.26, -9.0], np.float32), 100 / 8).tolist()
        [0.23999999463558197, -9.039999961853027]
    """
    scales = np.asarray(scale, np.float32)
    if scales.ndim:
        scales = scales.reshape(-1, *(1,) * (values.ndim - 1))
    integers = np.clip(half_away(values * scales), -127, 127)
    rounded: Array = (integers / scales).astype(np.float32)
    return rounded


def run_layer(
    net: NcnnNet,
    bottoms: Sequence[str],
    tops: Sequence[str],
    alive: Sequence[Blobs],
    changed: Mapping[str, Sequence[Array]] | None = None,
) -> list[dict[str, Array]]:
    """Run a network of one layer on every crop.

    Args:
        net: The network.
        bottoms: The blobs that it reads.
        tops: The blobs that it makes.
        alive: Blobs of each crop, its bottoms among them.
        changed: What is taken for some of the bottoms instead, one for each crop.
    """
    instead = changed or {}
    return [
        net.start(
            {name: instead[name][k] if name in instead else blobs[name] for name in bottoms}
        ).blobs(tops)
        for k, blobs in enumerate(alive)
    ]
