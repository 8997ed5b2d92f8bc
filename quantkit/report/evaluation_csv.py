"""The rows of an evaluation as CSV, one line a backend, figures in full precision."""

import csv
import io
from typing import Any, Final

from quantkit.evaluation.comparison import Comparison

_INTERVAL: Final = "ap_drop_ci"
_BOUNDS: Final = ("ap_drop_low", "ap_drop_high")
_BY_KEYPOINT: Final = ("keypoint_oks", "keypoint_oks_vs_baseline", "keypoint_distance")
_BY_OUTPUT: Final = "sqnr_db"


def evaluation_csv(comparison: Comparison) -> str:
    """Write the rows with the names of `quantkit eval --json`; the interval takes two columns.

    The SQNR of several outputs stands in one cell, with semicolons between. What has no figure is
    an empty cell; the single keypoints stand in the JSON alone.
    """
    lines = [_line(comparison, row) for row in comparison.to_json()["rows"]]
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(lines[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def _line(comparison: Comparison, row: dict[str, Any]) -> dict[str, Any]:
    line = {
        "model": comparison.model,
        "input_size": "x".join(str(side) for side in comparison.input_size),
        "dataset": comparison.dataset,
        "instances": comparison.instances,
        "baseline": comparison.baseline,
    }
    for name, value in row.items():
        if name == _INTERVAL:
            line |= dict(zip(_BOUNDS, value or (None, None), strict=True))
        elif name == _BY_OUTPUT:
            line[name] = value and ";".join(map(str, value))
        elif name not in _BY_KEYPOINT:
            line[name] = value
    return line
