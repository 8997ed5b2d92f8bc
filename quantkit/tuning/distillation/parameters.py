"""All that is learned of a network, as tensors, and how it is written down."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from quantkit.calibration.table import CalibrationTable
from quantkit.calibration.table_lines import printed
from quantkit.calibration.winograd_bound import MOST_EXACT, largest_sums, may_run_winograd
from quantkit.model.eligibility import is_depthwise
from quantkit.model.graph import Graph
from quantkit.model.network import Network
from quantkit.model.nonnegative import nonnegative_blobs
from quantkit.model.param import Layer
from quantkit.model.weights import FP32_TAG, LayerWeights, Record
from quantkit.quantization.requantize import fusible
from quantkit.tuning.distillation.convolutions import CONVOLUTIONS, groups
from quantkit.tuning.distillation.fake_quantization import LEVELS, rounded
from quantkit.tuning.distillation.layer_call import Tensor
from quantkit.tuning.distillation.layer_parameters import (
    LayerParameters,
    layer_parameters,
    nearest_integers,
)
from quantkit.tuning.distillation.torch_network import Reader, WeightSource
from quantkit.tuning.equalization.channel_graph import ChannelGraph
from quantkit.tuning.equalization.fold import folded

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Parameters:
    """All that is learned of a network.

    Channels may be scaled, as in equalization: a class of channels has one factor. While it is
    learned, blobs stay as they are, and what is scaled is what their readers round to.

    Attributes:
        torch: The module.
        network: Where it began.
        table: Where it began.
        layers: By name, the layers with weights to be learned.
        constants: Weights of other layers.
        fixed: Layers whose threshold stays: they read the network's own input, and a few crops do
            not tell which images there are.
        channels: Which channels are scaled together.
        log_factors: Logarithm of the factor of each class.
        free: Of each class, 1 where its factor may be learned, else 0.
    """

    torch: Any
    network: Network
    table: CalibrationTable
    layers: Mapping[str, LayerParameters]
    constants: Mapping[str, Mapping[str, Tensor]]
    fixed: frozenset[str]
    channels: ChannelGraph | None
    log_factors: Tensor
    free: Tensor

    @classmethod
    def of(
        cls,
        torch: Any,
        network: Network,
        table: CalibrationTable,
        channels: ChannelGraph | None = None,
    ) -> Self:
        """Begin where a table's int8 network is; without `channels` none is to be scaled."""
        thresholds = _thresholds(torch, network, table)
        layers = {
            layer.name: layer_parameters(torch, network, layer, table, thresholds, channels)
            for layer in network.param.layers
            if layer.type in CONVOLUTIONS and layer.name in network.weights
        }
        constants = {
            name: {role: torch.from_numpy(values.copy()) for role, values in weights.items()}
            for name, weights in network.weights.items()
            if name not in layers
        }
        free = _free(network, channels)
        return cls(
            torch=torch,
            network=network,
            table=table,
            layers=layers,
            constants=constants,
            fixed=_readers_of_the_input(network, table),
            channels=channels,
            log_factors=torch.zeros(len(free)),
            free=torch.from_numpy(free),
        )

    @property
    def factors(self) -> Tensor:
        """The factor of each class."""
        return (self.log_factors * self.free).exp()

    def bound(self) -> tuple[WeightSource, Reader]:
        """Give what computes one batch: the weights of a layer, and how it reads its input."""
        factors = self.factors

        def weights(layer: Layer) -> Mapping[str, Tensor]:
            if layer.name in self.layers:
                return self.layers[layer.name].weights(self.torch, factors)
            return self.constants.get(layer.name, {})

        def read(layer: Layer, bottom: Tensor) -> Tensor:
            if layer.name in self.layers:
                return self.layers[layer.name].read(self.torch, bottom, factors)
            return bottom

        return weights, read

    def snapped(self) -> tuple[Network, CalibrationTable]:
        """Write an fp32 network and a table, of which `quantize` makes what was learned."""
        with self.torch.no_grad():
            factors = self.factors
            written = {name: self._written(one, factors) for name, one in self.layers.items()}
        network = self.network.replaced({}, {name: one for name, (one, _) in written.items()})
        scales = {name: found for name, (_, found) in written.items() if found is not None}
        if self.channels is not None:
            plain = factors.numpy().astype(np.float64)
            network = folded(network, self.channels, plain)
            scales = {
                name: found / plain[self.channels.channels(self._top(name))][: len(found)]
                for name, found in scales.items()
            }
        return network, self._table(scales)

    def _top(self, name: str) -> str:
        return self.network.param.layer(name).tops[0]

    def _table(self, weight_scales: Mapping[str, NDArray[np.float64]]) -> CalibrationTable:
        activation_scales = dict(self.table.activation_scales)
        for name in weight_scales:
            threshold = self.layers[name].log_threshold
            if name not in self.fixed and threshold is not None:
                activation_scales[name] = printed(LEVELS / float(threshold.detach().exp()))
        printable = {
            name: tuple(map(printed, found.tolist())) for name, found in weight_scales.items()
        }
        return replace(
            self.table,
            weight_scales={**self.table.weight_scales, **printable},
            activation_scales=activation_scales,
            source=None,
        )

    def _written(
        self, one: LayerParameters, factors: Tensor
    ) -> tuple[LayerWeights, NDArray[np.float64] | None]:
        """Write a layer's weights, before factors are folded in, and the scales of its rows."""
        before = self.network.weights[one.layer.name]
        weights = dict(one.weights(self.torch, factors))
        scales = None
        if one.log_threshold is not None:
            units, row_scales = one.units(factors)
            fitting = self._exact_share(one, units)
            integers = rounded(self.torch, (units * fitting).clamp(-one.levels, one.levels))
            row_scales = row_scales * fitting
            weights["weight"] = one.unfactored(integers / row_scales, factors)
            scales = row_scales.flatten().numpy().astype(np.float64)
        records = {
            role: Record(weights[role].reshape(-1).numpy(), None if role == "bias" else FP32_TAG)
            for role in before.records
        }
        return LayerWeights(records), scales

    def _exact_share(self, one: LayerParameters, units: Tensor) -> Tensor:
        """Say how far each row must shrink to keep its sums within what Winograd F43 gets right."""
        shrink = self.torch.ones_like(one.levels)
        if not may_run_winograd(one.layer):
            return shrink
        positive = one.layer.bottoms[0] in nonnegative_blobs(self.network.param)
        start = nearest_integers(self.network, one.layer, self.table)
        allowed = np.maximum(largest_sums(start, nonnegative=positive), MOST_EXACT)
        while True:
            limited = (units * shrink).clamp(-one.levels, one.levels)
            integers = rounded(self.torch, limited).numpy().astype(np.int8)
            beyond = largest_sums(integers, nonnegative=positive) > allowed
            if not beyond.any():
                return shrink
            shrink = shrink * self.torch.from_numpy(np.where(beyond, 0.995, 1.0)[:, None]).float()


