"""A table cut into lines and words as ncnn2int8 cuts it; no text stops the scan.

Facts: ncnn tools/quantize/ncnn2int8.cpp, read_int8scale_table: `fgets`, an end at the first CR or
NUL, words between spaces, the key by `sscanf("%255s")`, the scales by `sscanf("%f")`.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from quantkit.calibration.finding import shortened
from quantkit.storage import read_bytes

WEIGHT_SUFFIX: Final = "_param_0"
BYTE_ORDER_MARK: Final = "\ufeff"
FLOAT32_MAX: Final = (2 - 2**-23) * 2.0**127
_LONGEST_KEY: Final = 255  # ncnn2int8 cuts longer keys and then has no scales for the layer
_WEIGHT_KEY: Final = re.compile(r"(.+)_param_(\d)", re.DOTALL | re.ASCII)
_NUMBER: Final = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_SPACE: Final = " \t\v\f"


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
        return layer_of(self.key)

    @property
    def weights_of(self) -> int | None:
        """Which of the layer's weights it scales; None for the activation."""
        match = _WEIGHT_KEY.fullmatch(self.key)
        return int(match[2]) if match else None

    @property
    def scales(self) -> tuple[float, ...] | None:
        """The values, or None unless a table can hold all of them."""
        numbers = [number(value) for value in self.values]
        problem = activation_problem if self.weights_of is None else weight_problem
        good = tuple(x for x in numbers if x is not None and problem(x) is None)
        return good if good and len(good) == len(numbers) else None


@dataclass(frozen=True)
class Row:
    """The scales of one line, read from a file or computed.

    Attributes:
        line: Line in the file, counted from 1; None where there is none.
        count: How many scales there are.
        scales: The scales; None where a table cannot hold one of them.
        values: The words that they were read from; none for computed ones.
    """

    line: int | None
    count: int
    scales: tuple[float, ...] | None
    values: tuple[str, ...] = ()


@dataclass(frozen=True)
class Entries:
    """The lines of a table by layer; of several lines with one key the last counts.

    Attributes:
        weights: The weight scales (`_param_0`) by layer.
        activations: The activation scale by layer.
        others: Line by key of scales of a layer's other weights, such as `_param_1`.
        commented: Line by layer and `weight` or `activation`, where that is commented out.
    """

    weights: Mapping[str, Row]
    activations: Mapping[str, Row]
    others: Mapping[str, int | None] = field(default_factory=dict)
    commented: Mapping[tuple[str, str], int] = field(default_factory=dict)


def table_text(path: Path) -> str:
    """Read a table file; bytes that are not UTF-8 become U+FFFD, as no name has them.

    Raises:
        InputError: The file cannot be read.
    """
    return read_bytes(path).decode("utf-8", "replace")


def table_lines(text: str) -> tuple[TableLine, ...]:
    r"""Split a table into lines; any text has some.

    Example:
        >>> [(line.key, line.values) for line in table_lines("conv_param_0 1.0 x \n\nconv 2.0\n")]
        [('conv_param_0', ('1.0', 'x')), ('', ()), ('conv', ('2.0',))]
    """
    lines = text.removesuffix("\n").split("\n") if text else []
    return tuple(_line(number, raw.rstrip("\r")) for number, raw in enumerate(lines, start=1))


def entries(lines: Sequence[TableLine]) -> Entries:
    """Sort lines by layer."""
    weights: dict[str, Row] = {}
    activations: dict[str, Row] = {}
    others: dict[str, int | None] = {}
    commented: dict[tuple[str, str], int] = {}
    for line in lines:
        if not line.key:
            continue
        if line.comment:
            kind = "activation" if line.weights_of is None else "weight"
            commented[line.layer, kind] = line.number
        elif line.weights_of:
            others[line.key] = line.number
        else:
            row = Row(line.number, len(line.values), line.scales, line.values)
            (activations if line.weights_of is None else weights)[line.layer] = row
    return Entries(weights, activations, others, commented)


def layer_of(key: str) -> str:
    """Name the layer that a key is about.

    Example:
        >>> layer_of("conv_param_0"), layer_of("conv")
        ('conv', 'conv')
    """
    match = _WEIGHT_KEY.fullmatch(key)
    return match[1] if match else key


def words_lost(raw: str) -> Iterator[str]:
    r"""Say what ncnn2int8 does not read of a line, or reads otherwise than it looks.

    Example:
        >>> [list(words_lost(raw)) for raw in ("conv 1.0", "conv\t1.0", "conv 1.0\r2.0")]
        [[], ['a tab, behind which ncnn2int8 drops a word'], ['what ncnn2int8 cuts off at \\r']]
    """
    for end in "\r\0":
        kept, _, lost = raw.partition(end)
        if lost.strip(_SPACE + "\r\0"):
            yield f"what ncnn2int8 cuts off at {ascii(end)[1:-1]}"
            return
    for word in filter(None, kept.split(" ")):
        if len(re.split(r"[\t\v\f]+", word.strip(_SPACE))) > 1:
            yield "a tab, behind which ncnn2int8 drops a word"
            return
        if not word.strip(_SPACE):
            yield "a tab by itself, for which ncnn2int8 repeats the word before it"
            return


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


def printed(scale: float) -> float:
    """Round a scale to the six decimals that the table keeps.

    Example:
        >>> printed(1 / 3)
        0.333333
    """
    return float(f"{scale:f}")


def name_problem(name: str) -> str | None:
    """Say why a layer of this name cannot be in a table, or None."""
    shown = shortened(name)
    if not name or name.startswith("#") or any(c.isspace() for c in name):
        return f"layer name '{shown}' is empty, starts with '#' or has a space: rename the layer"
    if "_param_" in name:
        return (
            f"layer name '{shown}' contains '_param_', which ncnn2int8 misfiles: rename the layer"
        )
    if len(name + WEIGHT_SUFFIX) > _LONGEST_KEY:
        return (
            f"layer name '{shortened(name, 40)}' is too long: a key has at most {_LONGEST_KEY}"
            " characters"
        )
    return None


def activation_problem(scale: float) -> str | None:
    """Say why an activation scale cannot be in a table, or None."""
    if not math.isfinite(scale) or scale > FLOAT32_MAX:
        return f"the scale {scale} is not a finite float32"
    if scale < 0 or printed(scale) == 0:
        return f"the scale {scale:g} is not positive, or is written as 0.000000"
    return None


def weight_problem(scale: float) -> str | None:
    """Say why a weight scale cannot be in a table, or None; zero is for a channel of zeros."""
    return None if scale == 0 else activation_problem(scale)


def _line(number: int, raw: str) -> TableLine:
    text = raw.removeprefix(BYTE_ORDER_MARK) if number == 1 else raw
    text = re.split(r"[\r\0]", text, maxsplit=1)[0].lstrip(" ")
    comment = text.startswith("#")
    words = [word for word in re.split(f"[{_SPACE}]+", text.lstrip("#")) if word]
    key, values = (words[0], tuple(words[1:])) if words else ("", ())
    return TableLine(number, key, values, comment, raw)
