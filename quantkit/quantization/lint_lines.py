"""What can be wrong with the lines of a table whatever the network is."""

import math
from collections.abc import Iterator, Sequence
from typing import Final

from quantkit.calibration.table import name_problem, printed
from quantkit.quantization.finding import Finding, Severity, shortened
from quantkit.quantization.table_lines import TableLine, number

_FLOAT32_MAX: Final = (2 - 2**-23) * 2.0**127
_COARSE: Final = 1e-3
_ENOUGH_DIGITS: Final = 4
_LEAVE: Final = "or remove both lines of the layer to leave it in fp32"


def line_findings(lines: Sequence[TableLine]) -> Iterator[Finding]:
    """Look at each line by itself and at those before it.

    Args:
        lines: All lines of the table.

    Yields:
        Findings, in the order of the lines.
    """
    if not any(line.key and not line.comment for line in lines):
        yield Finding("error", None, None, "holds no scales", "calibrate again")
    earlier: dict[str, int] = {}
    last = max((line.number for line in lines if line.key and not line.comment), default=0)
    for line in lines:
        if line.comment:
            continue
        if not line.key:
            yield _blank(line, last)
            continue
        yield from _key_findings(line, earlier)
        yield from _value_findings(line)
        earlier[line.key] = line.number


def _blank(line: TableLine, last: int) -> Finding:
    if line.number > last:
        return Finding("warning", line.number, None, "blank line at the end", "remove it")
    lost = f"blank line: ncnn2int8 stops reading here and loses the lines down to {last}"
    return Finding("error", line.number, None, lost, "remove it")


def _key_findings(line: TableLine, earlier: dict[str, int]) -> Iterator[Finding]:
    # ncnn2int8 separates words at spaces alone.
    if "\t" in line.raw:
        yield _error(line, "has a tab, which ncnn2int8 takes for a part of a word", "put a space")
    if line.key in earlier:
        message = f"'{shortened(line.key)}' stands in line {earlier[line.key]} already"
        yield _error(line, message, "remove one of them")
    if line.weights_of:
        message = f"'{shortened(line.key)}' is of a layer type that quantkit leaves alone"
        yield _finding("hint", line, message, "nothing to do, or remove the line")
    elif problem := name_problem(line.layer):
        said = problem.removesuffix(": rename the layer")
        yield _error(line, said, "rename the layer in the .param and here")


def _value_findings(line: TableLine) -> Iterator[Finding]:
    if not line.values:
        yield _error(line, "no scales follow the name", "put them there, " + _LEAVE)
        return
    if line.weights_of is None and len(line.values) != 1:
        message = f"has {len(line.values)} activation scales instead of 1"
        yield _error(line, message, "keep the first, " + _LEAVE)
    problems = [(index, _problem(value)) for index, value in enumerate(line.values)]
    bad = [(index, problem) for index, problem in problems if problem]
    if bad:
        index, problem = bad[0]
        more = f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
        yield _error(line, f"scale {index}{more} {problem}", _value_fix(line, index))
        return
    coarse = [value for value in line.values if _is_coarse(value)]
    if coarse:
        message = f"{len(coarse)} scales lost digits, such as {coarse[0]}"
        fix = "write more digits, which ncnn2int8 reads, or scale the weights up by equalization"
        yield _finding("warning", line, message, fix)


def _problem(value: str) -> str | None:
    scale = number(value)
    if scale is None:
        return f"is '{shortened(value, 20)}', which is not a number"
    if not math.isfinite(scale) or abs(scale) > _FLOAT32_MAX:
        return f"is {shortened(value, 20)}, which is not finite"
    if printed(scale) == 0:
        return "is zero, or too small for the six decimals of a table"
    return f"is {shortened(value, 20)}, which is negative" if scale < 0 else None


def _value_fix(line: TableLine, index: int) -> str:
    if line.weights_of is not None and number(line.values[index]) == math.inf:
        return "put 1.000000 there, as all weights of that channel are zero, " + _LEAVE
    return "calibrate again with crops that reach the layer, " + _LEAVE


def _is_coarse(value: str) -> bool:
    digits = value.lower().partition("e")[0].replace(".", "").lstrip("+-0")
    return float(value) < _COARSE and len(digits) < _ENOUGH_DIGITS


def _error(line: TableLine, message: str, fix: str) -> Finding:
    return _finding("error", line, message, fix)


def _finding(severity: Severity, line: TableLine, message: str, fix: str) -> Finding:
    return Finding(severity, line.number, line.layer, message, fix)
