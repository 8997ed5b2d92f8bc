"""Statistics of the input blob of every layer, from one forward of each crop.

Ranges and the largest value of each channel are exact. The histogram and the zeros are of a sample
where there are many values, and of all of them where there are few: see `SAMPLED_VALUES`. The
histogram differs from ncnn2table's, which `quantkit.calibration.statistics` reproduces with a pass
for the ranges and a pass for the histograms.
"""

from collections.abc import Callable, Iterable, Sequence
from queue import SimpleQueue
from typing import Final

import numpy as np
from numpy.typing import NDArray

from quantkit.backends.ncnn_net import NcnnNet
from quantkit.backends.ncnn_views import BlobReader, BlobView
from quantkit.calibration.blob_accumulator import BlobAccumulator
from quantkit.calibration.forward_pool import in_order
from quantkit.calibration.layer_inputs import LayerInputs, no_crops
from quantkit.calibration.statistics import ActivationStatistics
from quantkit.model.network import Network
from quantkit.progress import Progress, silent

Array = NDArray[np.float32]

SAMPLED_VALUES: Final = 1 << 19
"""About how many values of a blob its histogram counts, over all crops."""
DENSELY_SAMPLED: Final = 1 << 22
"""The same for the method `mse`: rare outliers decide the least squared error."""
_FEWEST_OF_A_CROP: Final = 1 << 9
_UNKNOWN_TOTAL: Final = 256


def collect_streaming(
    network: Network,
    input: str,
    crops: Iterable[Array],
    layers: Sequence[str],
    progress: Progress = silent,
    threads: int = 2,
    *,
    total: int = 0,
    describe: Callable[[int], str] = "crop {}".format,
    channels: bool = False,
    sampled: int = SAMPLED_VALUES,
) -> ActivationStatistics:
    """Collect the statistics of the layers' input blobs, one forward a crop.

    Memory does not grow with the number of crops: blobs are read where ncnn keeps them. The result
    depends on neither `threads` nor the order of the crops.

    Args:
        network: The fp32 network.
        input: Its input blob.
        crops: Read once; inputs of shape (3, height, width).
        layers: Names of the layers.
        progress: Called after every crop, stage "statistics".
        threads: How many crops are run at a time, on one copy of the network.
        total: How many crops there will be, for `progress` and for how densely each is sampled; 0
            where that is not known.
        describe: Names a crop, counted from 0, in errors.
        channels: Also find the largest absolute value of each channel.
        sampled: About how many values of a blob its histogram counts, over `total` crops;
            `DENSELY_SAMPLED` for the method `mse`.

    Raises:
        InputError: There are no crops, a crop has a wrong shape, or an activation is NaN or
            infinite; blob, layer and crop are named.
    """
    inputs = LayerInputs.of(network, layers)
    samples = max(sampled // (total or _UNKNOWN_TOTAL), _FEWEST_OF_A_CROP)
    with NcnnNet.of(network, input) as net:
        workers = [_Worker(net, inputs, samples, describe, channels) for _ in range(threads)]
        idle: SimpleQueue[_Worker] = SimpleQueue()
        for worker in workers:
            idle.put(worker)

        def one(item: tuple[int, Array]) -> None:
            worker = idle.get()
            try:
                worker.run(*item)
            finally:
                idle.put(worker)

        done = 0
        for done, _ in enumerate(in_order(one, enumerate(crops), threads), start=1):
            progress("statistics", done, max(done, total))
    if not done and inputs.blobs:
        raise no_crops()
    return _joined(inputs, workers)


class _Worker:
    """What one thread needs and has gathered."""

    def __init__(
        self,
        net: NcnnNet,
        inputs: LayerInputs,
        samples: int,
        describe: Callable[[int], str],
        channels: bool,
    ) -> None:
        self._reader = BlobReader(net, inputs.blobs)
        self._inputs = inputs
        self._describe = describe
        self.seen = {
            blob: BlobAccumulator(
                samples, nonnegative=blob in inputs.nonnegative, channels=channels
            )
            for blob in inputs.blobs
        }

    def run(self, index: int, crop: Array) -> None:
        phase = _phase(crop)

        def visit(name: str, blob: BlobView) -> None:
            if not self.seen[name].add(blob, phase):
                raise self._inputs.not_finite(name, self._describe(index))

        self._reader.read(crop, visit)


def _joined(inputs: LayerInputs, workers: Sequence[_Worker]) -> ActivationStatistics:
    first, *others = workers
    for other in others:
        for blob, seen in other.seen.items():
            first.seen[blob].merge(seen)
    statistics = {blob: seen.statistics() for blob, seen in first.seen.items()}
    return {name: statistics[blob] for name, blob in inputs.sources.items()}


def _phase(crop: Array) -> int:
    # From the crop's own bits: other places of each crop are sampled, whatever their order.
    bits = np.ascontiguousarray(crop, np.float32).reshape(-1).view(np.uint32)
    return int(bits.sum(dtype=np.uint64)) * 2654435761 >> 16
