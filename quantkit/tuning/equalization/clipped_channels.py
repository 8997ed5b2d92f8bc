"""How clips (ReLU6 and the like) let channels be scaled: within what was seen of them.

A channel that never reached the bound on the calibration crops may be scaled as long as it does
not reach it then. On other data such a channel is cut at another value than before.
"""

from typing import Final

import numpy as np

from quantkit.tuning.equalization.channel_rule import Site
from quantkit.tuning.equalization.classes import Labels

MOST: Final = float(np.finfo(np.float32).max)
_BEYOND: Final = 1e30
_REACHED: Final = 0.999


def limit(site: Site, labels: Labels, lower: float, upper: float) -> None:
    """Freeze the channels of a clipped blob, or limit their factors where its range is known.

    Args:
        site: The layer that clips.
        labels: One label for each channel of its top.
        lower: Least value that it lets through.
        upper: Largest.
    """
    bound = min((abs(end) for end in (lower, upper) if end != 0), default=0.0)
    if lower <= 0 <= upper and bound > _BEYOND:
        return
    if site.seen is None or not lower <= 0 <= upper:
        site.classes.freeze(labels, "clip")
        return
    reached = site.seen >= _REACHED * bound
    site.classes.freeze(labels[reached], "clip that is reached")
    most = bound / np.maximum(site.seen[~reached], bound * 1e-6)
    site.classes.limit(labels[~reached], most)
