"""What `best` works on, of a small network."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from quantkit.model.network import Network
from quantkit.tuning.recipe import Material
from tests.nets import INPUT, OUTPUT


def parted(network: Network, crops: Sequence[NDArray[np.float32]]) -> Material:
    """Part twelve crops into those that choose, that judge and that are learned from."""
    return Material(
        network=network,
        input=INPUT,
        outputs=(OUTPUT,),
        crops=lambda: iter(crops),
        total=len(crops),
        search=crops[:4],
        held_out=crops[4:8],
        learned=crops[8:],
    )
