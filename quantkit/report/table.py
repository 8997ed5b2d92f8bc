"""Calibration tables for a terminal: the layers, what is wrong with them, what differs."""

from collections.abc import Sequence

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from quantkit.calibration.finding import Finding, counts
from quantkit.quantization.table_diff import ScaleChange, TableDiff
from quantkit.quantization.table_rows import TableRow


def rows_table(rows: Sequence[TableRow], title: str) -> Group:
    """Draw the layers of a calibration table.

    Args:
        rows: The layers.
        title: Stands above them.
    """
    table = _table("layer", "type", right=("MACs", "threshold", "weight scales", "bits"))
    for row in rows:
        table.add_row(row.layer, row.type or "", *_figures(row))
    return Group(Text(title, "bold"), table, *_fp32(rows), Text(_caption(rows), "dim"))


def findings_sentence(findings: Sequence[Finding]) -> str:
    """Count findings in words.

    Example:
        >>> findings_sentence([Finding("error", 1, None, "", "")])
        '1 error, 0 warnings, 0 hints'
    """
    found = counts(findings)
    return ", ".join(f"{n} {name}{'' if n == 1 else 's'}" for name, n in found.items())


def diff_table(diff: TableDiff, first: str, second: str) -> Group:
    """Draw the differences of two tables.

    Args:
        diff: What differs.
        first: Name of the first table.
        second: Name of the second one.
    """
    table = _table("layer", "scale", right=(first, second, "ratio", "channels"))
    for change in diff.changes:
        table.add_row(change.layer, change.kind, *_change(change))
    lines = [
        *(f"only in {first}: {name}" for name in diff.only_first),
        *(f"only in {second}: {name}" for name in diff.only_second),
        *(f"another number of weight scales: {name}" for name in diff.other_counts),
        f"{diff.same} layers are the same in both",
    ]
    return Group(*([table] if diff.changes else []), *map(Text, lines))


def _table(first: str, second: str, *, right: Sequence[str]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column(first, overflow="fold")
    table.add_column(second)
    for name in right:
        table.add_column(name, justify="right")
    return table


def _figures(row: TableRow) -> tuple[str, ...]:
    share = "" if row.macs_share is None else f"{row.macs_share:.1%}"
    if row.threshold is None or row.weight_scales is None:
        return share, "fp32", "", ""
    least, most = row.weight_scales
    scales = f"{least:.4g}" if least == most else f"{least:.4g} to {most:.4g}"
    return share, f"{row.threshold:.4g}", scales, row.bits


def _fp32(rows: Sequence[TableRow]) -> list[Text]:
    return [Text(f"fp32  {row.layer}: {row.reason}") for row in rows if row.reason is not None]


def _caption(rows: Sequence[TableRow]) -> str:
    int8 = [row for row in rows if row.reason is None]
    text = f"{len(int8)} layers in int8, {len(rows) - len(int8)} in fp32"
    shares = [row.macs_share for row in int8]
    if shares and None not in shares:
        text += f"; {sum(share for share in shares if share):.1%} of the MACs in int8"
    return f"{text}. threshold: the absolute activation value that becomes 127."


def _change(change: ScaleChange) -> tuple[str, ...]:
    channels = f"{change.channels} of {change.of}"
    ratio = "" if change.ratio is None else f"{change.ratio:.4g}"
    return f"{change.first:.6g}", f"{change.second:.6g}", ratio, channels
