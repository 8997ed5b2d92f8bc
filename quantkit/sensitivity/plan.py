"""How much a ranking measures, and what that costs."""

import re
from dataclasses import dataclass
from typing import Final

from quantkit.errors import InputError

_UNITS: Final = {"s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True)
class Effort:
    """How much is asked for.

    Attributes:
        crops: Crops that every layer is judged by.
        ap_crops: Crops for the OKS and AP of the worst layers; 0 for none.
        ap_layers: How many of the worst layers that is, and how many get advice.
        budget_s: Seconds that all of it may take; crops and layers are cut down to fit.
    """

    crops: int = 8
    ap_crops: int = 64
    ap_layers: int = 16
    budget_s: float | None = None


def budget_seconds(text: str) -> float:
    """Read a time.

    Raises:
        InputError: It is not a number above zero with the unit s, m or h.

    Example:
        >>> budget_seconds("90s"), budget_seconds("1.5m"), budget_seconds("1h")
        (90.0, 90.0, 3600.0)
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", text.strip(), re.ASCII)
    if found is None or float(found[1]) == 0:
        message = f"--budget {text!r} is no time: give one such as 30s, 5m or 1h"
        raise InputError(message)
    return float(found[1]) * _UNITS[found[2]]
