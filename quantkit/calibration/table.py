"""The calibration table: ncnn2table's text form, read strictly and written to the byte."""

import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

from quantkit.errors import InputError
from quantkit.storage import read_text

WEIGHT_SUFFIX = "_param_0"
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_NOT_FINITE = re.compile(r"[+-]?(inf|infinity|nan)(\(.*\))?", re.ASCII | re.IGNORECASE)
_LONGEST_KEY = 255  # ncnn2int8 cuts longer keys and then finds no scales for the layer
_FLOAT32_MAX = (2 - 2**-23) * 2.0**127


@dataclass(frozen=True)
class TableSource:
    """Where a table was read from, so that an error can point at its line.

    Attributes:
        path: The file, or None where the text came from elsewhere.
        lines: Key as it stands in the file (`conv_param_0` or `conv`) to line, counted from 1.
    """

    path: Path | None
    lines: Mapping[str, int]


@dataclass(frozen=True)
class CalibrationTable:
    r"""Scales of the layers that run in int8; a layer that is absent stays fp32.

    A value is quantized as `round(value * scale)`. Layers keep their order.

    Attributes:
        weight_scales: Layer name to scales, one per output channel, or per group of a
            ConvolutionDepthWise.
        activation_scales: Layer name to the scale of its input blob.
        source: Where the table was read, None for a computed one; not part of equality.

    Raises:
        InputError: A name or a scale that the text form cannot hold.

    Example:
        >>> table = CalibrationTable({"conv": (127.0, 63.5)}, {"conv": 31.75})
        >>> table.text()
        'conv_param_0 127.000000 63.500000 \nconv 31.750000 \n'
        >>> parse_table(table.text()) == table
        True
    """

    weight_scales: Mapping[str, tuple[float, ...]]
    activation_scales: Mapping[str, float]
    source: TableSource | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        for name, scales in self.weight_scales.items():
            problem = name_problem(name) or next(filter(None, map(scale_problem, scales)), None)
            if problem is not None or not scales:
                raise self.error(problem or f"layer '{name}' has no weight scales", name)
        for name, scale in self.activation_scales.items():
            problem = name_problem(name) or scale_problem(scale)
            if problem is not None:
                message = f"activation of layer '{name}': {problem}"
                raise self.error(message, name)

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers that have both lines: those that become int8."""
        return tuple(name for name in self.weight_scales if name in self.activation_scales)

    def text(self) -> str:
        """Write ncnn2table's text form: all weight lines, then all activation lines."""
        lines = [_line(name + WEIGHT_SUFFIX, s) for name, s in self.weight_scales.items()]
        lines += [_line(name, (s,)) for name, s in self.activation_scales.items()]
        return "".join(lines)

    def without(self, names: Collection[str]) -> Self:
        """Leave layers in fp32.

        Raises:
            InputError: A name is not in the table.
        """
        self._require(names)
        dropped = set(names)
        return self._kept([name for name in self._names() if name not in dropped])

    def only(self, names: Collection[str]) -> Self:
        """Leave all other layers in fp32.

        Raises:
            InputError: A name is not in the table.
        """
        self._require(names)
        return self._kept(names)

    def error(self, message: str, key: str) -> InputError:
        """Make an error that points at the line of a key, where there is one."""
        if self.source is None:
            return InputError(message)
        line = self.source.lines.get(key)
        return InputError(message, path=self.source.path or "table", line=line)

    def _names(self) -> list[str]:
        return list(dict.fromkeys([*self.weight_scales, *self.activation_scales]))

    def _require(self, names: Collection[str]) -> None:
        known = set(self._names())
        missing = [name for name in names if name not in known]
        if missing:
            message = f"layer '{missing[0]}' is not in the table; it has {len(known)} layers"
            raise self.error(message, missing[0])

    def _kept(self, names: Collection[str]) -> Self:
        kept = set(names)
        return replace(
            self,
            weight_scales={k: v for k, v in self.weight_scales.items() if k in kept},
            activation_scales={k: v for k, v in self.activation_scales.items() if k in kept},
        )


def read_table(path: Path) -> CalibrationTable:
    """Read a table file.

    Raises:
        InputError: The file cannot be read or is not a table; the line is named.
    """
    return parse_table(read_text(path), path)


