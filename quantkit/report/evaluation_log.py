"""The log of one backend: COCO's ten figures as pycocotools prints them, and what they are of."""

from typing import Final

from quantkit.evaluation.comparison import Comparison, Row
from quantkit.report.sentences import (
    closeness,
    data_sentence,
    drop_sentence,
    table_sentence,
    until_sentence,
)

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
        figures = [] if row.ap is None else coco_lines(row)
        parts += ["\n".join(figures), _drop(comparison, row)]
        parts.append("\n".join(keypoint_lines(comparison, row)))
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


def keypoint_lines(comparison: Comparison, row: Row) -> list[str]:
    """Write what each keypoint is like on average.

    Its similarity to the labels and to the baseline's, and how many pixels of the network's input
    it is from the baseline's.
    """
    columns = {"labels": row.keypoint_oks}
    if row.backend != comparison.baseline:
        columns[str(comparison.baseline)] = row.keypoint_oks_vs_baseline
        columns["px apart"] = row.keypoint_distance
    shown = {name: values for name, values in columns.items() if values is not None}
    if not shown:
        return []
    title = "keypoint" if list(shown) == ["px apart"] else "OKS of"
    lines = ["".join([f"{title:<16}", *(f"{name:>14}" for name in shown)])]
    for name in next(iter(shown.values())):
        cells = [_cell(values[name]) for values in shown.values()]
        lines.append("".join([f"{name:<16}", *(f"{cell:>14}" for cell in cells)]))
    return lines


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _head(comparison: Comparison, row: Row) -> str:
    width, height = comparison.input_size
    table = f", table {comparison.table}" if row.precision == "int8" else ""
    note = table_sentence(comparison) if row.precision == "int8" else ""
    lines = [
        f"{comparison.model} on {row.backend} ({row.precision}{table}), input {width}x{height}",
        data_sentence(comparison),
        *([note] if note else []),
    ]
    if row.status != "ok":
        lines.append(f"{row.status}: {row.reason}")
    return "\n".join(lines)


def _drop(comparison: Comparison, row: Row) -> str:
    is_baseline = row.backend == comparison.baseline
    lines = ["the baseline that the others are measured against" if is_baseline else ""]
    lines.append(drop_sentence(comparison, row))
    if row.ap_drop is not None:
        lines.append("; ".join(closeness(comparison, row)))
    if row.oks is not None:
        lines.append(f"OKS {row.oks:.4f} against the labels")
    lines.append(until_sentence(comparison))
    return "\n".join(line for line in lines if line)


def _origin(comparison: Comparison, row: Row) -> str:
    lines = [] if row.size_mb is None else [f"model: {row.size_mb:g} MB"]
    if row.description is not None:
        lines.append(f"options: {row.description}")
    versions = ", ".join(f"{name} {value}" for name, value in comparison.versions.items())
    return "\n".join([*lines, f"versions: {versions}"])