def _readers_of_the_input(network: Network, table: CalibrationTable) -> frozenset[str]:
    graph = Graph(network.param)
    inputs = {x.tops[0] for x in network.param.layers if x.type == "Input"}
    bottoms = {name: network.param.layer(name).bottoms[0] for name in table.layers}
    return frozenset(name for name, blob in bottoms.items() if graph.resolve_split(blob) in inputs)


def _free(network: Network, channels: ChannelGraph | None) -> Floats:
    """Tell which classes may be scaled: not those a group makes, whose outputs share a scale."""
    if channels is None:
        return np.zeros(1, np.float32)
    free = np.array([reason is None for reason in channels.frozen], np.float32)
    for layer in network.param.layers:
        if groups(layer) > 1 and not is_depthwise(layer):
            free[channels.labels[layer.tops[0]]] = 0
    return free


def _thresholds(torch: Any, network: Network, table: CalibrationTable) -> dict[str, Tensor]:
    def leaf(name: str) -> Tensor:
        return torch.tensor(LEVELS / table.activation_scales[name]).log()

    found = {name: leaf(name) for name in table.layers}
    for readers in fusible(Graph(network.param), set(table.layers)).values():
        if len({table.activation_scales[name] for name in readers}) == 1:
            found |= dict.fromkeys(readers, found[readers[0]])
    return found
