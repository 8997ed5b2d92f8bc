"""Statistics of the input blob of every layer, from two passes over the calibration crops.

The first pass finds the ranges, the second counts the histograms, as ncnn2table does; but one
forward of a crop serves all layers, and a blob that several layers read is counted once.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from quantkit.backends.ncnn_net import NcnnNet
from quantkit.calibration.blob_statistics import BINS, BlobStatistics, bin_counts
from quantkit.calibration.forward_pool import in_order
from quantkit.calibration.layer_inputs import LayerInputs, no_crops
from quantkit.model.network import Network
from quantkit.progress import Progress, silent

Array = NDArray[np.float32]
ActivationStatistics = Mapping[str, BlobStatistics]
"""Statistics of a layer's input blob, by layer name; layers that share a blob share the object."""
T = TypeVar("T")


def collect(
    network: Network,
    input: str,
    crops: Callable[[], Iterable[Array]],
    layers: Sequence[str],
    progress: Progress = silent,
    threads: int = 2,
    *,
    total: int = 0,
    describe: Callable[[int], str] = "crop {}".format,
) -> ActivationStatistics:
    """Collect the statistics of the layers' input blobs.

    Memory does not grow with the number of crops: one forward a thread is held at a time. The
    result does not depend on `threads`.

    Args:
        network: The fp32 network.
        input: Its input blob.
        crops: Called once a pass for the same stream of inputs of shape (channels, height, width).
        layers: Names of the layers.
        progress: Called after every crop, stages "ranges" and "histograms".
        threads: How many crops are run at a time, on one copy of the network.
        total: How many crops there will be, for `progress`; 0 where that is not known.
        describe: Names a crop, counted from 0, in errors.

    Raises:
        InputError: There are no crops, a crop has a wrong shape, or an activation is NaN or
            infinite; blob, layer and crop are named.
    """
    inputs = LayerInputs.of(network, layers)
    with NcnnNet.of(network, input) as net:
        run = _Passes(net, inputs, crops, threads, progress, total)
        ranges = run.ranges(describe)
        histograms = run.histograms(ranges)
    statistics = {blob: _statistics(ranges[blob], histograms[blob]) for blob in inputs.blobs}
    return {name: statistics[blob] for name, blob in inputs.sources.items()}


@dataclass(frozen=True)
class _Range:
    minimum: float
    maximum: float
    count: int
    zeros: int
    shape: tuple[int, ...]

    @property
    def absmax(self) -> float:
        return max(abs(self.minimum), abs(self.maximum))

    def joined(self, other: "_Range") -> "_Range":
        return replace(
            self,
            minimum=min(self.minimum, other.minimum),
            maximum=max(self.maximum, other.maximum),
            count=self.count + other.count,
            zeros=self.zeros + other.zeros,
        )


@dataclass(frozen=True)
class _Passes:
    """The two passes over the crops."""

    net: NcnnNet
    inputs: LayerInputs
    crops: Callable[[], Iterable[Array]]
    threads: int
    progress: Progress
    total: int

    def ranges(self, describe: Callable[[int], str]) -> dict[str, _Range]:
        merged: dict[str, _Range] = {}
        for index, found in enumerate(self._each("ranges", lambda blob, values: _range(values))):
            for blob, one in found.items():
                if not np.isfinite(one.absmax):
                    raise self.inputs.not_finite(blob, describe(index))
                merged[blob] = merged[blob].joined(one) if blob in merged else one
        if not merged and self.inputs.blobs:
            raise no_crops()
        return merged

    def histograms(self, ranges: Mapping[str, _Range]) -> dict[str, NDArray[np.int64]]:
        totals = {blob: np.zeros(BINS, np.int64) for blob in self.inputs.blobs}

        def count(blob: str, values: Array) -> NDArray[np.int64] | None:
            absmax = ranges[blob].absmax
            return bin_counts(values, absmax) if absmax > 0 else None

        for counts in self._each("histograms", count):
            for blob, one in counts.items():
                if one is not None:
                    totals[blob] += one
        return totals

    def _each(self, stage: str, work: Callable[[str, Array], T]) -> Iterator[dict[str, T]]:
        def one(crop: Array) -> dict[str, T]:
            values = self.net.run_blobs(crop, self.inputs.blobs)
            return {blob: work(blob, values.pop(blob)) for blob in self.inputs.blobs}

        for done, result in enumerate(in_order(one, self.crops(), self.threads), start=1):
            yield result
            self.progress(stage, done, max(done, self.total))


def _range(values: Array) -> _Range:
    zeros = values.size - int(np.count_nonzero(values != 0))
    return _Range(float(values.min()), float(values.max()), values.size, zeros, values.shape)


def _statistics(found: _Range, histogram: NDArray[np.int64]) -> BlobStatistics:
    if found.absmax > 0:
        histogram[0] -= found.zeros
    return BlobStatistics(
        absmax=found.absmax,
        histogram=histogram,
        count=found.count,
        zeros=found.zeros,
        minimum=found.minimum,
        maximum=found.maximum,
        shape=found.shape,
    )
