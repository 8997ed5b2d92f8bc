"""A mix: which layers are int8, and for which ones Winograd is switched off."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from quantkit.calibration.table import CalibrationTable
from quantkit.model.feature_mask import without_winograd
from quantkit.model.network import Network
from quantkit.quantization.int8 import quantize
from quantkit.sensitivity.search_costs import LayerCost

MASKED: Final = ", masks"


@dataclass(frozen=True, eq=False)
class Mix:
    """A network in which some layers are int8.

    Attributes:
        name: What a person calls it.
        network: The fp32 network that the table belongs to.
        table: Scales of the layers that are int8; None where none is.
        masks: Layers that run without Winograd.
    """

    name: str
    network: Network
    table: CalibrationTable | None
    masks: frozenset[str] = frozenset()

    @property
    def int8(self) -> tuple[str, ...]:
        """Layers that are int8."""
        return () if self.table is None else self.table.layers

    @property
    def prepared(self) -> Network:
        """The fp32 network, with the masks."""
        layers = {name: without_winograd(self.network.param.layer(name)) for name in self.masks}
        return self.network.replaced(layers, {}) if layers else self.network

    def quantized(self) -> Network:
        """The network that runs; its masks are kept, which ncnn2int8 drops."""
        return quantize(self.prepared, self.scales) if self.int8 else self.prepared

    @property
    def scales(self) -> CalibrationTable:
        """The table as it is written, without the place that it was read from."""
        empty = CalibrationTable({}, {})
        return empty if self.table is None else replace(self.table, source=None)

    def with_masks(self, costs: Mapping[str, LayerCost]) -> "Mix":
        """Switch Winograd off where that is predicted to be faster, in the layer's precision."""
        int8 = set(self.int8)
        masks = (
            name
            for name, cost in costs.items()
            if cost.ms(int8=name in int8, masked=True) < cost.ms(int8=name in int8, masked=False)
        )
        return replace(self, name=self.name + MASKED, masks=frozenset(masks))

    def fp32_macs(self, costs: Mapping[str, LayerCost]) -> float:
        """Share of the multiply-accumulates that is not in int8."""
        return 1 - sum(costs[name].macs_share for name in self.int8)

    def predicted_ms(self, costs: Mapping[str, LayerCost]) -> float:
        """Time of all layers of which there are times."""
        int8 = set(self.int8)
        return sum(
            cost.ms(int8=name in int8, masked=name in self.masks) for name, cost in costs.items()
        )
