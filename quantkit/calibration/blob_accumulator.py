"""What one thread has seen of one blob so far."""

import math
from collections.abc import Sequence
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from quantkit.backends.ncnn_views import BlobLayout, BlobView
from quantkit.calibration.blob_statistics import BINS, BlobStatistics
from quantkit.calibration.growing_histogram import GrowingHistogram

# Values that wait to be counted together: OpenCV's call costs as much as some thousand values.
_WAITING: Final = 1 << 14


class BlobAccumulator:
    """Range of all values of a blob, and the histogram and the zeros of every so many of them.

    Args:
        samples: How many values of a crop are counted in the histogram, about. There may be several
            histograms, of which the first is summed up and dropped before the others.
        nonnegative: Whether the network allows no negative value in this blob: saves a look at all.
        channels: Also keep the largest absolute value of each channel.
    """

    def __init__(
        self,
        samples: Sequence[int],
        *,
        nonnegative: bool = False,
        channels: bool = False,
    ) -> None:
        self._samples = [_Sample(number) for number in samples]
        self._nonnegative = nonnegative
        self._layout: BlobLayout | None = None
        self._shape: tuple[int, ...] = ()
        self._minimum = math.inf
        self._maximum = -math.inf
        self._count = 0
        self._channels: NDArray[np.float32] | None = np.zeros(0, np.float32) if channels else None

    def add(self, blob: BlobView, phase: int) -> bool:
        """Take in the blob of one crop.

        Args:
            blob: As ncnn has it in memory.
            phase: Says with which value sampling begins: any number that depends on the crop.

        Returns:
            Whether all values are finite; if not, nothing more than the range is taken in.
        """
        values = blob.values
        if blob.layout is not self._layout:
            self._layout = blob.layout
            self._shape = blob.layout.shape
            for sample in self._samples:
                sample.fit(values.size)
        sampled = [sample.of(values, phase) for sample in self._samples]
        high = float(np.maximum.reduce(values))
        low = float(np.minimum.reduce(sampled[0] if self._nonnegative else values))
        if self._nonnegative and low > 0:
            low = float(np.minimum.reduce(values))
        if not (low > -math.inf and high < math.inf):
            return False
        self._minimum = min(self._minimum, low)
        self._maximum = max(self._maximum, high)
        self._count += values.size
        for sample, taken in zip(self._samples, sampled, strict=True):
            sample.add(taken)
        if self._channels is not None:
            self._channels = _largest(self._channels, channel_absmax(blob))
        return True

    def merge(self, other: Self) -> None:
        """Move over what another thread has seen of the same blob; later histograms stay there."""
        self._shape = self._shape or other._shape
        self._minimum = min(self._minimum, other._minimum)
        self._maximum = max(self._maximum, other._maximum)
        self._count += other._count
        other._count = 0
        self._samples[0].merge(other._samples[0])
        if self._channels is not None and other._channels is not None:
            self._channels = _largest(self._channels, other._channels)

    def statistics(self) -> BlobStatistics:
        """Sum up what was seen so far, with the first histogram; there was at least one crop."""
        absmax = max(abs(self._minimum), abs(self._maximum))
        histogram = self._samples[0].summed_up()
        counted = absmax > 0
        return BlobStatistics(
            absmax=absmax,
            histogram=histogram.resampled(absmax) if counted else np.zeros(BINS, np.int64),
            count=self._count,
            zeros=round(self._count * histogram.zero_fraction),
            minimum=self._minimum,
            maximum=self._maximum,
            shape=self._shape,
            channel_absmax=None if self._channels is None else self._channels.copy(),
        )

    def drop_first(self) -> None:
        """Forget the first histogram; more crops go to the others alone."""
        del self._samples[0]


class _Sample:
    """A histogram of about so many values of each crop."""

    def __init__(self, samples: int) -> None:
        self._samples = samples
        self._stride = 1
        self._histogram = GrowingHistogram()
        self._waiting = np.empty(_WAITING, np.float32)
        self._filled = 0

    def fit(self, size: int) -> None:
        """Expect blobs of so many values."""
        self._stride = sampling_stride(size, self._samples)

    def of(self, values: NDArray[np.float32], phase: int) -> NDArray[np.float32]:
        return values[phase % self._stride :: self._stride]

    def add(self, values: NDArray[np.float32]) -> None:
        if values.size > _WAITING - self._filled:
            self._flush()
        if values.size > _WAITING // 2:
            for start in range(0, values.size, _WAITING):
                self._histogram.add(values[start : start + _WAITING])
            return
        self._waiting[self._filled : self._filled + values.size] = values
        self._filled += values.size

    def merge(self, other: Self) -> None:
        self._histogram.merge(other.summed_up())

    def summed_up(self) -> GrowingHistogram:
        self._flush()
        return self._histogram

    def _flush(self) -> None:
        self._histogram.add(self._waiting[: self._filled])
        self._filled = 0


def sampling_stride(size: int, samples: int) -> int:
    """Find how far apart sampled values lie: as near as can be, and prime to all axes.

    So every column, row, channel and place in a pack has its share.

    Example:
        >>> sampling_stride(64 * 48 * 16, 4096), sampling_stride(100, 4096)
        (13, 1)
    """
    stride = max(1, -(-size // samples))
    while math.gcd(stride, size) > 1:
        stride += 1
    return stride


def sampling_phase(crop: NDArray[np.float32]) -> int:
    """Say with which value sampling begins: other places of each crop, whatever their order.

    It comes from the crop's own bits.
    """
    bits = np.ascontiguousarray(crop, np.float32).reshape(-1).view(np.uint32)
    return int(bits.sum(dtype=np.uint64)) * 2654435761 >> 16


def channel_absmax(blob: BlobView) -> NDArray[np.float32]:
    """Find the largest absolute value of each channel (of the blob's first axis).

    Returns:
        Shape (channels,).
    """
    largest = np.abs(blob.packed())
    # numpy is slow along a middle axis; halves of it, one upon the other, are not.
    while (rows := largest.shape[1]) > 1:
        half = rows // 2
        folded = np.maximum(largest[:, :half], largest[:, half : 2 * half])
        if rows % 2:
            np.maximum(folded[:, :1], largest[:, -1:], out=folded[:, :1])
        largest = folded
    return largest.reshape(-1)


def _largest(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.maximum(one, other) if one.size and other.size else max(one, other, key=np.size)
