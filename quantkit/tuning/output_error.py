"""How far a network's outputs are from those of the fp32 network, crop by crop."""

from collections.abc import Sequence

import numpy as np

from quantkit.errors import InputError
from quantkit.tuning.sqnr import Outputs


class OutputError:
    """Squared error of the outputs, each output in shares of its energy over all crops.

    So a small output counts as much as a large one (the two vectors of SimCC). The sum over the
    crops of one network's errors is its noise to signal ratio, the mean over the outputs. An output
    that is zero on all crops has no ratio and does not count.

    Args:
        reference: The fp32 outputs of each crop.

    Raises:
        InputError: There is no crop, all outputs are zero, or one is not finite.

    Example:
        >>> reference = [(np.ones(4, np.float32),), (np.ones(4, np.float32),)]
        >>> OutputError(reference).of(0, (np.zeros(4, np.float32),))
        0.5
    """

    def __init__(self, reference: Sequence[Outputs]) -> None:
        self._reference = reference
        energies = [
            sum(float(np.square(one, dtype=np.float64).sum()) for one in output)
            for output in zip(*reference, strict=True)
        ]
        counted = sum(energy > 0 for energy in energies)
        if not counted or not np.isfinite(energies).all():
            message = "the fp32 outputs are zero or not finite on the crops; nothing to compare"
            raise InputError(message)
        self._weights = [1 / (energy * counted) if energy else 0.0 for energy in energies]

    def __len__(self) -> int:
        return len(self._reference)

    def of(self, crop: int, got: Outputs) -> float:
        """Measure one crop's outputs; infinity where they are not finite."""
        error = 0.0
        for weight, r, q in zip(self._weights, self._reference[crop], got, strict=True):
            error += weight * float(np.square(r.astype(np.float64) - q).sum())
        return error if np.isfinite(error) else np.inf

    def all(self, got: Sequence[Outputs]) -> list[float]:
        """Measure the outputs of every crop."""
        return [self.of(crop, one) for crop, one in enumerate(got)]


def decibels(error: float) -> float:
    """Turn a noise to signal ratio into an SQNR.

    Example:
        >>> decibels(0.01)
        20.0
    """
    with np.errstate(divide="ignore"):
        return float(-10 * np.log10(error))
