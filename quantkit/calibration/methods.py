"""The registry of threshold methods."""

from collections.abc import Callable, Mapping
from typing import Final, Literal

from quantkit.calibration import kl, minmax
from quantkit.calibration.blob_statistics import BlobStatistics
from quantkit.errors import InputError

MethodName = Literal["minmax", "kl"]
Method = Callable[[BlobStatistics], float]

METHODS: Final[Mapping[MethodName, Method]] = {"minmax": minmax.threshold, "kl": kl.threshold}
"""Method by name: from the statistics of a blob, not all zero, to the value that becomes 127."""


def method_named(name: str) -> Method:
    """Find a method.

    Raises:
        InputError: There is none of that name.

    Example:
        >>> method_named("entropy")
        Traceback (most recent call last):
        quantkit.errors.InputError: there is no calibration method 'entropy'; there are minmax, kl
    """
    methods = {str(key): value for key, value in METHODS.items()}
    if name not in methods:
        message = f"there is no calibration method '{name}'; there are {', '.join(METHODS)}"
        raise InputError(message)
    return methods[name]
