"""What is learned of a network: integers, their scales, biases and thresholds, as tensors."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from quantkit.calibration.table import CalibrationTable, printed
from quantkit.calibration.weight_integers import to_int8
from quantkit.calibration.weight_scales import scale_count
from quantkit.calibration.winograd_bound import MOST_EXACT, largest_sums, may_run_winograd
from quantkit.model.graph import Graph
from quantkit.model.network import Network
from quantkit.model.nonnegative import nonnegative_blobs
from quantkit.model.param import Layer
from quantkit.model.weights import FP32_TAG, LayerWeights, Record
from quantkit.quantization.requantize import fusible
from quantkit.tuning.distillation.convolutions import CONVOLUTIONS
from quantkit.tuning.distillation.fake_quantization import LEVELS, fake_quantized, rounded
from quantkit.tuning.distillation.layer_call import Tensor

Floats = NDArray[np.float32]
_WITHIN: Final = 0.499
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
    """

    layer: Layer
    integers: Tensor
    log_scales: Tensor
    bias: Tensor | None
    bias_unit: Tensor
    levels: Tensor
    log_threshold: Tensor | None

    def weights(self, torch: Any) -> Mapping[str, Tensor]:
        """Make the weights that the layer computes with."""
        integers = self.integers
        if self.log_threshold is not None:
            integers = rounded(torch, integers.clamp(-self.levels, self.levels))
        found = {"weight": (integers * (-self.log_scales).exp()).reshape(-1)}
        if self.bias is not None:
            found["bias"] = self.bias * self.bias_unit
        return found

    def read(self, torch: Any, bottom: Tensor) -> Tensor:
        """Quantize the layer's input, if it is one that runs in int8."""
        if self.log_threshold is None:
            return bottom
        return fake_quantized(torch, bottom, self.log_threshold.exp())


@dataclass(frozen=True)
class Parameters:
    """All that is learned of a network.

    Attributes:
        torch: The module.
        network: Where it began.
        table: Where it began.
        layers: By name, the layers with weights to be learned.
        constants: Weights of other layers.
        fixed: Layers whose threshold stays: they read the network's own input, and a few crops do
            not tell which images there are.
    """

    torch: Any
    network: Network
    table: CalibrationTable
    layers: Mapping[str, LayerParameters]
    constants: Mapping[str, Mapping[str, Tensor]]
    fixed: frozenset[str]

    @classmethod
    def of(cls, torch: Any, network: Network, table: CalibrationTable) -> Self:
        """Begin where a table's int8 network is."""
        thresholds = _thresholds(torch, network, table)
        layers = {
            layer.name: _layer_parameters(torch, network, layer, table, thresholds)
            for layer in network.param.layers
            if layer.type in CONVOLUTIONS and layer.name in network.weights
        }
        constants = {
            name: {role: torch.from_numpy(values.copy()) for role, values in weights.items()}
            for name, weights in network.weights.items()
            if name not in layers
        }
        graph = Graph(network.param)
        inputs = {x.tops[0] for x in network.param.layers if x.type == "Input"}
        fixed = frozenset(
            name
            for name in table.layers
            if graph.resolve_split(network.param.layer(name).bottoms[0]) in inputs
        )
        return cls(torch, network, table, layers, constants, fixed)

    def weights(self, layer: Layer) -> Mapping[str, Tensor]:
        """Give the weights of a layer."""
        if layer.name in self.layers:
            return self.layers[layer.name].weights(self.torch)
        return self.constants.get(layer.name, {})

    def read(self, layer: Layer, bottom: Tensor) -> Tensor:
        """Quantize the input of a layer that runs in int8."""
        if layer.name in self.layers:
            return self.layers[layer.name].read(self.torch, bottom)
        return bottom

    def snapped(self) -> tuple[Network, CalibrationTable]:
        """Write an fp32 network and a table, of which `quantize` makes what was learned."""
        positive = nonnegative_blobs(self.network.param)
        weights: dict[str, LayerWeights] = {}
        weight_scales = dict(self.table.weight_scales)
        activation_scales = dict(self.table.activation_scales)
        for name, one in self.layers.items():
            if one.log_threshold is None:
                weights[name] = _in_fp32(one, self.network.weights[name])
                continue
            scales = np.array(
                [printed(x) for x in one.log_scales.detach().exp().flatten().tolist()]
            )
            integers = self._integers(one, nonnegative=one.layer.bottoms[0] in positive)
            weight_scales[name] = tuple(scales.tolist())
            if name not in self.fixed:
                activation_scales[name] = printed(LEVELS / float(one.log_threshold.detach().exp()))
            values = (integers / scales[:, None]).astype(np.float32)
            weights[name] = _written(one, self.network.weights[name], values)
        table = replace(
            self.table,
            weight_scales=weight_scales,
            activation_scales=activation_scales,
            source=None,
        )
        return self.network.replaced({}, weights), table

    def _integers(self, one: LayerParameters, *, nonnegative: bool) -> Any:
        """Round; channels that could overflow in Winograd F43 stay as they were."""
        limited = one.integers.detach().clamp(-one.levels, one.levels)
        integers = rounded(self.torch, limited).numpy().astype(np.int8)
        if not may_run_winograd(one.layer):
            return integers
        before = _nearest(self.network, one.layer, self.table)
        sums, allowed = (largest_sums(x, nonnegative=nonnegative) for x in (integers, before))
        beyond = sums > np.maximum(allowed, MOST_EXACT)
        return np.where(beyond[:, None], before, integers)


