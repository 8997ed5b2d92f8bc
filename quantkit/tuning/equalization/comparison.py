"""Whether equalization helps: int8 with and without it, on crops that neither was made from."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quantkit.backends.ncnn_net import NcnnNet
from quantkit.calibration.calibrate import calibrate
from quantkit.calibration.statistics import collect
from quantkit.model.eligibility import int8_layers
from quantkit.model.network import Network
from quantkit.quantization.int8 import quantize
from quantkit.tuning.sqnr import Outputs, sqnr_db

Crops = Sequence[NDArray[np.float32]]


@dataclass(frozen=True)
class EqualizationGain:
    """SQNR of the outputs against those of the network as it was, in dB.

    Attributes:
        before: Of the network in int8.
        after: Of the equalized network in int8.
        fp32: Of the equalized network itself.
    """

    before: float
    after: float
    fp32: float


def equalization_gain(
    network: Network,
    equalized: Network,
    ends: tuple[str, Sequence[str]],
    calibration: Crops,
    held_out: Crops,
    *,
    method: str = "kl",
    threads: int = 2,
) -> EqualizationGain:
    """Quantize a network and its equalized form by the same method and compare their outputs.

    Args:
        network: The fp32 network.
        equalized: The same, equalized.
        ends: The input blob and the output blobs.
        calibration: Training crops that give the thresholds, for each of the two anew.
        held_out: Other training crops, on which the outputs are compared.
        method: A key of `METHODS`.
        threads: How many crops are run at a time.

    Raises:
        InputError: There are no crops, or there is no such method.
    """
    reference = _run(network, ends, held_out, threads)

    def quality(one: Network) -> float:
        return sqnr_db(reference, _run(one, ends, held_out, threads))

    def int8(one: Network) -> Network:
        names = [layer.name for layer in int8_layers(one)]
        statistics = collect(one, ends[0], lambda: calibration, names, threads=threads)
        return quantize(one, calibrate(one, statistics, method).table)

    return EqualizationGain(quality(int8(network)), quality(int8(equalized)), quality(equalized))


def _run(
    network: Network, ends: tuple[str, Sequence[str]], crops: Crops, threads: int
) -> list[Outputs]:
    param, bin = network.param_text(), network.bin_bytes()
    with (
        NcnnNet(param, bin, input=ends[0], outputs=ends[1]) as net,
        ThreadPoolExecutor(threads) as pool,
    ):
        return list(pool.map(net.run, crops))
