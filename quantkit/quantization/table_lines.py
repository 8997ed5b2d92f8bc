"""A table read line by line as ncnn2int8 would, without stopping at what is wrong.

Facts: ncnn tools/quantize/ncnn2int8.cpp, read_int8scale_table.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

_WEIGHT_KEY: Final = re.compile(r"(.+)_param_(\d)", re.DOTALL | re.ASCII)
_NUMBER: Final = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)


@dataclass(frozen=True)
class TableLine:
    """One line of a table.

    Attributes:
        number: Counted from 1.
        key: Its first word; empty for a blank line. Without the '#' of a comment.
        values: The other words.
        comment: Whether it begins with '#', so that ncnn2int8 finds no layer of its name.
        raw: The line itself.
    """

    number: int
    key: str
    values: tuple[str, ...]
    comment: bool
    raw: str

    @property
    def layer(self) -> str:
        """Name of the layer that the line is about."""
        match = _WEIGHT_KEY.fullmatch(self.key)
        return match[1] if match else self.key

    @property
    def weights_of(self) -> int | None:
        """Which of the layer's weights it scales; None for the activation."""
        match = _WEIGHT_KEY.fullmatch(self.key)
        return int(match[2]) if match else None

    @property
    def scales(self) -> tuple[float, ...] | None:
        """The values, or None unless all of them are positive finite numbers."""
        numbers = [number(value) for value in self.values]
        good = tuple(x for x in numbers if x is not None and math.isfinite(x) and x > 0)
        return good if good and len(good) == len(numbers) else None


@dataclass(frozen=True)
class Entries:
    """The lines of a table by layer; of several lines with one key the last counts.

    Attributes:
        weights: Line of the weight scales (`_param_0`) by layer.
        activations: Line of the activation scale by layer.
        commented: Layers whose line is commented out: `weight` or `activation` by layer, to line.
    """

    weights: Mapping[str, TableLine]
    activations: Mapping[str, TableLine]
    commented: Mapping[tuple[str, str], int] = field(default_factory=dict)


def table_lines(text: str) -> tuple[TableLine, ...]:
    r"""Split a table into lines; any text has some.

    Example:
        >>> [(line.key, line.values) for line in table_lines("conv_param_0 1.0 x \n\nconv 2.0\n")]
        [('conv_param_0', ('1.0', 'x')), ('', ()), ('conv', ('2.0',))]
    """
    lines = text.removesuffix("\n").split("\n") if text else []
    return tuple(_line(number, raw.rstrip("\r")) for number, raw in enumerate(lines, start=1))


def entries(lines: Sequence[TableLine]) -> Entries:
    """Sort lines by layer; those of other weights than `_param_0` are left out."""
    weights: dict[str, TableLine] = {}
    activations: dict[str, TableLine] = {}
    commented: dict[tuple[str, str], int] = {}
    for line in lines:
        if not line.key or line.weights_of:
            continue
        if line.comment:
            kind = "activation" if line.weights_of is None else "weight"
            commented[line.layer, kind] = line.number
        else:
            (activations if line.weights_of is None else weights)[line.layer] = line
    return Entries(weights, activations, commented)


def number(value: str) -> float | None:
    """Read a number as C's scanf does, inf and nan included; None where it is none.

    Example:
        >>> number("1e3"), number("-nan"), number("abc")
        (1000.0, nan, None)
    """
    if re.fullmatch(r"[+-]?(inf|infinity)", value, re.IGNORECASE | re.ASCII):
        return float(value)
    if re.fullmatch(r"[+-]?nan(\(.*\))?", value, re.IGNORECASE | re.ASCII):
        return math.nan
    return float(value) if _NUMBER.fullmatch(value) else None


def _line(number: int, raw: str) -> TableLine:
    comment = raw.startswith("#")
    words = raw.lstrip("#").split()
    key, values = (words[0], tuple(words[1:])) if words else ("", ())
    return TableLine(number, key, values, comment, raw)
