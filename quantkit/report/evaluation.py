"""The table of all backends: AP, the drop against the baseline, time and size."""

from collections.abc import Callable, Sequence
from typing import Final

from rich import box
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from quantkit.evaluation.comparison import Comparison, Row
from quantkit.report.sentences import data_sentence, sqnr_text

WIDEST: Final = 100
"""Columns of a terminal that shows the whole table."""

_UNBOUNDED: Final = 1000
_OPTIONAL: Final = ("AR50", "MB", "OKS", "AR")
"""What a terminal that is too narrow does without, one after the other."""
_UNLABELLED: Final = ("backend", "SQNR", "mean px", "95 % px", "OKS", "ms", "MB")


def evaluation_table(comparison: Comparison, width: int = WIDEST) -> Group:
    """Draw the rows of an evaluation for a terminal.

    Args:
        comparison: The rows, with the baseline that their drops are measured against.
        width: Columns of the terminal; a narrow one does not show all figures.
    """
    title = f"{comparison.model}: {data_sentence(comparison)}"
    columns = list(_LABELLED) if comparison.has_labels else _used(comparison)
    table = _table(comparison, columns)
    for name in _OPTIONAL if comparison.has_labels else ():
        if _natural_width(table) <= width:
            break
        columns.remove(name)
        table = _table(comparison, columns)
    return Group(Text(title, "bold"), table, Text(_caption(comparison), "dim"))


def _table(comparison: Comparison, columns: Sequence[str]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=0)
    for name in columns:
        table.add_column(name, justify="left" if name == "backend" else "right", no_wrap=True)
    for row in comparison.rows:
        is_baseline = row.backend == comparison.baseline
        cells = [_COLUMNS[name](row, is_baseline) for name in columns]
        table.add_row(*cells, style=None if row.status == "ok" else "dim")
    return table


def _used(comparison: Comparison) -> list[str]:
    """List the columns of an evaluation without labels that hold a figure of any backend."""
    return [
        name
        for name in _UNLABELLED
        if any(_COLUMNS[name](row, row.backend == comparison.baseline) for row in comparison.rows)
    ]


def _natural_width(table: Table) -> int:
    console = Console(width=_UNBOUNDED)
    return console.measure(table).maximum


def _caption(comparison: Comparison) -> str:
    if comparison.baseline is None:
        return "No backend ran."
    oks = "OKS: mean similarity of the keypoints to the baseline's. "
    if comparison.has_labels:
        text = f"drop: AP lost against {comparison.baseline}, with its paired 95 % interval. {oks}"
    else:
        used = _used(comparison)
        apart = (
            "mean px, 95 % px: how far the keypoints are apart, on average and at most for 95 % of"
            " them, in pixels of the network's input. "
        )
        text = (
            f"Against {comparison.baseline}. SQNR: of each output."
            f" {apart if 'mean px' in used else ''}{oks if 'OKS' in used else ''}"
        )
    return f"{text}ms: median of single runs (ncnn: one thread)."


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _pixels(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _drop(row: Row, is_baseline: bool) -> str:
    if is_baseline:
        return "baseline"
    return "" if row.ap_drop is None else f"{row.ap_drop:+.4f}"


def _interval(row: Row, is_baseline: bool) -> str:
    if row.status != "ok":
        return row.status
    if row.ap_drop_ci is None or is_baseline:
        return ""
    return f"{row.ap_drop_ci[0]:+.4f} .. {row.ap_drop_ci[1]:+.4f}"


def _sqnr(row: Row, is_baseline: bool) -> str:
    if row.status != "ok" or is_baseline:
        return "baseline" if is_baseline else row.status
    return "" if row.sqnr_db is None else sqnr_text(row.sqnr_db)


_COLUMNS: Final[dict[str, Callable[[Row, bool], str]]] = {
    "backend": lambda row, _: row.backend,
    "AP": lambda row, _: _figure(row.ap),
    "drop": _drop,
    "95 % interval": _interval,
    "AP50": lambda row, _: _figure(row.ap50),
    "AP75": lambda row, _: _figure(row.ap75),
    "AR": lambda row, _: _figure(row.ar),
    "AR50": lambda row, _: _figure(row.ar50),
    "OKS": lambda row, is_baseline: "" if is_baseline else _figure(row.oks_vs_baseline),
    "SQNR": _sqnr,
    "mean px": lambda row, is_baseline: "" if is_baseline else _pixels(row.keypoint_distance_mean),
    "95 % px": lambda row, is_baseline: "" if is_baseline else _pixels(row.keypoint_distance_p95),
    "ms": lambda row, _: "" if row.ms_per_instance is None else f"{row.ms_per_instance:.2f}",
    "MB": lambda row, _: "" if row.size_mb is None else f"{row.size_mb:.2f}",
}
_LABELLED: Final = [name for name in _COLUMNS if name not in ("SQNR", "mean px", "95 % px")]
