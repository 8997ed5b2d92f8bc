"""The .param file: ncnn's text form of a layer graph, read strictly and written without loss.

A file is the magic number, the counts of layers and blobs, and one line a layer: type, name,
number of bottoms and tops, their blob names, then `id=value` pairs. An array is written
`-233ID=count,a,b` (older writers) or `ID=a,b`. Facts: ncnn src/net.cpp, src/paramdict.cpp.

Two irregularities that ncnn accepts are put right and noted: counts that are not those of the
lines, and several layers of one name, which a calibration table could not tell apart.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import count
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
_COUNT = re.compile(r"\+?\d{1,9}", re.ASCII)
_COUNTS = 2
_LONGEST_NAME = 255


@dataclass(frozen=True)
class Param:
    """A layer graph, in execution order.

    Args:
        layers: The layers; every blob is made before it is read.
        path: The file it was read from, for error messages.
        notes: What was put right in that file, a sentence each.
        ignored_lines: How many lines the file has beyond the layers that its header counts, which
            ncnn does not read either. The .bin may then hold weights for them.
    """

    layers: tuple[Layer, ...]
    path: Path | None = field(default=None, compare=False, repr=False)
    notes: tuple[str, ...] = field(default=(), compare=False, repr=False)
    ignored_lines: int = field(default=0, compare=False, repr=False)

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
    if not lines or _GAP.split(lines[0][1].strip(WHITESPACE))[0] != MAGIC:
        message = f"a .param file begins with {MAGIC}; give ncnn's text form of the network"
        raise InputError(message, path=path, line=1)
    header, body = _split_header(lines, path)
    if body and body[0][1].lstrip(WHITESPACE).startswith("pnnx."):
        message = "is pnnx's own form of the network; give ncnn's, the .ncnn.param beside it"
        raise InputError(message, path=path)
    layers = tuple(_parse_layer(line, Origin(path, i)) for i, line in body[: header.layers])
    _check_blobs(layers)
    layers, renamed = _with_unique_names(layers)
    for layer in layers:
        _check_lengths(layer)
    notes = (*header.notes(layers, len(body), path), *renamed)
    return Param(layers, path, notes, ignored_lines=len(body) - len(layers))


@dataclass(frozen=True)
class _Header:
    """The counts of layers and blobs, and the line they end on."""

    layers: int
    blobs: int
    line: int

    def notes(self, layers: Sequence[Layer], lines: int, path: Path | None) -> list[str]:
        """Say where the counts are not those of the lines, if ncnn reads the file all the same."""
        blobs = sum(len(layer.tops) for layer in layers)
        if self.layers > lines or self.blobs < blobs:
            message = (
                f"the counts of layers and blobs are '{self.layers} {self.blobs}', but what follows"
                f" has '{lines} {blobs}'; restore the lines that are missing, or write those counts"
            )
            raise InputError(message, path=path, line=self.line)
        notes = []
        if left := lines - self.layers:
            notes.append(
                f"its header counts {self.layers} layers: as in ncnn, the last {left} of its"
                f" {lines} are not read"
            )
        if self.blobs > blobs:
            notes.append(f"its header counts {self.blobs} blobs, its layers make {blobs}")
        return notes


def _split_header(
    lines: list[tuple[int, str]], path: Path | None
) -> tuple[_Header, list[tuple[int, str]]]:
    """Read the magic and the counts, which may share a line or have one each, as ncnn does."""
    counts: list[int] = []
    for index, (number, line) in enumerate(lines):
        words = _GAP.split(line.strip(WHITESPACE))[0 if index else 1 :]
        if len(counts) + len(words) > _COUNTS or not all(map(_COUNT.fullmatch, words)):
            message = f"expected the counts of layers and blobs, got '{' '.join(words)[:60]}'"
            raise InputError(message, path=path, line=number)
        counts += map(int, words)
        if len(counts) == _COUNTS:
            break
    if len(counts) < _COUNTS or not counts[0]:
        message = "the counts of layers and blobs are missing or 0"
        raise InputError(message, path=path, line=number)
    return _Header(counts[0], counts[1], number), lines[index + 1 :]


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


def _check_blobs(layers: tuple[Layer, ...]) -> None:
    blobs: set[str] = set()
    for layer in layers:
        for blob in layer.bottoms:
            if blob not in blobs:
                message = f"no layer above makes the blob '{blob}' that it reads"
                raise layer.error(message)
        for blob in layer.tops:
            if blob in blobs:
                message = f"the blob '{blob}' is made a second time; rename it"
                raise layer.error(message)
            blobs.add(blob)


def _with_unique_names(layers: tuple[Layer, ...]) -> tuple[tuple[Layer, ...], list[str]]:
    """Number the second and later layers of one name; a table is keyed by names."""
    taken = {layer.name for layer in layers}
    seen: set[str] = set()
    unique: list[Layer] = []
    new: dict[str, list[str]] = {}
    for layer in layers:
        name = layer.name
        if name in seen:
            name = next(x for k in count(2) if (x := f"{layer.name}_{k}") not in taken)
            taken.add(name)
            new.setdefault(layer.name, []).append(name)
        seen.add(name)
        unique.append(layer if name == layer.name else replace(layer, name=name))
    notes = [
        f"{len(names) + 1} layers are named '{old}': here and in what is written the later are"
        f" {', '.join(map(repr, names[:4]))}{', ...' if len(names) > 4 else ''}"
        for old, names in new.items()
    ]
    return tuple(unique), notes


def _check_lengths(layer: Layer) -> None:
    for text in (layer.type, layer.name, *layer.tops):
        if len(text.encode()) > _LONGEST_NAME:
            message = f"a name is longer than {_LONGEST_NAME} bytes; shorten it"
            raise layer.error(message)
