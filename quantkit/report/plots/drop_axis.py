"""The axis of an AP drop, on which 0.004 is always something that can be seen."""

from collections.abc import Iterable
from typing import Final, Literal, NamedTuple

from quantkit.report.plots.figure import Axes

SMALL: Final = 0.004
"""What all-int8 costs hourglass52 on COCO: the drop that has to be visible."""
_LEAST: Final = 0.005
_WIDEST_LINEAR: Final = 0.12
_LINEAR: Final = 0.01
_TICKS: Final = (0.01, 0.1, 1.0)


class DropRange(NamedTuple):
    """What an axis shows.

    Attributes:
        low: Its lower end.
        high: Its upper end.
        scale: `symlog` is linear up to 0.01 and logarithmic from there.
    """

    low: float
    high: float
    scale: Literal["linear", "symlog"]

    def share(self, drop: float) -> float:
        """Say which share of a linear axis a drop takes."""
        return drop / (self.high - self.low)


def drop_range(values: Iterable[float]) -> DropRange:
    """Choose an axis for drops and the ends of their intervals.

    Example:
        >>> drop_range([0.004, 0.001, 0.0072])
        DropRange(low=-0.005, high=0.007776, scale='linear')
        >>> drop_range([0.004, 0.6]).scale
        'symlog'
    """
    found = [value for value in values if abs(value) <= 1]
    low, high = min([-_LEAST, *found]), max([_LEAST, *found])
    ends = low * (1.08 if low < -_LEAST else 1), high * (1.08 if high > _LEAST else 1)
    wide = ends[1] - ends[0] > _WIDEST_LINEAR
    return DropRange(*ends, "symlog" if wide else "linear")


def set_drop_axis(axes: Axes, values: Iterable[float], *, axis: Literal["x", "y"] = "x") -> None:
    """Lay out one axis of a picture for drops.

    Args:
        axes: Of matplotlib.
        values: The drops and the ends of their intervals.
        axis: Which of its two axes.
    """
    found = drop_range(values)
    if found.scale == "symlog":
        getattr(axes, f"set_{axis}scale")("symlog", linthresh=_LINEAR, linscale=1.5)
        every = [0.0, SMALL, -SMALL, *(sign * one for one in _TICKS for sign in (1, -1))]
        ticks = sorted(one for one in every if found.low <= one <= found.high)
        getattr(axes, f"set_{axis}ticks")(ticks, [f"{one:g}" for one in ticks])
        getattr(axes, f"set_{axis}ticks")([], minor=True)
    getattr(axes, f"set_{axis}lim")(found.low, found.high)
