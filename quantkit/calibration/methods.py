"""The registry of threshold methods."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final, Literal

from quantkit.calibration import aciq, kl, minmax, mse, percentile
from quantkit.calibration.blob_statistics import BlobStatistics
from quantkit.errors import InputError

MethodName = Literal["minmax", "kl", "aciq", "percentile", "percentile-99.9", "mse"]
Method = Callable[[BlobStatistics], float]

METHODS: Final[Mapping[MethodName, Method]] = {
    "minmax": minmax.threshold,
    "kl": kl.threshold,
    "aciq": aciq.threshold,
    "percentile": percentile.threshold,
    "percentile-99.9": partial(percentile.threshold, percent=99.9),
    "mse": mse.threshold,
}
"""Method by name: from the statistics of a blob, not all zero, to the value that becomes 127."""


def method_named(name: str) -> Method:
    """Find a method.

    Raises:
        InputError: There is none of that name.

    Example:
        >>> method_named("entropy")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        quantkit.errors.InputError: there is no calibration method 'entropy'; there are minmax, ...
    """
    for known, method in METHODS.items():
        if known == name:
            return method
    message = f"there is no calibration method '{name}'; there are {', '.join(METHODS)}"
    raise InputError(message)