def _thresholds(torch: Any, network: Network, table: CalibrationTable) -> dict[str, Tensor]:
    def leaf(name: str) -> Tensor:
        return torch.tensor(LEVELS / table.activation_scales[name]).log()

    found = {name: leaf(name) for name in table.layers}
    for readers in fusible(Graph(network.param), set(table.layers)).values():
        if len({table.activation_scales[name] for name in readers}) == 1:
            found |= dict.fromkeys(readers, found[readers[0]])
    return found


def _layer_parameters(
    torch: Any,
    network: Network,
    layer: Layer,
    table: CalibrationTable,
    thresholds: Mapping[str, Tensor],
) -> LayerParameters:
    values = network.weights[layer.name]["weight"]
    rows = scale_count(layer) if layer.name in thresholds else layer.int_param(0, 0)
    folded = values.reshape(rows, -1).astype(np.float32)
    if layer.name in thresholds:
        scales = np.array(table.weight_scales[layer.name], np.float32)
        integers = _spread(folded * scales[:, None], _nearest(network, layer, table))
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
    )


def _spread(scaled: Floats, nearest: NDArray[np.int8]) -> Floats:
    """Lay weights out within the cells of their integers, where they are not yet.

    Weights that all begin in the middle of their cells leave them all in the same step.
    """
    away = np.clip(scaled - nearest, -_WITHIN, _WITHIN)
    if np.abs(away).max() < _SNAPPED:
        away = np.random.default_rng(0).uniform(-_WITHIN, _WITHIN, away.shape)
    return (nearest + away).astype(np.float32)


def _nearest(network: Network, layer: Layer, table: CalibrationTable) -> Any:
    scales = np.array(table.weight_scales[layer.name], np.float32)
    return to_int8(network.weights[layer.name]["weight"], scales).reshape(len(scales), -1)


def _in_fp32(one: LayerParameters, before: LayerWeights) -> LayerWeights:
    values = (one.integers.detach() * (-one.log_scales.detach()).exp()).numpy()
    return _written(one, before, values)


def _written(one: LayerParameters, before: LayerWeights, values: Any) -> LayerWeights:
    records = {**before.records, "weight": Record(values.reshape(-1), FP32_TAG)}
    if one.bias is not None:
        bias = (one.bias * one.bias_unit).detach().numpy()
        records["bias"] = Record(bias.astype(np.float32), before.records["bias"].tag)
    return LayerWeights(records)
