"""The activation scales of a table against the values that its layers read."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from quantkit.calibration.finding import Finding, Severity
from quantkit.calibration.table_lines import Entries

_LEVELS: Final = 127
_WIDE: Final = 8.0
"""Threshold over largest value: `aciq` of a blob of two values takes 3.6, ncnn2table's `eq` 2."""
_EMPTY: Final = 64.0
_TIGHT: Final = 1 / 64
"""Likewise: ncnn2table's `kl` takes 1/16 at least and its `eq` half of that."""
_CUT: Final = 1 / 400
_SAME: Final = 0.25


@dataclass(frozen=True)
class Ranges:
    """Largest absolute value of the layers' inputs.

    Attributes:
        absmax: By layer.
        of: What was looked at: "in kl.json", "in 4 crops".
    """

    absmax: Mapping[str, float]
    of: str


def range_findings(table: Entries, ranges: Ranges) -> Iterator[Finding]:
    """Say which thresholds waste nearly all levels, or cut nearly all values.

    The bounds leave room for what a few crops do not show, and for blobs with outliers.

    Args:
        table: The table.
        ranges: The values.

    Yields:
        Findings, in the order of the lines.
    """
    for name, row in table.activations.items():
        absmax = ranges.absmax.get(name, 0.0)
        if name in table.weights and row.scales is not None and absmax > 0:
            yield from _findings(name, row.line, row.scales[0], absmax, ranges.of)


def _findings(
    name: str, line: int | None, scale: float, absmax: float, of: str
) -> Iterator[Finding]:
    threshold = _LEVELS / scale
    ratio = threshold / absmax
    if _TIGHT <= ratio <= _WIDE:
        return
    if ratio > 1:
        severity: Severity = "error" if ratio > _EMPTY else "warning"
        message = (
            f"its threshold {threshold:.4g} is {ratio:.3g} times the largest value {absmax:.4g}"
            f" {of}, which leaves {_LEVELS / ratio:.2g} of {_LEVELS} levels"
        )
    else:
        severity = "error" if ratio < _CUT else "warning"
        message = (
            f"its threshold {threshold:.4g} cuts values to {ratio:.3g} of the largest, {absmax:.4g}"
            f" {of}"
        )
    fix = f"put {_LEVELS / absmax:.6f} there, which is {_LEVELS} / the largest value, or calibrate"
    yield Finding(severity, line, name, message + _looks(scale, absmax), f"{fix} again")


def _looks(scale: float, absmax: float) -> str:
    if abs(scale * absmax - 1) < _SAME:
        return " (it looks like 1 / threshold: the factor 127 is missing)"
    if abs(scale * _LEVELS / absmax - 1) < _SAME:
        return " (it looks like the step size, which is 1 / scale)"
    if abs(scale / absmax - 1) < _SAME:
        return " (it looks like the threshold itself)"
    return ""
