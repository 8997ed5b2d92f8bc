"""One forward of each candidate, of which the ranges and the magnitudes of the blobs are kept."""

from collections.abc import Callable, Iterable, Iterator
from functools import cache
from queue import SimpleQueue
from typing import Final

import numpy as np
from numpy.typing import NDArray

from quantkit.backends.ncnn_net import NcnnNet
from quantkit.backends.ncnn_views import BlobReader, BlobView
from quantkit.calibration.blob_accumulator import sampling_phase, sampling_stride
from quantkit.calibration.forward_pool import in_order
from quantkit.calibration.layer_inputs import LayerInputs
from quantkit.model.network import Network
from quantkit.selection.activation_records import record_dtype
from quantkit.selection.magnitude_bins import magnitude_bins, magnitude_counts

SAMPLED: Final = 1 << 12
"""How many values of a blob are counted at most; the largest value is always known.

They lie equally far apart, prime to all axes: nearly so many are counted of a large blob, and fewer
of one that is hardly larger than this, such as 921 of 4,608.
"""


def observe(
    network: Network,
    input: str,
    inputs: LayerInputs,
    crops: Iterable[NDArray[np.float32]],
    threads: int = 2,
    *,
    describe: Callable[[int], str] = "crop {}".format,
) -> Iterator[NDArray[np.void]]:
    """Run each crop once.

    Args:
        network: The fp32 network.
        input: Its input blob.
        inputs: The blobs to look at.
        crops: Read once; inputs of shape (channels, height, width).
        threads: How many crops are run at a time, on one copy of the network.
        describe: Names a crop, counted from 0, in errors.

    Yields:
        What is kept of a crop, of `record_dtype`, in the order of the crops.

    Raises:
        InputError: A crop has a wrong shape, or an activation is NaN or infinite; blob, layer and
            crop are named.
    """
    with NcnnNet.of(network, input) as net:
        idle: SimpleQueue[BlobReader] = SimpleQueue()
        for _ in range(threads):
            idle.put(BlobReader(net, inputs.blobs))

        def one(item: tuple[int, NDArray[np.float32]]) -> NDArray[np.void]:
            reader = idle.get()
            try:
                return _row(reader, inputs, *item, describe)
            finally:
                idle.put(reader)

        yield from in_order(one, enumerate(crops), threads)


def _row(
    reader: BlobReader,
    inputs: LayerInputs,
    index: int,
    crop: NDArray[np.float32],
    describe: Callable[[int], str],
) -> NDArray[np.void]:
    row = np.zeros((), record_dtype(len(inputs.blobs)))
    absmax, counts = row["absmax"], row["counts"]
    places = {name: place for place, name in enumerate(inputs.blobs)}
    phase = sampling_phase(crop)

    def visit(name: str, blob: BlobView) -> None:
        place, values = places[name], blob.values
        low = 0.0 if name in inputs.nonnegative else float(np.minimum.reduce(values))
        high = float(np.maximum.reduce(values))
        if not (low > -np.inf and high < np.inf):  # neither is NaN nor infinite
            raise inputs.not_finite(name, describe(index))
        absmax[place] = max(-low, high)
        stride = _stride(values.size)
        counts[place] = magnitude_counts(np.ascontiguousarray(values[phase % stride :: stride]))

    reader.read(crop, visit)
    # The sample may have missed the largest value.
    largest = np.arange(len(absmax)), magnitude_bins(absmax)
    counts[largest] = np.maximum(counts[largest], 1)
    return np.asarray(row)


@cache
def _stride(size: int) -> int:
    return sampling_stride(size, SAMPLED)
