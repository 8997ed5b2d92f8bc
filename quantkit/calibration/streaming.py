"""Statistics of the input blob of every layer, from one forward of each crop.

Ranges and the largest value of each channel are exact. The histogram and the zeros are of a sample
where there are many values, and of all of them where there are few: see `SAMPLED_VALUES`. The
histogram differs from ncnn2table's, which `quantkit.calibration.statistics` reproduces with a pass
for the ranges and a pass for the histograms.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from quantkit.calibration.one_pass import Part, one_pass
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
        crops: Read once; inputs of shape (channels, height, width).
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
    (statistics,) = one_pass(
        network,
        input,
        crops,
        layers,
        [Part(None, samples_of_a_crop(sampled, total))],
        progress,
        threads,
        total=total,
        describe=describe,
        channels=channels,
    )
    return statistics


def sampled_values(method: str) -> int:
    """Say how many values of a blob a method's histogram should count.

    Example:
        >>> sampled_values("kl") == SAMPLED_VALUES, sampled_values("mse") == DENSELY_SAMPLED
        (True, True)
    """
    return DENSELY_SAMPLED if method == "mse" else SAMPLED_VALUES


def samples_of_a_crop(sampled: int, total: int) -> int:
    """Share the values that a histogram counts out to the crops; 0 crops are an unknown number.

    Example:
        >>> samples_of_a_crop(1 << 19, 128), samples_of_a_crop(1 << 19, 100_000)
        (4096, 512)
    """
    return max(sampled // (total or _UNKNOWN_TOTAL), _FEWEST_OF_A_CROP)
