"""The table of all backends: AP, the drop against the baseline, time and size."""

from rich.table import Table

from quantkit.evaluation.comparison import Comparison, Row


def evaluation_table(comparison: Comparison) -> Table:
    """Draw the rows of an evaluation for a terminal.

    Args:
        comparison: The rows, with the baseline that their drops are measured against.
    """
    title = f"{comparison.model}: {comparison.instances} persons of {comparison.dataset}"
    table = Table(title=title, caption=_caption(comparison), title_justify="left")
    table.add_column("backend", no_wrap=True)
    for name in ("AP", "drop", "AP50", "AP75", "AR", "AR50", "OKS", "ms", "MB"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("drop, 95 %", justify="center", no_wrap=True)
    for row in comparison.rows:
        if row.status == "ok":
            table.add_row(*_figures(row, is_baseline=row.backend == comparison.baseline))
        else:
            table.add_row(row.backend, row.status, *[""] * 9, style="dim")
    return table


def reasons(comparison: Comparison) -> list[str]:
    """List why backends have no figures, a line each."""
    return [f"{row.backend}: {row.reason}" for row in comparison.rows if row.status != "ok"]


def _figures(row: Row, *, is_baseline: bool) -> list[str]:
    return [
        f"{row.backend} (baseline)" if is_baseline else row.backend,
        _ap(row.ap),
        "" if is_baseline else _drop(row.ap_drop),
        *(_ap(value) for value in (row.ap50, row.ap75, row.ar, row.ar50)),
        "" if is_baseline else _ap(row.oks_vs_baseline),
        _number(row.ms_per_instance, 2),
        _number(row.size_mb, 2),
        "" if row.ap_drop_ci is None or is_baseline else _interval(row.ap_drop_ci),
    ]


def _caption(comparison: Comparison) -> str:
    return (
        f"drop: AP lost against {comparison.baseline}. OKS: mean agreement of the keypoints with"
        " the baseline's. ms: median of single runs."
    )


def _ap(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _drop(value: float | None) -> str:
    return "-" if value is None else f"{value:+.4f}"


def _interval(interval: tuple[float, float]) -> str:
    return f"{interval[0]:+.4f} .. {interval[1]:+.4f}"


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
