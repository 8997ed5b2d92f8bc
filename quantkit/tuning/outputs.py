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
    *,
    bf16: bool = False,
) -> list[Outputs]:
    """Run a network on crops, in parallel.

    Args:
        network: In fp32 or in int8.
        input: Its input blob.
        outputs: Its outputs.
        crops: Inputs of shape (channels, height, width).
        threads: How many crops are run at a time.
        bf16: Keep floating-point blobs and weights as bf16.

    Raises:
        InputError: ncnn refuses the network or a crop, or a blob is not in it.
    """
    loaded = NcnnNet.of(network, input, outputs, bf16=bf16)
    with loaded as net, ThreadPoolExecutor(threads) as pool:
        return list(pool.map(net.run, crops))
