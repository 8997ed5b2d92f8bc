"""One pass over crops, summed up once or several times on the way."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from queue import SimpleQueue

import numpy as np
from numpy.typing import NDArray

from quantkit.backends.ncnn_net import NcnnNet
from quantkit.backends.ncnn_views import BlobReader, BlobView
from quantkit.calibration.blob_accumulator import BlobAccumulator, sampling_phase
from quantkit.calibration.forward_pool import in_order
from quantkit.calibration.layer_inputs import LayerInputs, no_crops
from quantkit.calibration.statistics import ActivationStatistics
from quantkit.errors import InputError
from quantkit.model.network import Network
from quantkit.progress import Progress

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Part:
    """The beginning of the stream of crops, of which statistics are wanted.

    Attributes:
        crops: How many crops it holds; None for all that there are.
        samples: About how many values of a crop its histograms count.
    """

    crops: int | None
    samples: int


def one_pass(
    network: Network,
    input: str,
    crops: Iterable[Array],
    layers: Sequence[str],
    parts: Sequence[Part],
    progress: Progress,
    threads: int,
    *,
    total: int,
    describe: Callable[[int], str],
    channels: bool,
) -> Iterator[ActivationStatistics]:
    """Collect the statistics of each part of the stream, one forward a crop.

    Args:
        network: The fp32 network.
        input: Its input blob.
        crops: Read once; inputs of shape (channels, height, width).
        layers: Names of the layers.
        parts: Each longer than the one before.
        progress: Called after every crop, stage "statistics".
        threads: How many crops are run at a time, on one copy of the network.
        total: How many crops there will be, for `progress`; 0 where that is not known.
        describe: Names a crop, counted from 0, in errors.
        channels: Also find the largest absolute value of each channel.

    Yields:
        The statistics of each part, as soon as its last crop has run.

    Raises:
        InputError: There are fewer crops than a part holds, a crop has a wrong shape, or an
            activation is NaN or infinite; blob, layer and crop are named.
    """
    inputs = LayerInputs.of(network, layers)
    samples = [part.samples for part in parts]
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
        stream = enumerate(crops)
        for part in parts:
            some = islice(stream, None if part.crops is None else part.crops - done)
            for _ in in_order(one, some, threads):
                done += 1
                progress("statistics", done, max(done, total))
            if not done and inputs.blobs:
                raise no_crops()
            if done < (part.crops or 0):
                message = f"statistics of {part.crops} crops are asked for, but there are {done}"
                raise InputError(message)
            yield _joined(inputs, workers)


class _Worker:
    """What one thread needs and has gathered."""

    def __init__(
        self,
        net: NcnnNet,
        inputs: LayerInputs,
        samples: Sequence[int],
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
        phase = sampling_phase(crop)

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
    for worker in workers:
        for seen in worker.seen.values():
            seen.drop_first()
    return {name: statistics[blob] for name, blob in inputs.sources.items()}
