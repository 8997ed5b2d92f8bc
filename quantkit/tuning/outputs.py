"""What a network gives on some crops."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from quantkit.backends.ncnn_net import NcnnNet
from quantkit.model.network import Network
from quantkit.tuning.sqnr import Outputs


def outputs_on(
    network: Network,
    input: str,
    outputs: Sequence[str],
    crops: Sequence[NDArray[np.float32]],
    threads: int = 2,
) -> list[Outputs]:
    """Run a network on crops, in parallel.

    Args:
        network: In fp32 or in int8.
        input: Its input blob.
        outputs: Its outputs.
        crops: Inputs of shape (3, height, width).
        threads: How many crops are run at a time.

    Raises:
        InputError: ncnn refuses the network or a crop, or a blob is not in it.
    """
    with NcnnNet.of(network, input, outputs) as net, ThreadPoolExecutor(threads) as pool:
        return list(pool.map(net.run, crops))
