"""What two calibration tables have different."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from quantkit.calibration.table import CalibrationTable

Kind = Literal["activation", "weight"]


@dataclass(frozen=True)
class ScaleChange:
    """A scale that differs; of the weight scales of a layer, the one that differs most.

    Attributes:
        layer: Name of the layer.
        kind: Whether it is the activation's or the weights' scale.
        first: The scale in the first table.
        second: The scale in the second table.
        channels: How many scales of the layer differ.
        of: How many there are.
    """

    layer: str
    kind: Kind
    first: float
    second: float
    channels: int
    of: int

    @property
    def ratio(self) -> float | None:
        """The second scale divided by the first; None where that is zero."""
        return self.second / self.first if self.first else None

    @property
    def size(self) -> float:
        """How many times one of the two is as large as the other, at least 1."""
        return _size(self.first, self.second)


@dataclass(frozen=True)
class TableDiff:
    """The differences of two tables.

    Attributes:
        only_first: Layers that only the first table makes int8.
        only_second: Layers that only the second one does.
        other_counts: Layers with another number of weight scales.
        changes: Scales that differ, the largest change first.
        same: How many layers are the same in both.
    """

    only_first: tuple[str, ...]
    only_second: tuple[str, ...]
    other_counts: tuple[str, ...]
    changes: tuple[ScaleChange, ...]
    same: int


def diff_tables(first: CalibrationTable, second: CalibrationTable) -> TableDiff:
    """Compare two tables layer by layer.

    Example:
        >>> a = CalibrationTable({"c": (2.0, 4.0)}, {"c": 1.0})
        >>> b = CalibrationTable({"c": (2.0, 2.0)}, {"c": 1.0})
        >>> [(x.layer, x.kind, x.ratio) for x in diff_tables(a, b).changes]
        [('c', 'weight', 0.5)]
    """
    shared = [name for name in first.layers if name in second.layers]
    counts = [
        name for name in shared if len(first.weight_scales[name]) != len(second.weight_scales[name])
    ]
    changes = [x for name in shared if name not in counts for x in _changes(name, first, second)]
    changes.sort(key=lambda change: -change.size)
    differing = {change.layer for change in changes}
    return TableDiff(
        only_first=tuple(name for name in first.layers if name not in second.layers),
        only_second=tuple(name for name in second.layers if name not in first.layers),
        other_counts=tuple(counts),
        changes=tuple(changes),
        same=len(shared) - len(counts) - len(differing),
    )


def _changes(name: str, first: CalibrationTable, second: CalibrationTable) -> Iterator[ScaleChange]:
    a, b = first.activation_scales[name], second.activation_scales[name]
    if a != b:
        yield ScaleChange(name, "activation", a, b, 1, 1)
    pairs = list(zip(first.weight_scales[name], second.weight_scales[name], strict=True))
    differing = [pair for pair in pairs if pair[0] != pair[1]]
    if differing:
        x, y = max(differing, key=lambda pair: _size(*pair))
        yield ScaleChange(name, "weight", x, y, len(differing), len(pairs))


def _size(first: float, second: float) -> float:
    # A channel without weights may have the scale 0 in one table and 1 in the other.
    least, most = sorted((first, second))
    return most / least if least else math.inf
