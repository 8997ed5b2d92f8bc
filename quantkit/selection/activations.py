"""What the network that is quantized makes of each candidate: the ranges of its blobs."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

# Candidates that are looked at together. Their shares in float32 are 12 MB of a network with 240
# blobs, and with what is made of them 24 MB.
_BLOCK: Final = 256


@dataclass(frozen=True, eq=False)
class Activations:
    """The input blobs of the layers that can be int8, of each candidate.

    The counts may lie on disk, 96 bytes a candidate and blob: whoever needs all of them takes them
    in `blocks`.

    Attributes:
        blobs: Names of the blobs.
        layers: The layers that read each of them.
        absmax: Largest absolute value, shape (n, blobs), float32.
        counts: How many of the values that were sampled lie in each half octave of
            `quantkit.selection.magnitude_bins`, shape (records, blobs, 48), uint16.
        records: Which of the records is that of a candidate, shape (n,).
    """

    blobs: tuple[str, ...]
    layers: tuple[tuple[str, ...], ...]
    absmax: NDArray[np.float32]
    counts: NDArray[np.uint16]
    records: NDArray[np.intp]

    def __len__(self) -> int:
        """Count the candidates."""
        return len(self.absmax)

    def take(self, indices: Sequence[int] | NDArray[np.intp]) -> "Activations":
        """Keep some of the candidates, in the order of `indices`; their counts are not copied."""
        kept = np.asarray(indices, np.intp)
        return replace(self, absmax=self.absmax[kept], records=self.records[kept])

    def blocks(self) -> Iterator[slice]:
        """Part the candidates so that the shares of a block fit into memory."""
        for start in range(0, len(self), _BLOCK):
            yield slice(start, min(start + _BLOCK, len(self)))

    def shares(self, rows: slice) -> NDArray[np.float32]:
        """Give the share of a blob's values in each half octave, shape (rows, blobs, 48)."""
        counts = self.counts[self.records[rows]].astype(np.float32)
        counts /= counts.sum(axis=2, keepdims=True)
        return np.asarray(counts)

    def pool_shares(self) -> NDArray[np.float64]:
        """Give the shares of all candidates together, shape (blobs, 48)."""
        total = np.zeros((len(self.blobs), self.counts.shape[2]))
        for rows in self.blocks():
            total += self.shares(rows).sum(axis=0, dtype=np.float64)
        return total / len(self)
