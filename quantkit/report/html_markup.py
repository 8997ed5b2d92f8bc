"""The few elements of HTML that a report consists of."""

import html
import re
import unicodedata
from collections.abc import Iterable, Sequence

_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_SEAMS = re.compile(r"([_./])(?=\w)")


def escaped(text: str) -> str:
    """Make text safe anywhere in the page; what cannot be shown is spelled out.

    Example:
        >>> escaped('<b a="1">')
        '&lt;b a=&quot;1&quot;&gt;'
    """
    shown = "".join(ascii(c)[1:-1] if unicodedata.category(c) in _UNSEEN else c for c in text)
    return html.escape(shown)


def breakable(name: str) -> str:
    """Escape a long name and let it break after its underscores, dots and slashes.

    Example:
        >>> breakable("stage1_conv")
        'stage1_<wbr>conv'
    """
    return _SEAMS.sub(r"\1<wbr>", escaped(name))


def paragraph(text: str) -> str:
    """Write a paragraph of plain text."""
    return f"<p>{escaped(text)}</p>"


def table(
    names: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    numbers: Sequence[str] = (),
    classes: Sequence[str] = (),
) -> str:
    """Write a table.

    Args:
        names: Of the columns.
        rows: Cells, markup already: escape what is not.
        numbers: Names of the columns that are set flush right.
        classes: One a row, for the style sheet; may be empty.

    Example:
        >>> table(["a"], [["1"]])
        '<table><thead><tr><th>a</th></tr></thead><tbody><tr><td>1</td></tr></tbody></table>'
    """
    kinds = [' class="n"' if name in numbers else "" for name in names]
    head = "".join(f"<th{k}>{escaped(name)}</th>" for k, name in zip(kinds, names, strict=True))
    lines = []
    for place, row in enumerate(rows):
        cells = "".join(f"<td{k}>{cell}</td>" for k, cell in zip(kinds, row, strict=True))
        kind = f' class="{classes[place]}"' if classes and classes[place] else ""
        lines.append(f"<tr{kind}>{cells}</tr>")
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>"
