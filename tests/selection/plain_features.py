"""What `pooled_features` says of itself, one number after the other in double precision."""

import math
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from quantkit.selection.activations import Activations

_EDGES = [m * 2.0**e for e in range(-12, 12) for m in (1.0, 1.5)] + [4096.0]
_MIDDLES = [0.0, *((low + high) / 2 for low, high in pairwise(_EDGES[1:]))]


def plain_features(activations: Activations) -> NDArray[np.float64]:
    """Describe each candidate, columns in any order."""
    rows = []
    for absmax, record in zip(activations.absmax.tolist(), activations.records, strict=True):
        row = []
        for largest, blob in zip(absmax, activations.counts[record].tolist(), strict=True):
            total = sum(blob)
            square = sum(n * m * m for n, m in zip(blob, _MIDDLES, strict=True)) / total
            mean = sum(n * m for n, m in zip(blob, _MIDDLES, strict=True)) / total
            row += [_log(largest), _log(math.sqrt(square)), _log(mean), 1 - blob[0] / total]
        rows.append(row)
    columns = [np.array(column) for column in zip(*rows, strict=True) if len(set(column)) > 1]
    return np.array([(column - column.mean()) / column.std() for column in columns]).T


def _log(value: float) -> float:
    return math.log2(value) if value else -24.0
