"""What an evaluation leaves on disk, one file a format."""

from pathlib import Path

from quantkit.evaluation.comparison import Comparison
from quantkit.report.evaluation_csv import evaluation_csv
from quantkit.report.evaluation_log import evaluation_log
from quantkit.report.evaluation_markdown import evaluation_markdown, log_name
from quantkit.storage import write_atomically


def write_evaluation(folder: Path, comparison: Comparison) -> None:
    """Write eval.json, eval.md, eval.csv and a log a backend.

    Args:
        folder: Where they go; made if it is absent.
        comparison: The rows.

    Raises:
        InputError: A file cannot be written.
    """
    for row in comparison.rows:
        write_atomically(folder / log_name(row), evaluation_log(comparison, row))
    write_atomically(folder / "eval.md", evaluation_markdown(comparison))
    write_atomically(folder / "eval.csv", evaluation_csv(comparison))
    write_atomically(folder / "eval.json", comparison.text())
