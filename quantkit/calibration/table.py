"""The calibration table: ncnn2table's text form, read strictly and written to the byte."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from quantkit.calibration.finding import refuse
from quantkit.calibration.line_findings import line_findings
from quantkit.calibration.table_lines import (
    WEIGHT_SUFFIX,
    Entries,
    Row,
    TableLine,
    activation_problem,
    layer_of,
    name_problem,
    table_lines,
    table_text,
    weight_problem,
)
from quantkit.errors import InputError


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
        others: Key to scales of the rows that ncnn2table writes for layers of other types, such as
            `attention_param_3`; kept as they are, as those layers stay fp32 here.
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
    others: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    source: TableSource | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        for name, scales in self.weight_scales.items():
            problem = name_problem(name) or next(filter(None, map(weight_problem, scales)), None)
            if problem is not None or not scales:
                raise self.error(problem or f"layer '{name}' has no weight scales", name)
        for name, scale in self.activation_scales.items():
            problem = name_problem(name) or activation_problem(scale)
            if problem is not None:
                message = f"activation of layer '{name}': {problem}"
                raise self.error(message, name)

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers that have both lines: those that become int8."""
        return tuple(name for name in self.weight_scales if name in self.activation_scales)

    def text(self) -> str:
        """Write ncnn2table's text form: all weight lines, all activation lines, the others."""
        lines = [_line(name + WEIGHT_SUFFIX, s) for name, s in self.weight_scales.items()]
        lines += [_line(name, (s,)) for name, s in self.activation_scales.items()]
        lines += [_line(key, s) for key, s in self.others.items()]
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

    def weight_array(self, name: str) -> NDArray[np.float32]:
        """Give a layer's weight scales as divisors: 1 where a channel without weights has 0."""
        scales = np.array(self.weight_scales[name], np.float32)
        return np.where(scales == 0, np.float32(1), scales)

    def entries(self) -> Entries:
        """Lay the scales out by line, as `table_lines.entries` does those of a file."""
        lines = self.source.lines if self.source else {}
        others = {k: v for k, v in self.others.items() if k.endswith(WEIGHT_SUFFIX)}
        weights = {k + WEIGHT_SUFFIX: v for k, v in self.weight_scales.items()} | others
        return Entries(
            {layer_of(key): Row(lines.get(key), len(s), s) for key, s in weights.items()},
            {name: Row(lines.get(name), 1, (s,)) for name, s in self.activation_scales.items()},
            {key: lines.get(key) for key in self.others.keys() - others.keys()},
        )

    def _names(self) -> list[str]:
        others = map(layer_of, self.others)
        return list(dict.fromkeys([*self.weight_scales, *self.activation_scales, *others]))

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
            others={k: v for k, v in self.others.items() if layer_of(k) in kept},
        )


def read_table(path: Path) -> CalibrationTable:
    """Read a table file.

    Raises:
        InputError: The file cannot be read or is not a table; the line is named.
    """
    return parse_table(table_text(path), path)


def parse_table(text: str, path: Path | None = None) -> CalibrationTable:
    r"""Parse ncnn2table's text form. Lines that start with '#' are taken as absent.

    Args:
        text: The table.
        path: Where it was read, for the error messages.

    Raises:
        InputError: The first error that `line_findings` has; whatever is less is read.

    Example:
        >>> parse_table("\n")
        Traceback (most recent call last):
        quantkit.errors.InputError: table: holds no scales; calibrate again
    """
    lines = table_lines(text)
    refuse(line_findings(lines), path or "table")
    given = [line for line in lines if line.key and not line.comment]
    activations = {x.key: _scales(x)[0] for x in given if x.weights_of is None}
    first = min(line.number for line in given if line.weights_of is None)
    weights: dict[str, tuple[float, ...]] = {}
    others: dict[str, tuple[float, ...]] = {}
    for line in given:
        # ncnn2table writes the rows of layers that have weight scales alone behind all others.
        alone = line.number > first and line.layer not in activations
        if line.weights_of or (line.weights_of == 0 and alone):
            others[line.key] = _scales(line)
        elif line.weights_of == 0:
            weights[line.layer] = _scales(line)
    source = TableSource(path, {line.key: line.number for line in given})
    return CalibrationTable(weights, activations, others, source)


def _scales(line: TableLine) -> tuple[float, ...]:
    assert line.scales is not None
    return line.scales


def _line(key: str, scales: tuple[float, ...]) -> str:
    return f"{key} " + "".join(f"{scale:f} " for scale in scales) + "\n"
