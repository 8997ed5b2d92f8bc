"""The log of one backend: COCO's ten figures as pycocotools prints them, and what they are of."""

from typing import Final

from quantkit.evaluation.comparison import Comparison, Row

_FIGURES: Final = (
    ("ap", "0.50:0.95", "all"),
    ("ap50", "0.50", "all"),
    ("ap75", "0.75", "all"),
    ("ap_m", "0.50:0.95", "medium"),
    ("ap_l", "0.50:0.95", "large"),
    ("ar", "0.50:0.95", "all"),
    ("ar50", "0.50", "all"),
    ("ar75", "0.75", "all"),
    ("ar_m", "0.50:0.95", "medium"),
    ("ar_l", "0.50:0.95", "large"),
)
_TITLES: Final = {"ap": "Average Precision  (AP)", "ar": "Average Recall     (AR)"}
_MOST_DETECTIONS: Final = 20


def evaluation_log(comparison: Comparison, row: Row) -> str:
    """Write the log of one backend; it holds no date and no time, so equal results are equal files.

    Args:
        comparison: What the row is part of.
        row: The backend.
    """
    parts = [_head(comparison, row)]
    if row.status == "ok":
        parts += ["\n".join(coco_lines(row)), _drop(comparison, row)]
    parts.append(_origin(comparison, row))
    return "\n\n".join(part for part in parts if part) + "\n"


def coco_lines(row: Row) -> list[str]:
    """Write the ten figures as COCOeval.summarize prints them (pycocotools/cocoeval.py).

    Example:
        >>> print(coco_lines(Row("ncnn", "fp32", ap=0.7171))[0])
         Average Precision  (AP) @[ IoU=0.50:0.95 | area=   all | maxDets= 20 ] = 0.717
    """
    lines = []
    for name, threshold, area in _FIGURES:
        value = getattr(row, name)
        # pycocotools writes -1 where the data set has nobody of that size.
        figure = -1.0 if value is None else value
        lines.append(
            f" {_TITLES[name[:2]]} @[ IoU={threshold:<9} | area={area:>6}"
            f" | maxDets={_MOST_DETECTIONS:>3} ] = {figure:0.3f}"
        )
    return lines


def drop_sentence(comparison: Comparison, row: Row) -> str:
    """Say what a backend loses against the baseline; empty for the baseline itself."""
    if row.ap_drop is None or row.ap_drop_ci is None or row.backend == comparison.baseline:
        return ""
    low, high = row.ap_drop_ci
    return (
        f"drop {row.ap_drop:+.4f} AP against {comparison.baseline},"
        f" 95 % interval {low:+.4f} .. {high:+.4f}; OKS {row.oks_vs_baseline:.4f}"
    )


def _head(comparison: Comparison, row: Row) -> str:
    width, height = comparison.input_size
    table = f", table {comparison.table}" if row.precision == "int8" else ""
    lines = [
        f"{comparison.model} on {row.backend} ({row.precision}{table}), input {width}x{height}",
        f"{comparison.instances} persons of {comparison.dataset}",
    ]
    if row.status != "ok":
        lines.append(f"{row.status}: {row.reason}")
    return "\n".join(lines)


def _drop(comparison: Comparison, row: Row) -> str:
    return drop_sentence(comparison, row) or "the baseline that drops are measured against"


def _origin(comparison: Comparison, row: Row) -> str:
    lines = [] if row.size_mb is None else [f"model: {row.size_mb:g} MB"]
    if row.description is not None:
        lines.append(f"options: {row.description}")
    versions = ", ".join(f"{name} {value}" for name, value in comparison.versions.items())
    return "\n".join([*lines, f"versions: {versions}"])