def parse_table(text: str, path: Path | None = None) -> CalibrationTable:
    r"""Parse ncnn2table's text form. Lines that start with '#' are taken as absent.

    Args:
        text: The table.
        path: Where it was read, for the error messages.

    Raises:
        InputError: With the line: a blank line, a count, a number, a repeated key, a scale
            that is not positive and finite, or a name that ncnn2int8 would not find again.

    Example:
        >>> parse_table("conv_param_0 1.0 \n\nconv 2.0 \n")
        Traceback (most recent call last):
        quantkit.errors.InputError: table:2: blank line, where ncnn2int8 stops reading: remove it
    """
    weights: dict[str, tuple[float, ...]] = {}
    activations: dict[str, float] = {}
    lines: dict[str, int] = {}
    for number, line in enumerate(text.removesuffix("\n").split("\n") if text else [], start=1):
        if line.startswith("#"):
            continue
        problem = _line_problem(line, lines)
        if problem is not None:
            raise InputError(problem, path=path or "table", line=number)
        key, *values = line.split()
        lines[key] = number
        if key.endswith(WEIGHT_SUFFIX):
            weights[key.removesuffix(WEIGHT_SUFFIX)] = tuple(map(float, values))
        else:
            activations[key] = float(values[0])
    if not lines:
        message = "holds no scales; calibrate again, or run the network in fp32"
        raise InputError(message, path=path or "table")
    return CalibrationTable(weights, activations, TableSource(path, lines))


def printed(scale: float) -> float:
    """Round a scale to the six decimals that the table keeps.

    Example:
        >>> printed(1 / 3)
        0.333333
    """
    return float(f"{scale:f}")


def name_problem(name: str) -> str | None:
    """Say why a layer of this name cannot be in a table, or None."""
    if not name or name.startswith("#") or any(c.isspace() for c in name):
        return f"layer name '{name}' is empty, starts with '#' or has a space: rename the layer"
    if "_param_" in name:
        return f"layer name '{name}' contains '_param_', which ncnn2int8 misfiles: rename the layer"
    if len(name + WEIGHT_SUFFIX) > _LONGEST_KEY:
        return (
            f"layer name '{name[:40]}...' is too long: a key has at most {_LONGEST_KEY} characters"
        )
    return None


def scale_problem(scale: float) -> str | None:
    """Say why a scale cannot be in a table, or None."""
    if not math.isfinite(scale) or scale > _FLOAT32_MAX:
        return f"the scale {scale} is not a finite float32"
    if scale < 0 or printed(scale) == 0:
        return f"the scale {scale:g} is not positive, or is written as 0.000000"
    return None


def _line(key: str, scales: tuple[float, ...]) -> str:
    return f"{key} " + "".join(f"{scale:f} " for scale in scales) + "\n"


def _line_problem(line: str, earlier: Mapping[str, int]) -> str | None:
    if not line.strip():
        return "blank line, where ncnn2int8 stops reading: remove it"
    key, *values = line.split()
    if not values:
        return f"expected a name and its scales, got '{line.strip()[:60]}'"
    if key in earlier:
        return f"'{key[:60]}' stands in line {earlier[key]} already: remove one"
    if not key.endswith(WEIGHT_SUFFIX) and len(values) != 1:
        return f"activation '{key[:60]}' has {len(values)} scales, expected 1"
    return _key_problem(key) or next(
        (f"'{key[:60]}': {problem}" for problem in map(_value_problem, values) if problem), None
    )


def _key_problem(key: str) -> str | None:
    name = key.removesuffix(WEIGHT_SUFFIX)
    if re.search(r"_param_\d+$", name):
        return f"'{key[:60]}' is of a layer type that is not quantized here: remove the line"
    return name_problem(name)


def _value_problem(value: str) -> str | None:
    if _NOT_FINITE.fullmatch(value):
        return (
            f"the scale is {value}, as ncnn2table writes it for zeros only: put 1.000000 there,"
            " or remove both lines of the layer to leave it in fp32"
        )
    if not _NUMBER.fullmatch(value):
        return f"'{value[:40]}' is not a number"
    problem = scale_problem(float(value))
    return problem and f"{problem}: remove both lines of the layer to leave it in fp32"
