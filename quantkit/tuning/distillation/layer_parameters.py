"""What is learned of one layer: its integers, their scales, its bias and its threshold."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from quantkit.calibration.table import CalibrationTable
from quantkit.calibration.weight_integers import to_int8
from quantkit.calibration.weight_scales import scale_count
from quantkit.calibration.winograd_bound import may_run_winograd
from quantkit.model.network import Network
from quantkit.model.param import Layer
from quantkit.tuning.distillation.convolutions import groups
from quantkit.tuning.distillation.fake_quantization import LEVELS, fake_quantized, rounded
from quantkit.tuning.distillation.layer_call import Tensor
from quantkit.tuning.equalization.channel_graph import ChannelGraph

Floats = NDArray[np.float32]
_WITHIN: Final = 0.499
_ZERO: Final = 1e-12
"""In place of the largest weight of a channel that has none but zeros."""
_SNAPPED: Final = 0.01
"""Weights that are all nearer than this to an integer were rounded before."""


@dataclass(frozen=True)
class LayerParameters:
    """Tensors of one layer with weights to be learned.

    Attributes:
        layer: The layer.
        integers: Weights in units of a level, shape (rows, columns), a row for each scale.
        log_scales: Logarithm of the scales, shape (rows, 1).
        bias: In units of `bias_unit`; None where the layer has none.
        bias_unit: What the bias is counted in, so that one learning rate suits all layers.
        levels: Largest integer of each row, shape (rows, 1).
        log_threshold: Logarithm of the input's threshold; the same tensor for layers that share an
            int8 blob; None for a layer in fp32.
        read_classes: Class of each input channel, or of each element for an inner product; None
            where no factor is learned.
    """

    layer: Layer
    integers: Tensor
    log_scales: Tensor
    bias: Tensor | None
    bias_unit: Tensor
    levels: Tensor
    log_threshold: Tensor | None
    read_classes: Tensor | None

    def weights(self, torch: Any, factors: Tensor) -> Mapping[str, Tensor]:
        """Make the weights that the layer computes with.

        Args:
            torch: The module.
            factors: Of all classes of channels.
        """
        units, scales = self.units(factors)
        if self.log_threshold is not None:
            units = rounded(torch, units.clamp(-self.levels, self.levels))
        found = {"weight": self.unfactored(units / scales, factors).reshape(-1)}
        if self.bias is not None:
            found["bias"] = self.bias * self.bias_unit
        return found

    def units(self, factors: Tensor) -> tuple[Tensor, Tensor]:
        """Give the weights in levels, as they are before rounding, and the scales of the rows.

        Factors leave the largest of a row as large as it is.
        """
        read = self._factors(factors)
        scales = self.log_scales.exp()
        if read is None:
            return self.integers, scales
        units = self._by_input(self.integers, 1 / read)
        before, after = (
            one.detach().abs().amax(1, keepdim=True).clamp(min=_ZERO)
            for one in (self.integers, units)
        )
        fitting = before / after
        return units * fitting, scales * fitting

    def read(self, torch: Any, bottom: Tensor, factors: Tensor) -> Tensor:
        """Quantize the layer's input, if it is one that runs in int8."""
        if self.log_threshold is None:
            return bottom
        threshold, read = self.log_threshold.exp(), self._factors(factors)
        if read is not None:
            whole = self.layer.type == "InnerProduct"
            shape = bottom.shape[1:] if whole else (-1, *(1,) * (bottom.dim() - 2))
            threshold = threshold / read.reshape(shape)
        return fake_quantized(torch, bottom, threshold)

    def unfactored(self, weights: Tensor, factors: Tensor) -> Tensor:
        """Undo what `units` does to the weights of each input channel."""
        return self._by_input(weights, self._factors(factors))

    def _factors(self, factors: Tensor) -> Tensor | None:
        return None if self.read_classes is None else factors[self.read_classes]

    def _by_input(self, weights: Tensor, read: Tensor | None) -> Tensor:
        """Multiply weights by a factor for each input channel."""
        if read is None:
            return weights
        group, outputs = groups(self.layer), self.layer.int_param(0, 0)
        folded = weights.reshape(group, outputs // group, len(read) // group, -1)
        return (folded * read.reshape(group, 1, -1, 1)).reshape(weights.shape)


def layer_parameters(
    torch: Any,
    network: Network,
    layer: Layer,
    table: CalibrationTable,
    thresholds: Mapping[str, Tensor],
    channels: ChannelGraph | None,
) -> LayerParameters:
    """Begin with a layer as a table's int8 network has it.

    Args:
        torch: The module.
        network: The network.
        layer: One of its layers with weights.
        table: Its table; a layer that is not in it stays in fp32.
        thresholds: Logarithm of the threshold of each layer of the table.
        channels: Which channels are scaled together; None where none is.
    """
    values = network.weights[layer.name]["weight"]
    rows = scale_count(layer) if layer.name in thresholds else layer.int_param(0, 0)
    folded = values.reshape(rows, -1).astype(np.float32)
    if layer.name in thresholds:
        scales = np.array(table.weight_scales[layer.name], np.float32)
        integers = _spread(folded * scales[:, None], nearest_integers(network, layer, table))
    else:
        largest = np.abs(folded).max(axis=1)
        scales = np.where(largest > 0, LEVELS / np.where(largest > 0, largest, 1), 1)
        integers = folded * scales[:, None].astype(np.float32)
    levels = np.full(rows, LEVELS)
    if may_run_winograd(layer):
        levels = np.maximum(np.rint(np.abs(integers).max(axis=1)), 1)
    outputs = layer.int_param(0, 0)
    reach = float(thresholds[layer.name].exp()) if layer.name in thresholds else 1.0
    unit = np.repeat(reach * LEVELS / scales, outputs // rows).astype(np.float32)
    bias = network.weights[layer.name].get("bias")
    return LayerParameters(
        layer=layer,
        integers=torch.from_numpy(integers),
        log_scales=torch.from_numpy(np.log(scales).astype(np.float32)[:, None]),
        bias=None if bias is None else torch.from_numpy(bias.astype(np.float32) / unit),
        bias_unit=torch.from_numpy(unit),
        levels=torch.from_numpy(levels.astype(np.float32)[:, None]),
        log_threshold=thresholds.get(layer.name),
        read_classes=_read_classes(torch, network, layer, channels),
    )


def _read_classes(
    torch: Any, network: Network, layer: Layer, channels: ChannelGraph | None
) -> Tensor | None:
    if channels is None:
        return None
    blob = layer.bottoms[0]
    whole = layer.type == "InnerProduct"
    read = channels.labels[blob].reshape(-1) if whole else channels.channels(blob)
    return torch.from_numpy(read.astype(np.int64))


def _spread(scaled: Floats, nearest: NDArray[np.int8]) -> Floats:
    """Lay weights out within the cells of their integers, where they are not yet.

    Weights that all begin in the middle of their cells leave them all in the same step.
    """
    away = np.clip(scaled - nearest, -_WITHIN, _WITHIN)
    if np.abs(away).max() < _SNAPPED:
        away = np.random.default_rng(0).uniform(-_WITHIN, _WITHIN, away.shape)
    return (nearest + away).astype(np.float32)


def nearest_integers(network: Network, layer: Layer, table: CalibrationTable) -> NDArray[np.int8]:
    """Round the weights of a layer with a table's scales, shape (rows, columns)."""
    scales = np.array(table.weight_scales[layer.name], np.float32)
    return to_int8(network.weights[layer.name]["weight"], scales).reshape(len(scales), -1)
