"""What can be wrong with the lines of a table whatever the network is."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from quantkit.calibration.finding import Finding, Severity, shortened
from quantkit.calibration.table_lines import (
    BYTE_ORDER_MARK,
    FLOAT32_MAX,
    TableLine,
    entries,
    name_problem,
    number,
    printed,
    words_lost,
)

Repair = Callable[[str, Sequence[int]], str | None]
"""Says what the weights of a layer want for some of its scales; None where that is unknown."""

_COARSE: Final = 1e-3
_ENOUGH_DIGITS: Final = 4
_LEAVE: Final = "or remove both lines of the layer to leave it in fp32"


def line_findings(lines: Sequence[TableLine], repair: Repair | None = None) -> Iterator[Finding]:
    """Look at each line by itself and at those before it.

    An error is what makes ncnn2int8 lose or misread a layer; what it reads as it was meant is a
    warning at most.

    Args:
        lines: All lines of the table.
        repair: Where the network is known. Whether a scale may be zero is then left to it.

    Yields:
        Findings, in the order of the lines but for those about the whole.
    """
    yield from _whole(lines)
    earlier: dict[str, TableLine] = {}
    last = max((line.number for line in lines if line.key and not line.comment), default=0)
    for line in lines:
        if line.comment:
            continue
        if line.key:
            yield from _text_findings(line)
        if lost := next(words_lost(line.raw), None):
            yield _error(line, f"has {lost}", "put single spaces and a line feed there")
        elif not line.key:
            yield _blank(line, last)
        if line.key:
            yield from _key_findings(line, earlier)
            yield from _value_findings(line, repair)
            earlier[line.key] = line


def _whole(lines: Sequence[TableLine]) -> Iterator[Finding]:
    table = entries(lines)
    if not any(line.key and not line.comment for line in lines):
        yield Finding("error", None, None, "holds no scales", "calibrate again")
    elif not table.activations:
        message = "has weight lines alone, so no layer becomes int8"
        yield Finding("error", None, None, message, "calibrate again")
    elif not table.weights.keys() & table.activations.keys():
        message = "has no layer with both its lines, so none becomes int8"
        yield Finding("error", None, None, message, "calibrate again")


def _blank(line: TableLine, last: int) -> Finding:
    if line.number > last:
        return Finding("warning", line.number, None, "blank line at the end", "remove it")
    lost = f"blank line: ncnn2int8 stops reading here and loses the lines down to {last}"
    return Finding("error", line.number, None, lost, "remove it")


def _text_findings(line: TableLine) -> Iterator[Finding]:
    if line.number == 1 and line.raw.startswith(BYTE_ORDER_MARK):
        message = "has a byte order mark before it, which ncnn2int8 takes for a part of the name"
        yield _error(line, message, "save the file as UTF-8 without it")
    if "\ufffd" in line.raw:
        yield _error(line, "has bytes that are not UTF-8 text", "give a calibration table")
    if any(space in line.raw for space in "\t\v\f") and not next(words_lost(line.raw), None):
        yield _finding("warning", line, "has a tab, where it does no harm", "put a space")


def _key_findings(line: TableLine, earlier: dict[str, TableLine]) -> Iterator[Finding]:
    before = earlier.get(line.key)
    if before is not None:
        same = before.values == line.values
        message = f"'{shortened(line.key)}' stands in line {before.number} already"
        if not same:
            message += " with other scales"
        yield _finding("warning" if same else "error", line, message, "remove one of them")
    if line.weights_of:
        message = f"'{shortened(line.key)}' is of a layer type that quantkit leaves alone"
        yield _finding("hint", line, message, "nothing to do, or remove the line")
    elif problem := name_problem(line.layer):
        said = problem.removesuffix(": rename the layer")
        yield _error(line, said, "rename the layer in the .param and here")


def _value_findings(line: TableLine, repair: Repair | None) -> Iterator[Finding]:
    if not line.values:
        yield _error(line, "no scales follow the name", "put them there, " + _LEAVE)
        return
    if line.weights_of is None and len(line.values) != 1:
        message = f"has {len(line.values)} activation scales instead of 1"
        yield _error(line, message, "keep the first, " + _LEAVE)
    problems = [(index, _problem(line, value)) for index, value in enumerate(line.values)]
    bad = [(index, problem) for index, problem in problems if problem]
    if bad:
        index, problem = bad[0]
        more = f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
        fix = _fix(line, [index for index, _ in bad], repair)
        yield _error(line, f"scale {index}{more} {problem}", fix)
        return
    zeros = [index for index, value in enumerate(line.values) if number(value) == 0]
    if zeros and line.weights_of == 0 and repair is None:
        message = f"scale {zeros[0]} is zero{_more(zeros)}, as only a channel without weights may"
        yield _finding("warning", line, message, "check it with --param and --bin of the network")
    coarse = [value for value in line.values if _is_coarse(value)]
    if coarse:
        message = f"{len(coarse)} scales lost digits, such as {coarse[0]}"
        fix = "write more digits, which ncnn2int8 reads, or scale the weights up by equalization"
        yield _finding("warning", line, message, fix)


def _problem(line: TableLine, value: str) -> str | None:
    scale = number(value)
    if scale is None:
        return f"is '{shortened(value, 20)}', which is not a number"
    if not math.isfinite(scale) or abs(scale) > FLOAT32_MAX:
        return f"is {shortened(value, 20)}, which is not finite"
    if scale == 0 and line.weights_of is not None:
        return None
    if printed(scale) == 0:
        return "is zero, or too small for the six decimals of a table"
    return f"is {shortened(value, 20)}, which is negative" if scale < 0 else None


def _fix(line: TableLine, bad: Sequence[int], repair: Repair | None) -> str:
    if line.weights_of is None:
        return "calibrate again with crops that reach the layer, " + _LEAVE
    if wanted := repair(line.layer, bad) if repair else None:
        return f"{wanted}, {_LEAVE}"
    return (
        "put 1.000000 there if all weights of that channel are zero, else 127 divided by its "
        f"largest weight, {_LEAVE}"
    )


def _more(indices: Sequence[int]) -> str:
    return f" (and {len(indices) - 1} more)" if len(indices) > 1 else ""


def _is_coarse(value: str) -> bool:
    digits = value.lower().partition("e")[0].replace(".", "").lstrip("+-0")
    return 0 < float(value) < _COARSE and len(digits) < _ENOUGH_DIGITS


def _error(line: TableLine, message: str, fix: str) -> Finding:
    return _finding("error", line, message, fix)


def _finding(severity: Severity, line: TableLine, message: str, fix: str) -> Finding:
    return Finding(severity, line.number, line.layer or None, message, fix)
