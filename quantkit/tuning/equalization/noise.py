"""A model of the noise that int8 adds to a layer's output, as a function of the channels' factors.

With u the logarithm of the factors of the channels it reads, a layer's noise in its unscaled
outputs is T^2 sum_i a_i exp(-2u_i) from the activations, T = max_i r_i exp(u_i), and
sum_o D_o^2 sum_i exp(2u_i) p_i from the weights, D_o = max_i m_oi exp(-u_i): r is the range of a
channel, p its power, a the energy and m the largest of its weights. The maxima are smoothed to
norms, so that there is a gradient. Both steps have 127 levels; a uniform error has 1/12 of its
square (Widrow, "Statistical Analysis of Amplitude-Quantized Sampled-Data Systems", 1961).
"""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from quantkit.model.eligibility import int8_layers
from quantkit.model.graph import Graph
from quantkit.model.network import Network
from quantkit.model.param import Layer
from quantkit.tuning.equalization.channel_graph import ChannelGraph
from quantkit.tuning.equalization.ranges import ChannelRanges

Floats = NDArray[np.float64]

_NORM: Final = 12.0
_STEP_NOISE: Final = 1 / 12 / 127**2
_LEAST_POWER: Final = 1e-3
"""Of the mean output channel, so that a dead one does not outweigh all others."""


@dataclass(frozen=True, eq=False)
class LayerNoise:
    """What the noise of one layer depends on, by group of its convolution.

    Attributes:
        classes: Class of each input channel, shape (groups, inputs).
        ranges: Range of each, same shape.
        powers: Mean square of each times the size of the kernel, same shape.
        energy: Sum of the squared weights, by input channel, each output counted by how much it
            matters; same shape.
        largest: Logarithm of the largest weight, shape (groups, outputs, inputs).
        importance: Of each output channel, shape (groups, outputs).
    """

    classes: NDArray[np.int64]
    ranges: Floats
    powers: Floats
    energy: Floats
    largest: Floats
    importance: Floats

    def log_noise(self, logs: Floats) -> tuple[float, Floats]:
        """Compute the logarithm of the noise and its gradient, shape (groups, inputs).

        Args:
            logs: Logarithm of the factor of each input channel, shape (groups, inputs).
        """
        activations, steepest = self._activation_noise(logs)
        weights, steeper = self._weight_noise(logs)
        noise = activations + weights
        return float(np.log(noise)), (steepest + steeper) / noise

    def _activation_noise(self, logs: Floats) -> tuple[float, Floats]:
        threshold, share = _soft_maximum((np.log(self.ranges) + logs).reshape(1, -1))
        step = _STEP_NOISE * float(np.exp(2 * threshold[0]))
        passed = self.energy * np.exp(-2 * logs)
        noise = step * float(passed.sum())
        return noise, 2 * noise * share.reshape(logs.shape) - 2 * step * passed

    def _weight_noise(self, logs: Floats) -> tuple[float, Floats]:
        largest, share = _soft_maximum(self.largest - logs[:, None, :])
        steps = _STEP_NOISE * self.importance * np.exp(2 * largest)
        powers = self.powers * np.exp(2 * logs)
        step, power = steps.sum(axis=1, keepdims=True), powers.sum(axis=1, keepdims=True)
        gradient = 2 * step * powers - 2 * power * np.einsum("go,goi->gi", steps, share)
        return float((step * power).sum()), gradient


def layer_noises(
    network: Network,
    graph: ChannelGraph,
    ranges: Mapping[str, ChannelRanges],
    kept_fp32: Container[str] = (),
) -> Sequence[LayerNoise]:
    """Describe the layers that int8 adds noise to.

    Args:
        network: The fp32 network.
        graph: Its channels.
        ranges: Of the blobs that int8 layers read and make; layers without are left out, and so
            are those that read only zeros.
        kept_fp32: Layers that stay in fp32.
    """
    blobs = Graph(network.param)
    found = []
    for layer in int8_layers(network):
        if layer.name in kept_fp32:
            continue
        bottom = blobs.resolve_split(layer.bottoms[0])
        read, made = ranges.get(bottom), ranges.get(layer.tops[0])
        if read is not None and made is not None and read.typical.max() > 0:
            weights = np.asarray(network.weights[layer.name]["weight"], np.float64)
            found.append(_noise(layer, weights, graph.channels(bottom), read, made))
    return found


def _noise(
    layer: Layer,
    weights: Floats,
    classes: NDArray[np.int64],
    read: ChannelRanges,
    made: ChannelRanges,
) -> LayerNoise:
    groups = layer.int_param(7, 1) if layer.type == "ConvolutionDepthWise" else 1
    outputs = layer.int_param(0, 0)
    # The kernel is innermost; an InnerProduct of an image has a kernel as large as the image.
    weights = weights.reshape(groups, outputs // groups, len(classes) // groups, -1)
    energy = np.square(weights).sum(axis=3)
    importance = (1 / (made.power + _LEAST_POWER * made.power.mean() + 1e-30)).reshape(groups, -1)
    shape = groups, -1
    return LayerNoise(
        classes.reshape(shape),
        read.divisible.reshape(shape),
        read.power.reshape(shape) * weights.shape[3],
        np.einsum("go,goi->gi", importance, energy) + 1e-30,
        np.log(np.abs(weights).max(axis=3) + 1e-12),
        importance,
    )


def _soft_maximum(logs: Floats) -> tuple[Floats, Floats]:
    """The logarithm of the norm along the last axis, and its gradient."""
    largest = logs.max(axis=-1, keepdims=True)
    powers = np.exp(_NORM * (logs - largest))
    total = powers.sum(axis=-1, keepdims=True)
    return (largest + np.log(total) / _NORM)[..., 0], powers / total
