"""The rows of an evaluation as Markdown, in the layout of MMPose's model pages."""

from typing import Final

from quantkit.evaluation.comparison import Comparison, Row
from quantkit.report.sentences import (
    data_sentence,
    drop_sentence,
    table_sentence,
    until_sentence,
)

_FIGURES: Final = {"AP": "ap", "AP50": "ap50", "AP75": "ap75", "AR": "ar", "AR50": "ar50"}


def evaluation_markdown(comparison: Comparison) -> str:
    """Write one section a backend; the log is a link relative to the file's folder."""
    title = f"# {_escaped(comparison.model)}"
    data = f"{_escaped(data_sentence(comparison))}."
    if sentence := until_sentence(comparison):
        data = f"{data} {_sentence(sentence)}"
    if note := table_sentence(comparison):
        data = f"{data} {_sentence(_escaped(note))}"
    sections = [_section(comparison, row) for row in comparison.rows]
    return "\n\n".join([title, data, *sections]) + "\n"


def log_name(row: Row) -> str:
    """Name the log file of a backend, beside the Markdown file."""
    return f"{row.backend}.log"


def _section(comparison: Comparison, row: Row) -> str:
    parts = [f"## {row.backend}"]
    if row.status != "ok":
        parts.append(f"{row.status}: {_escaped(row.reason or '')} ([log]({log_name(row)}))")
        return "\n\n".join(parts)
    parts.append("\n".join(_line(cells) for cells in _table(comparison, row)))
    if sentence := drop_sentence(comparison, row):
        parts.append(_sentence(sentence))
    return "\n\n".join(parts)


def _table(comparison: Comparison, row: Row) -> list[list[str]]:
    width, height = comparison.input_size
    names = _FIGURES if comparison.has_labels else {}
    figures = [getattr(row, name) for name in names.values()]
    return [
        ["Arch", "Input Size", *names, "log"],
        [":--", ":-:", *["--:" for _ in names], ":-:"],
        [
            _escaped(comparison.model),
            f"{width}x{height}",
            *["" if value is None else f"{value:.3f}" for value in figures],
            f"[log]({log_name(row)})",
        ],
    ]


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _escaped(text: str) -> str:
    r"""Keep a name from being taken for markup.

    Example:
        >>> print(_escaped("a|b_c"))
        a\|b\_c
    """
    return "".join(f"\\{sign}" if sign in "\\`*_[]<>#|" else sign for sign in text)
