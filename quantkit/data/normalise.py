"""Grey levels become what a network takes; numpy alone, because a worker does it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Normalisation:
    """What is subtracted from each channel, and what it is divided by after that.

    Attributes:
        mean: In grey levels, in the network's channel order.
        std: In grey levels, in the network's channel order.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __call__(self, planes: NDArray[Any]) -> NDArray[np.float32]:
        """Normalise a crop.

        Args:
            planes: Grey levels of 0 to 255, shape (channels, height, width), of any
                type; as many channels as `mean` has.

        Returns:
            A new contiguous array of the same shape.

        Example:
            >>> grey = Normalisation((10.0, 10.0, 10.0), (2.0, 2.0, 4.0))
            >>> grey(np.full((3, 1, 1), 12, np.uint8)).ravel()
            array([1. , 1. , 0.5], dtype=float32)
        """
        normalised = np.empty(planes.shape, np.float32)
        np.subtract(planes, np.array(self.mean, np.float32)[:, None, None], out=normalised)
        normalised /= np.array(self.std, np.float32)[:, None, None]
        return normalised
