"""How a worker and its parent talk: a JSON header, then arrays, each length known before.

A message is a 4-byte little-endian header length, the header (a JSON object whose "arrays" gives
the type and the shape of each array) and the arrays' values, little-endian, in C order.
"""

import json
import math
import struct
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_LENGTH: Final = struct.Struct("<I")
_LONGEST_HEADER: Final = 1 << 20
_LARGEST_ARRAY: Final = 1 << 28
_TYPES: Final = ("<f4", "|u1")

Values = NDArray[np.float32] | NDArray[np.uint8]
"""What can be sent: network inputs and outputs, and grey levels."""

Message = tuple[dict[str, Any], list[NDArray[Any]]]
Fill = Callable[[memoryview], object]
"""Fills the whole buffer with what comes next, or raises EOFError."""

Write = Callable[[bytes | memoryview], object]
"""Writes all the bytes or raises an OSError."""


class MessageError(Exception):
    """The other side sent something that is no message."""


def send(write: Write, header: dict[str, Any], arrays: Sequence[Values]) -> None:
    """Write one message.

    Args:
        write: Writes all the bytes that it is given.
        header: A JSON object; its "arrays" is filled in here.
        arrays: float32 or uint8 arrays of any shape.
    """
    values = [np.asarray(array, dtype=_type(array), order="C") for array in arrays]
    kinds = [[array.dtype.str, list(array.shape)] for array in values]
    text = json.dumps(header | {"arrays": kinds}).encode()
    write(_LENGTH.pack(len(text)) + text)
    for array in values:
        write(array.reshape(-1).view(np.uint8).data if array.size else b"")


def receive(fill: Fill) -> Message:
    """Read one message.

    Args:
        fill: Fills a buffer with what comes next.

    Raises:
        EOFError: The other side is gone.
        MessageError: What came is no message.

    Example:
        >>> import io
        >>> pipe = io.BytesIO()
        >>> send(pipe.write, {"id": 7}, [np.ones((2, 3), np.float32)])
        >>> _ = pipe.seek(0)
        >>> header, arrays = receive(pipe.readinto)
        >>> header["id"], arrays[0].shape
        (7, (2, 3))
    """
    prefix = bytearray(_LENGTH.size)
    fill(memoryview(prefix))
    (length,) = _LENGTH.unpack(prefix)
    if length > _LONGEST_HEADER:
        message = f"a header of {length} bytes"
        raise MessageError(message)
    text = bytearray(length)
    fill(memoryview(text))
    header = _header(bytes(text))
    return header, [_array(fill, kind) for kind in header.pop("arrays")]


def _type(array: Values) -> str:
    return "|u1" if array.dtype == np.uint8 else "<f4"


def _header(text: bytes) -> dict[str, Any]:
    try:
        header = json.loads(text)
    except ValueError as error:
        message = "a header that is not JSON"
        raise MessageError(message) from error
    if not isinstance(header, dict) or not isinstance(header.get("arrays"), list):
        message = "a header without arrays"
        raise MessageError(message)
    return header


def _array(fill: Fill, kind: object) -> NDArray[Any]:
    match kind:
        case [str(name), list(shape)] if name in _TYPES and all(map(_is_size, shape)):
            if math.prod(shape) <= _LARGEST_ARRAY:
                array = np.empty(shape, name)
                if array.size:
                    fill(array.reshape(-1).view(np.uint8).data)
                return array
    message = f"an array of kind {kind}"
    raise MessageError(message)


def _is_size(value: object) -> bool:
    return type(value) is int and 0 <= value <= _LARGEST_ARRAY
