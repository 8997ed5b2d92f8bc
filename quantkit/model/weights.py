"""The .bin file: the weight records of every layer, in the order of the .param.

A tagged record is a storage tag, the elements and padding to 4 bytes; an untagged one is bare
fp32. Arrays are views of the file's bytes, never copies. Facts: ncnn src/modelbin.cpp.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from quantkit.errors import InputError
from quantkit.model.layer_records import RecordSpec, record_specs
from quantkit.model.layer_types import ARITIES
from quantkit.model.param import Layer, Param
from quantkit.storage import read_bytes

Array = npt.NDArray[Any]
FloatArray = npt.NDArray[np.float32]
Storage = Literal["fp32", "fp16", "int8"]

TAGS: Final[Mapping[int, Storage]] = {
    0: "fp32",
    0x0002C056: "fp32",
    0x01306B47: "fp16",
    0x000D4B38: "int8",
}
DTYPES: Final[Mapping[Storage, np.dtype[np.generic]]] = {
    "fp32": np.dtype("<f4"),
    "fp16": np.dtype("<f2"),
    "int8": np.dtype("i1"),
}
FP32_TAG, FP16_TAG, INT8_TAG = 0, 0x01306B47, 0x000D4B38


@dataclass(frozen=True, eq=False)
class Record:
    """One array as it is stored.

    Args:
        stored: Flat array of float32, float16 or int8.
        tag: The storage tag before it, None for an untagged record.
    """

    stored: Array
    tag: int | None = None

    def values(self) -> Array:
        """The elements: float32, or the stored integers of an int8 record."""
        return self.stored.astype(np.float32) if self.stored.dtype == np.float16 else self.stored

    def parts(self) -> Iterator[bytes | memoryview]:
        """Yield the bytes of the record, padding included."""
        if self.tag is not None:
            yield self.tag.to_bytes(4, "little")
        yield np.ascontiguousarray(self.stored).view(np.uint8).data
        yield bytes(-self.stored.nbytes % 4)

    @property
    def nbytes(self) -> int:
        """Size in the file, in bytes."""
        return (0 if self.tag is None else 4) + self.stored.nbytes + -self.stored.nbytes % 4


@dataclass(frozen=True, eq=False)
class LayerWeights(Mapping[str, Array]):
    """The records of one layer; as a mapping it gives their values by role.

    Args:
        records: Record by role (`weight`, `bias`, ..) in the order of the file.

    Example:
        >>> weights = LayerWeights({"bias": Record(np.zeros(3, np.float32))})
        >>> weights["bias"].shape, weights.nbytes
        ((3,), 12)
    """

    records: Mapping[str, Record]

    def __getitem__(self, name: str) -> Array:
        return self.records[name].values()

    def __iter__(self) -> Iterator[str]:
        return iter(self.records)

    def __len__(self) -> int:
        return len(self.records)

    @property
    def nbytes(self) -> int:
        """Size in the file, in bytes."""
        return sum(record.nbytes for record in self.records.values())


Weights = Mapping[str, LayerWeights]


def read_weights(param: Param, path: Path) -> Weights:
    """Read a .bin file.

    Args:
        param: The graph that the file belongs to.
        path: The .bin file.

    Returns:
        Weights by layer name, for the layers that have any.

    Raises:
        InputError: The file cannot be read, is too short or too long, or holds NaN or infinity.
    """
    return parse_weights(param, read_bytes(path), path)


def parse_weights(param: Param, data: bytes, path: Path | None = None) -> Weights:
    """Cut the bytes of a .bin file into records.

    Raises:
        InputError: As in `read_weights`; the layer and the byte offset are named.
    """
    cursor = _Cursor(data, path, _unknown_types(param))
    weights: dict[str, LayerWeights] = {}
    for layer in param.layers:
        if specs := record_specs(layer):
            records = {spec.name: cursor.record(layer, spec) for spec in specs}
            weights[layer.name] = LayerWeights(records)
    if not param.ignored_lines:
        cursor.check_end(next(reversed(weights), None))
    return weights


def bin_parts(param: Param, weights: Weights) -> Iterator[bytes | memoryview]:
    """Yield the bytes of the .bin file piece by piece.

    Raises:
        InputError: A layer's records are not those that its parameters ask for.
    """
    for layer in param.layers:
        specs = record_specs(layer)
        records = weights[layer.name].records if layer.name in weights else {}
        wanted = [(spec.name, spec.count, spec.tagged) for spec in specs]
        found = [(name, x.stored.size, x.tag is not None) for name, x in records.items()]
        if wanted != found:
            message = f"needs the weight records {wanted}, has {found}"
            raise layer.error(message)
        for record in records.values():
            yield from record.parts()


class _Cursor:
    """A place in the bytes of a .bin file, moving on record by record."""

    def __init__(self, data: bytes, path: Path | None, hint: str) -> None:
        self._data = data
        self._path = path
        self._hint = hint
        self._position = 0

    def record(self, layer: Layer, spec: RecordSpec) -> Record:
        start = self._position
        tag = self._tag(layer, spec) if spec.tagged else None
        dtype = DTYPES["fp32" if tag is None else TAGS[tag]]
        size = spec.count * dtype.itemsize
        self._need(layer, spec, size + -size % 4)
        stored = np.frombuffer(self._data, dtype, spec.count, self._position)
        self._position += size + -size % 4
        _check_finite(layer, spec, stored, start, self._path)
        return Record(stored, tag)

    def check_end(self, last: str | None) -> None:
        left = len(self._data) - self._position
        if left:
            after = (
                f"after the last weights (layer '{last}')" if last else "of a net without weights"
            )
            message = f"too long: {left} bytes left at byte {self._position} {after}"
            raise self._misfit(message)

    def _tag(self, layer: Layer, spec: RecordSpec) -> int:
        self._need(layer, spec, 4)
        tag = int.from_bytes(self._data[self._position : self._position + 4], "little")
        if tag not in TAGS:
            place = f"at byte {self._position}, for '{spec.name}' of layer '{layer.name}'"
            message = f"unknown storage tag 0x{tag:08X} {place}"
            raise self._misfit(message)
        self._position += 4
        return tag

    def _need(self, layer: Layer, spec: RecordSpec, size: int) -> None:
        if self._position + size > len(self._data):
            place = f"needs {size} bytes at byte {self._position}, the file has {len(self._data)}"
            message = f"too short: '{spec.name}' of layer '{layer.name}' {place}"
            raise self._misfit(message)

    def _misfit(self, message: str) -> InputError:
        text = f"{message}; give the .param and .bin of one network{self._hint}"
        return InputError(text, path=self._path)


def _unknown_types(param: Param) -> str:
    unknown = sorted({layer.type for layer in param.layers} - ARITIES.keys())
    return f" (what weights these types have is unknown: {', '.join(unknown)})" if unknown else ""


def _check_finite(
    layer: Layer, spec: RecordSpec, stored: Array, start: int, path: Path | None
) -> None:
    if stored.dtype == np.int8:
        return
    # A dead channel has an infinite weight scale, and ncnn runs it right.
    bad = np.isnan(stored) if spec.name == "weight_scales" else ~np.isfinite(stored)
    if bad.any():
        index = int(bad.argmax())
        message = (
            f"'{spec.name}' of layer '{layer.name}' (at byte {start}) has {stored[index]} at index "
            f"{index}; export the network again from finite weights"
        )
        raise InputError(message, path=path)
