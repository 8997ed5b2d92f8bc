"""The .param file: ncnn's text form of a layer graph, read strictly and written without loss.

A file is the magic number, the counts of layers and blobs, and one line a layer: type, name,
number of bottoms and tops, their blob names, then `id=value` pairs. An array is written
`-233ID=count,a,b` (older writers) or `ID=a,b`. Facts: ncnn src/net.cpp, src/paramdict.cpp.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from quantkit.errors import InputError
from quantkit.model.layer import Layer, Origin
from quantkit.model.layer_types import ARITIES
from quantkit.model.param_tokens import WHITESPACE, split_parameters
from quantkit.storage import read_text

__all__ = ["MAGIC", "Layer", "Param", "parse_param", "read_param"]

MAGIC = "7767517"
_GAP = re.compile(f"[{WHITESPACE}]+")
_PARAMETER = re.compile(r"[+-]?\d+=", re.ASCII)
_LONGEST_NAME = 255


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
    lines = [(i, line) for i, line in enumerate(text.split("\n"), 1) if line.strip(WHITESPACE)]
    if not lines or lines[0][1].strip(WHITESPACE) != MAGIC:
        message = f"a .param file begins with {MAGIC}; give ncnn's text form of the network"
        raise InputError(message, path=path, line=1)
    layers = tuple(_parse_layer(line, Origin(path, number)) for number, line in lines[2:])
    _check_names(layers)
    param = Param(layers, path)
    _check_counts(param, lines[1] if len(lines) > 1 else (2, ""))
    return param


def _parse_layer(line: str, origin: Origin) -> Layer:
    head = _GAP.split(line.strip(WHITESPACE), maxsplit=4)
    try:
        kind, name = head[:2]
        bottoms, tops = _count(head[2]), _count(head[3])
    except (ValueError, IndexError) as error:
        message = "expected a layer: type name bottoms tops blobs... id=value..."
        raise InputError(message, path=origin.path, line=origin.line) from error
    words = _words(head[4] if len(head) > 4 else "", bottoms + tops)
    blobs, parameters = tuple(words[: bottoms + tops]), words[bottoms + tops :]
    layer = Layer(
        type=kind,
        name=name,
        bottoms=blobs[:bottoms],
        tops=blobs[bottoms:],
        columns=_columns(line, kind, name),
        origin=origin,
    )
    _check_arity(layer, bottoms, tops)
    try:
        params = split_parameters(parameters[0] if parameters else "")
    except ValueError as error:
        raise layer.error(str(error)) from error
    return replace(layer, params=params)


def _words(text: str, count: int) -> list[str]:
    """Split off so many words; what follows them stays whole."""
    return _GAP.split(text, maxsplit=count) if count else [text]


def _check_arity(layer: Layer, bottoms: int, tops: int) -> None:
    blobs = layer.bottoms + layer.tops
    if len(blobs) < bottoms + tops or any(map(_PARAMETER.match, blobs)):
        message = f"there are fewer blob names than the counts {bottoms} and {tops} say"
        raise layer.error(message)
    if (arity := ARITIES.get(layer.type)) and not arity.admits(bottoms, tops):
        message = f"this type does not have {bottoms} bottoms and {tops} tops"
        raise layer.error(message)


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
            f"the counts of layers and blobs are '{text.strip()}', but what follows has '{wanted}';"
            " restore the lines that are missing, or write those counts"
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
