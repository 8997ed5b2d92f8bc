"""The steps of an export, each with how far it moved the outputs."""

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from quantkit.backends.export_report import ExportReport
from quantkit.storage import from_here


def export_table(report: ExportReport) -> Group:
    """Draw the steps of an export for a terminal."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
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
    files = [report.onnx.path] if report.onnx else []
    files += [report.ncnn.param, report.ncnn.bin]
    return Group(table, *(Text(from_here(path)) for path in files))
