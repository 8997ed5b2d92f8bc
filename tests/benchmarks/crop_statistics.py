"""Statistics of each crop by itself, so that those of any set are a sum and take no forward."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantkit.backends.ncnn_net import NcnnNet
from quantkit.backends.ncnn_views import BlobReader, BlobView
from quantkit.calibration.blob_accumulator import sampling_phase, sampling_stride
from quantkit.calibration.blob_statistics import BlobStatistics
from quantkit.calibration.growing_histogram import GrowingHistogram
from quantkit.calibration.layer_inputs import LayerInputs
from quantkit.calibration.statistics import ActivationStatistics
from quantkit.model.network import Network

SAMPLES = 1 << 13
"""About how many values of a blob and crop are counted, whatever the size of the set."""


@dataclass(frozen=True)
class CropStatistics:
    """Of one blob, a row a crop."""

    shape: tuple[int, ...]
    ends: NDArray[np.float64]
    counts: NDArray[np.uint16]
    zeros: NDArray[np.int64]
    sampled: NDArray[np.int64]

    def of(self, chosen: Sequence[int]) -> BlobStatistics:
        """Sum up the crops of a set."""
        total = GrowingHistogram()
        for index in chosen:
            one = GrowingHistogram()
            one.counts = self.counts[index].astype(np.int64)
            one._exponent = int(np.log2(self.ends[index, 2]))
            total.merge(one)
        low, high = self.ends[list(chosen), 0].min(), self.ends[list(chosen), 1].max()
        absmax = float(max(-low, high))
        share = self.zeros[list(chosen)].sum() / self.sampled[list(chosen)].sum()
        count = len(chosen) * int(np.prod(self.shape))
        return BlobStatistics(
            absmax=absmax,
            histogram=total.resampled(absmax),
            count=count,
            zeros=round(count * share),
            minimum=float(low),
            maximum=float(high),
            shape=self.shape,
        )


class CropsStatistics:
    """The input blobs of all layers, on crops that are run once."""

    def __init__(
        self,
        network: Network,
        input: str,
        layers: Sequence[str],
        tensors: Sequence[NDArray[np.float32]],
    ) -> None:
        self._inputs = LayerInputs.of(network, layers)
        rows: dict[str, list[Any]] = {blob: [] for blob in self._inputs.blobs}
        shapes: dict[str, tuple[int, ...]] = {}
        with NcnnNet.of(network, input) as net:
            reader = BlobReader(net, self._inputs.blobs)
            for tensor in tensors:
                phase = sampling_phase(tensor)

                def visit(name: str, blob: BlobView, phase: int = phase) -> None:
                    values = blob.values
                    stride = sampling_stride(values.size, SAMPLES)
                    sample = values[phase % stride :: stride]
                    histogram = GrowingHistogram()
                    histogram.add(sample)
                    low, high = float(values.min()), float(values.max())
                    counts = histogram.counts.astype(np.uint16)
                    zeros = sample.size - int(np.count_nonzero(sample))
                    shapes[name] = blob.layout.shape
                    rows[name].append((counts, (low, high, histogram.end), zeros, sample.size))

                reader.read(tensor, visit)
        self._blobs = {
            name: CropStatistics(
                shapes[name],
                np.array([one[1] for one in found]),
                np.array([one[0] for one in found]),
                np.array([one[2] for one in found]),
                np.array([one[3] for one in found]),
            )
            for name, found in rows.items()
        }

    def of(self, chosen: Sequence[int]) -> ActivationStatistics:
        """Sum up the crops of a set, by layer."""
        found = {blob: one.of(chosen) for blob, one in self._blobs.items()}
        return {name: found[blob] for name, blob in self._inputs.sources.items()}
