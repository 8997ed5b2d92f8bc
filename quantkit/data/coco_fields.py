"""The fields of COCO's entries; what is wrong is a ValueError that names the entry."""

import math
from typing import Any


def bbox(entry: object, place: str) -> tuple[float, float, float, float]:
    """Read x, y, width, height in pixels; the sizes are not negative."""
    value = required(entry, "bbox", place)
    if not isinstance(value, list) or len(value) != 4:
        message = f"{place}: bbox is not four numbers: {value!r}"
        raise ValueError(message)
    x, y, width, height = (finite(number, f"{place}: bbox {value}") for number in value)
    if width < 0 or height < 0:
        message = f"{place}: bbox {value} has a negative size"
        raise ValueError(message)
    return x, y, width, height


def integer(entry: object, key: str, place: str) -> int:
    """Read a whole number."""
    value = required(entry, key, place)
    if type(value) is not int:
        message = f"{place}: {key} {value!r} is not an integer"
        raise ValueError(message)
    return value


def finite(value: object, place: str) -> float:
    """Take a number that is neither NaN nor infinite."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        message = f"{place}: {value!r} is not a finite number"
        raise ValueError(message)
    return value


def required(entry: object, key: str, place: str) -> Any:
    """Read what an entry must hold."""
    if not isinstance(entry, dict) or key not in entry:
        message = f"{place}: '{key}' is missing"
        raise ValueError(message)
    return entry[key]
