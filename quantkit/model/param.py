"""The .param file: ncnn's text form of a layer graph, read strictly and written without loss.

A file is the magic number, the counts of layers and blobs, and one line a layer: type, name,
number of bottoms and tops, their blob names, then `id=value` pairs. An array is written
`-233ID=count,a,b` (older writers) or `ID=a,b`. Facts: ncnn src/net.cpp, src/paramdict.cpp.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from quantkit.errors import InputError
from quantkit.model.layer_types import ARITIES
from quantkit.model.param_tokens import parameter_id, split_parameters
from quantkit.storage import read_text

MAGIC = "7767517"
_LONGEST_NAME = 255


@dataclass(frozen=True)
class Origin:
    """The place in a file that a layer was read from."""

    path: Path | None = None
    line: int | None = None


@dataclass(frozen=True)
class Layer:
    """One line of a .param file.

    Args:
        type: ncnn's layer type, such as `Convolution`.
        name: Unique name of the layer.
        bottoms: Names of the blobs it reads.
        tops: Names of the blobs it makes.
        params: Raw value by raw key (an array's key is `-23300 - id` where the file has it so).
        columns: Widths that type and name are padded to.
        origin: Where it was read, for error messages.

    Example:
        >>> layer = Layer("ReLU", "relu1", ("a",), ("b",), {0: "0.1"})
        >>> layer.float_param(0, 0.0)
        0.1
        >>> layer.text()
        'ReLU                     relu1                    1 1 a b 0=0.1'
    """

    type: str
    name: str
    bottoms: tuple[str, ...]
    tops: tuple[str, ...]
    params: Mapping[int, str] = field(default_factory=dict)
    columns: tuple[int, int] = field(default=(24, 24), compare=False, repr=False)
    origin: Origin = field(default=Origin(), compare=False, repr=False)

    def int_param(self, number: int, default: int) -> int:
        """Read an integer parameter.

        Raises:
            InputError: The parameter is there but no integer.
        """
        try:
            return int(self.params.get(number, default))
        except ValueError as error:
            raise self._wrong(number, "an integer") from error

    def float_param(self, number: int, default: float) -> float:
        """Read a number.

        Raises:
            InputError: The parameter is there but no number.
        """
        try:
            return float(self.params.get(number, default))
        except ValueError as error:
            raise self._wrong(number, "a number") from error

    def array_param(self, number: int) -> tuple[float, ...]:
        """Read an array, empty where the layer has none; integers come as whole floats."""
        counted = self.params.get(-23300 - number)
        raw = self.params.get(number, "") if counted is None else counted.partition(",")[2]
        try:
            return tuple(float(value) for value in raw.split(",") if value)
        except ValueError as error:
            raise self._wrong(number, "an array of numbers") from error

    def with_params(self, changes: Mapping[int, str | None]) -> "Layer":
        """Set parameters, or take them out with None; the order by id is kept.

        Example:
            >>> Layer("ReLU", "r", ("a",), ("b",), {9: "1"}).with_params({8: "2"}).params
            {8: '2', 9: '1'}
        """
        params = {key: value for key, value in self.params.items() if key not in changes}
        for key, value in changes.items():
            if value is not None:
                params = _inserted(params, key, value)
        return replace(self, params=params)

    def text(self) -> str:
        """Write the line, without its newline."""
        head = f"{self.type:<{self.columns[0]}} {self.name:<{self.columns[1]}}"
        params = (f"{key}={value}" for key, value in self.params.items())
        counts = (str(len(self.bottoms)), str(len(self.tops)))
        return " ".join((head, *counts, *self.bottoms, *self.tops, *params))

    def error(self, message: str) -> InputError:
        """Make an error about this layer, with its place in the file where that is known."""
        text = f"{self.type} '{self.name}': {message}"
        return InputError(text, path=self.origin.path, line=self.origin.line)

    def _wrong(self, number: int, wanted: str) -> InputError:
        return self.error(f"parameter {number} must be {wanted}, got '{self.params[number]}'")


@dataclass(frozen=True)
class Param:
    """A layer graph, in execution order.

    Args:
        layers: The layers; every blob is made before it is read.
        path: The file it was read from, for error messages.
    """

    layers: tuple[Layer, ...]
    path: Path | None = field(default=None, compare=False, repr=False)

    @property
    def blob_count(self) -> int:
        """Number of blobs that the layers make."""
        return sum(len(layer.tops) for layer in self.layers)

    @cached_property
    def by_name(self) -> Mapping[str, Layer]:
        """The layers by name."""
        return {layer.name: layer for layer in self.layers}

    def layer(self, name: str) -> Layer:
        """Find a layer.

        Raises:
            InputError: There is none of that name.
        """
        if name not in self.by_name:
            message = f"there is no layer '{name}'"
            raise InputError(message, path=self.path)
        return self.by_name[name]

    def text(self) -> str:
        """Write the whole file."""
        lines = (MAGIC, f"{len(self.layers)} {self.blob_count}", *(x.text() for x in self.layers))
        return "\n".join(lines) + "\n"


def read_param(path: Path) -> Param:
    """Read a .param file.

    Raises:
        InputError: The file cannot be read or is malformed; the line is named.
    """
    return parse_param(read_text(path), path)


def parse_param(text: str, path: Path | None = None) -> Param:
    r"""Parse the text of a .param file.

    Args:
        text: The whole file.
        path: The file's path, for error messages.

    Raises:
        InputError: Wrong magic, counts, names or parameters; the line is named.

    Example:
        >>> parse_param("7767517\n1 1\nInput data 0 1 data\n").layers[0].tops
        ('data',)
    """
    lines = [(i, line) for i, line in enumerate(text.split("\n"), 1) if line.strip()]
    if not lines or lines[0][1].strip() != MAGIC:
        message = f"a .param file begins with {MAGIC}; give ncnn's text form of the network"
        raise InputError(message, path=path, line=1)
    layers = tuple(_parse_layer(line, Origin(path, number)) for number, line in lines[2:])
    _check_names(layers)
    param = Param(layers, path)
    _check_counts(param, lines[1] if len(lines) > 1 else (2, ""))
    return param


def _parse_layer(line: str, origin: Origin) -> Layer:
    head = line.split(maxsplit=4)
    try:
        kind, name = head[:2]
        bottoms, tops = _count(head[2]), _count(head[3])
    except (ValueError, IndexError) as error:
        message = "expected a layer: type name bottoms tops blobs... id=value..."
        raise InputError(message, path=origin.path, line=origin.line) from error
    rest = head[4] if len(head) > 4 else ""
    *blobs, parameters = [*rest.split(maxsplit=bottoms + tops), ""][: bottoms + tops + 1]
    if len(blobs) < bottoms + tops or any("=" in blob for blob in blobs):
        message = f"layer '{name}' has fewer blob names than its counts {bottoms} and {tops} say"
        raise InputError(message, path=origin.path, line=origin.line)
    layer = Layer(
        type=kind,
        name=name,
        bottoms=tuple(blobs[:bottoms]),
        tops=tuple(blobs[bottoms:]),
        columns=_columns(line, kind, name),
        origin=origin,
    )
    if (arity := ARITIES.get(kind)) and not arity.admits(bottoms, tops):
        message = f"this type does not have {bottoms} bottoms and {tops} tops"
        raise layer.error(message)
    try:
        return replace(layer, params=split_parameters(parameters))
    except ValueError as error:
        raise layer.error(str(error)) from error


def _count(token: str) -> int:
    if not (token.isascii() and token.isdigit() and len(token) < 6):
        raise ValueError(token)
    return int(token)


def _columns(line: str, kind: str, name: str) -> tuple[int, int]:
    start = line.index(kind)
    at_name = line.index(name, start + len(kind))
    after = line[at_name + len(name) :]
    gap = len(after) - len(after.lstrip(" "))
    return at_name - start - 1, len(name) + gap - 1


def _check_counts(param: Param, header: tuple[int, str]) -> None:
    number, text = header
    wanted = f"{len(param.layers)} {param.blob_count}"
    if text.split() != wanted.split():
        message = (
            f"the file has {len(param.layers)} layers that make {param.blob_count} blobs, so this "
            f"line must be '{wanted}', got '{text.strip()}'"
        )
        raise InputError(message, path=param.path, line=number)


def _check_names(layers: tuple[Layer, ...]) -> None:
    names: set[str] = set()
    blobs: set[str] = set()
    for layer in layers:
        if layer.name in names:
            message = "another layer has this name; rename one of them"
            raise layer.error(message)
        names.add(layer.name)
        for blob in layer.bottoms:
            if blob not in blobs:
                message = f"no layer above makes the blob '{blob}' that it reads"
                raise layer.error(message)
        for blob in layer.tops:
            if blob in blobs:
                message = f"the blob '{blob}' is made a second time; rename it"
                raise layer.error(message)
            blobs.add(blob)
        for text in (layer.type, layer.name, *layer.tops):
            if len(text.encode()) > _LONGEST_NAME:
                message = f"a name is longer than {_LONGEST_NAME} bytes; shorten it"
                raise layer.error(message)


def _inserted(params: Mapping[int, str], key: int, value: str) -> dict[int, str]:
    entries = list(params.items())
    later = (i for i, (old, _) in enumerate(entries) if parameter_id(old) > parameter_id(key))
    entries.insert(next(later, len(entries)), (key, value))
    return dict(entries)
