"""Statistics of nested calibration sets from one forward of each crop of the largest."""

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from quantkit.calibration.one_pass import Part, one_pass
from quantkit.calibration.statistics import ActivationStatistics
from quantkit.calibration.streaming import SAMPLED_VALUES, samples_of_a_crop
from quantkit.errors import InputError
from quantkit.model.network import Network
from quantkit.progress import Progress, silent


def collect_nested(
    network: Network,
    input: str,
    crops: Iterable[NDArray[np.float32]],
    layers: Sequence[str],
    sizes: Sequence[int],
    progress: Progress = silent,
    threads: int = 2,
    *,
    total: int = 0,
    describe: Callable[[int], str] = "crop {}".format,
    sampled: int = SAMPLED_VALUES,
) -> Iterator[tuple[int, ActivationStatistics]]:
    """Collect the statistics of the first so many crops, for several numbers, in one pass.

    Each is to the byte what `collect_streaming` finds on these crops alone with their number as
    `total`: a crop is sampled for every set that it belongs to, as densely as that set asks for.
    Ranges are looked for once. Sets that are summed up are dropped, so half of the crops of a
    doubling series are sampled once, a quarter twice; the histograms take up to 128 KiB a blob,
    set and thread at the beginning.

    Args:
        network: The fp32 network.
        input: Its input blob.
        crops: Read once, and no further than the largest size; shape (channels, height, width).
        layers: Names of the layers.
        sizes: Numbers of crops, ascending.
        progress: Called after every crop, stage "statistics".
        threads: How many crops are run at a time, on one copy of the network.
        total: How many crops there will be, for `progress`; by default the largest size.
        describe: Names a crop, counted from 0, in errors.
        sampled: About how many values of a blob the histogram of each set counts.

    Yields:
        A size and its statistics, as soon as its last crop has run.

    Raises:
        InputError: The sizes do not ascend, there are fewer crops, a crop has a wrong shape, or an
            activation is NaN or infinite; blob, layer and crop are named.
    """
    check_sizes(sizes)
    found = one_pass(
        network,
        input,
        crops,
        layers,
        [Part(size, samples_of_a_crop(sampled, size)) for size in sizes],
        progress,
        threads,
        total=total or sizes[-1],
        describe=describe,
        channels=False,
    )
    yield from zip(sizes, found, strict=True)


def check_sizes(sizes: Sequence[int]) -> None:
    """Refuse sizes that are not of sets within each other.

    Raises:
        InputError: There are none, or they do not ascend from at least 1.

    Example:
        >>> check_sizes([16, 8])
        Traceback (most recent call last):
        quantkit.errors.InputError: the sizes of nested sets must ascend from at least 1, got 16, 8
    """
    if not sizes or any(one >= two for one, two in zip((0, *sizes), sizes, strict=False)):
        given = ", ".join(map(str, sizes)) or "none"
        message = f"the sizes of nested sets must ascend from at least 1, got {given}"
        raise InputError(message)
