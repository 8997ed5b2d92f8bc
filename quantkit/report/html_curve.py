"""How many crops a table needs, for a report."""

from quantkit.report.curve import curve_findings, curve_rows
from quantkit.report.html_markup import breakable, escaped, table
from quantkit.stability.report import CurveReport


def sizes_table(report: CurveReport) -> str:
    """Write a row for each size; the recommended one stands out."""
    names, rows = curve_rows(report)
    cells = [[*map(escaped, row[:-1]), breakable(row[-1])] for row in rows]
    best = report.recommended.size
    classes = ["strong" if one.size == best else "" for one in report.summaries]
    return table(names, cells, numbers=names[:-1], classes=classes)


def findings_list(report: CurveReport) -> list[str]:
    """Write on what disjoint sets disagree, and the outliers."""
    parts = []
    for head, lines in curve_findings(report):
        items = "".join(f"<li>{escaped(line)}</li>" for line in lines)
        parts.append(f"<p>{escaped(head)}</p>" + (f"<ul>{items}</ul>" if lines else ""))
    return parts
