"""The steps of an export, each with how far it moved the outputs."""

from rich import box
from rich.table import Table

from quantkit.backends.export_report import ExportReport


def export_table(report: ExportReport) -> Table:
    """Draw the steps of an export for a terminal."""
    table = Table(
        caption=f"{report.ncnn.param}\n{report.ncnn.bin}",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    table.add_column("step")
    table.add_column("tool")
    for name in ("max diff", "of range", "SQNR, dB", "s", "MB"):
        table.add_column(name, justify="right", no_wrap=True)
    for step in report.steps:
        found = step.difference
        figures = (
            ("", "", "")
            if found is None
            else (f"{found.max_abs:.2g}", f"{found.relative:.2g}", f"{found.sqnr_db:.0f}")
        )
        table.add_row(step.name, step.tool, *figures, f"{step.seconds:.1f}", f"{step.size_mb:.2f}")
    return table
