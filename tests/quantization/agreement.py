"""Running small networks and comparing what comes out."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantkit.backends.ncnn_net import NcnnNet
from quantkit.calibration.table import CalibrationTable
from quantkit.calibration.weight_scales import scale_count
from quantkit.model.network import Network
from quantkit.tuning.sqnr import sqnr_db
from tests.nets import INPUT

FloatArray = NDArray[np.float32]


def run(network: Network, tensor: FloatArray, *outputs: str) -> FloatArray:
    """Run a network and give its outputs as one flat array."""
    with NcnnNet.of(network, INPUT, outputs) as net:
        return np.concatenate([output.ravel() for output in net.run(tensor)])


def simple_table(network: Network, tensor: FloatArray, layers: Sequence[str]) -> CalibrationTable:
    """Scales from the largest magnitudes, of the weights and of one input."""
    chosen = [network.param.layer(name) for name in layers]
    with NcnnNet.of(network, INPUT) as net:
        blobs = net.run_blobs(tensor, [layer.bottoms[0] for layer in chosen])
    weights, activations = {}, {}
    for layer in chosen:
        rows = network.weights[layer.name]["weight"].reshape(scale_count(layer), -1)
        weights[layer.name] = tuple(float(x) for x in 127 / np.abs(rows).max(axis=1))
        activations[layer.name] = float(127 / np.abs(blobs[layer.bottoms[0]]).max())
    return CalibrationTable(weights, activations)


def db(expected: NDArray[Any], got: NDArray[Any]) -> float:
    """Signal to noise ratio of one output in decibels."""
    return sqnr_db([(expected,)], [(got.reshape(expected.shape),)])


def cosine(first: FloatArray, second: FloatArray) -> float:
    """Cosine similarity of two arrays."""
    a, b = first.astype(np.float64), second.astype(np.float64)
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))
