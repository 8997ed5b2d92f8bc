"""What a search for thresholds is about, and the parts that its passes share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from quantkit.backends.ncnn_net import NcnnNet
from quantkit.calibration.provenance import package_versions
from quantkit.calibration.statistics import ActivationStatistics
from quantkit.calibration.table import CalibrationTable
from quantkit.calibration.table_lines import printed
from quantkit.journal import Journal
from quantkit.model.graph import Graph
from quantkit.model.network import Network
from quantkit.model.weights import LayerWeights, Record
from quantkit.progress import Progress, silent
from quantkit.quantization.int8 import quantize
from quantkit.quantization.requantize import fusible, never
from quantkit.storage import content_key, sha256_bytes
from quantkit.tuning.output_error import OutputError
from quantkit.tuning.outputs import outputs_on
from quantkit.tuning.sqnr import Outputs
from quantkit.tuning.suffix import Array, Walk, load_alone

SCHEMA = 1
Thresholds = Mapping[str, float]
"""By layer: the absolute value of its input that becomes 127."""


@dataclass(frozen=True)
class Setting:
    """A network, a table to start from, and the crops that judge.

    Attributes:
        network: The fp32 network.
        table: Its weight scales are kept; its layers are those that are searched.
        input: Name of the input blob.
        outputs: Names of the outputs.
        crops: Inputs of shape (channels, height, width) from training data.
        threads: How many crops are run at a time.
        journal: Keeps what is found for each layer, so that a killed search goes on.
        progress: Told after each layer.
    """

    network: Network
    table: CalibrationTable
    input: str
    outputs: tuple[str, ...]
    crops: Sequence[Array]
    threads: int = 2
    journal: Journal | None = None
    progress: Progress = field(default=silent)

    @cached_property
    def key(self) -> str:
        """Name all that the findings depend on, but for the layer and the thresholds."""
        pixels = [sha256_bytes(np.ascontiguousarray(crop).tobytes()) for crop in self.crops]
        parts = [SCHEMA, self.network.sha256, self.table.text(), self.input, list(self.outputs)]
        return content_key([*parts, pixels, package_versions()])

    @cached_property
    def error(self) -> OutputError:
        """What measures the outputs on the crops."""
        return OutputError(self.run(self.network))

    @cached_property
    def int8(self) -> Network:
        """The int8 network of the table, every layer of which hands floats on."""
        return self.quantized(self.table)

    @cached_property
    def groups(self) -> Mapping[str, tuple[str, ...]]:
        """By layer: the layers that must share its threshold, because they share an int8 blob."""
        order = {name: number for number, name in enumerate(self.table.layers)}
        shared: dict[str, tuple[str, ...]] = {}
        for readers in fusible(Graph(self.network.param), order).values():
            names = tuple(sorted(readers, key=order.__getitem__))
            shared |= dict.fromkeys(names, names)
        return {name: shared.get(name, (name,)) for name in self.table.layers}

    def reads_input(self, layer: str) -> bool:
        """Tell whether a layer reads the network's own input, whose range the crops do not tell."""
        blob = self.network.param.layer(layer).bottoms[0]
        return Graph(self.network.param).resolve_split(blob) == self.input

    def quantized(self, table: CalibrationTable) -> Network:
        """Make layers int8 so that the network can be entered at every cut."""
        return quantize(self.network, table, store_fp16=False, requantize=never)

    def walk(self, network: Network) -> Walk:
        """Begin to walk the crops through a form of the network."""
        return Walk(network, self.input, self.outputs, self.crops, self.threads)

    def run(self, network: Network, crops: Sequence[Array] | None = None) -> list[Outputs]:
        """Run whole crops, by default those that judge."""
        crops = self.crops if crops is None else crops
        return outputs_on(network, self.input, self.outputs, crops, self.threads)

    def load(self, layer: str, threshold: float) -> NcnnNet:
        """Load one layer in int8 with a threshold for its input."""
        scale = Record(np.array([activation_scale(threshold)], np.float32))
        records = {**self.int8.weights[layer].records, "bottom_scale": scale}
        changed = self.int8.replaced({}, {layer: LayerWeights(records)})
        return load_alone(changed, layer)

    def recall(self, key: str) -> dict[str, Any] | None:
        """Find what was kept under a key, if a journal is kept."""
        return self.journal.find(key) if self.journal else None

    def keep(self, key: str, value: dict[str, Any]) -> None:
        """Keep a finding in the journal, if there is one."""
        if self.journal:
            self.journal.record(key, value)


def activation_scale(threshold: float) -> float:
    """Turn a threshold into the scale as a table keeps it."""
    return printed(float(np.float32(127) / np.float32(threshold)))


def with_thresholds(table: CalibrationTable, thresholds: Thresholds) -> CalibrationTable:
    """Exchange the activation scales of some layers.

    Raises:
        InputError: A layer is not in the table.

    Example:
        >>> table = CalibrationTable({"conv": (1.0,)}, {"conv": 2.0})
        >>> with_thresholds(table, {"conv": 12.7}).activation_scales
        {'conv': 10.0}
    """
    table.only(list(thresholds))
    scales = {name: activation_scale(value) for name, value in thresholds.items()}
    return replace(table, activation_scales={**table.activation_scales, **scales}, source=None)


def thresholds_of(table: CalibrationTable) -> dict[str, float]:
    """Read the thresholds of a table's layers."""
    return {name: 127 / table.activation_scales[name] for name in table.layers}


def missing(table: CalibrationTable, statistics: ActivationStatistics) -> str | None:
    """Name a layer of the table that has no statistics, if there is one."""
    return next((name for name in table.layers if name not in statistics), None)
