"""How a worker and its parent talk: a JSON header, then float32 arrays, each length known before.

A message is a 4-byte little-endian header length, the header (a JSON object whose "shapes" tells
the arrays' shapes) and the arrays' values, little-endian, in C order.
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
_LONGEST_ARRAY: Final = 1 << 32

Message = tuple[dict[str, Any], list[NDArray[np.float32]]]
Read = Callable[[int], bytearray]
"""Returns exactly so many bytes or raises EOFError."""

Write = Callable[[bytes | memoryview], object]
"""Writes all the bytes or raises an OSError."""


class MessageError(Exception):
    """The other side sent something that is no message."""


def send(write: Write, header: dict[str, Any], arrays: Sequence[NDArray[np.float32]]) -> None:
    """Write one message.

    Args:
        write: Writes all the bytes that it is given.
        header: A JSON object; its "shapes" is filled in here.
        arrays: float32 arrays of any shape.
    """
    values = [np.asarray(array, dtype="<f4", order="C") for array in arrays]
    text = json.dumps(header | {"shapes": [list(array.shape) for array in values]}).encode()
    write(_LENGTH.pack(len(text)) + text)
    for array in values:
        write(array.reshape(-1).view(np.uint8).data if array.size else b"")


def receive(read: Read) -> Message:
    """Read one message.

    Args:
        read: Returns exactly as many bytes as it is asked for.

    Raises:
        EOFError: The other side is gone.
        MessageError: What came is no message.

    Example:
        >>> import io
        >>> pipe = io.BytesIO()
        >>> send(pipe.write, {"id": 7}, [np.ones((2, 3), np.float32)])
        >>> _ = pipe.seek(0)
        >>> header, arrays = receive(lambda size: bytearray(pipe.read(size)))
        >>> header["id"], arrays[0].shape
        (7, (2, 3))
    """
    (length,) = _LENGTH.unpack(read(_LENGTH.size))
    if length > _LONGEST_HEADER:
        message = f"a header of {length} bytes"
        raise MessageError(message)
    header = _header(bytes(read(length)))
    return header, [_array(read, shape) for shape in header.pop("shapes")]


def _header(text: bytes) -> dict[str, Any]:
    try:
        header = json.loads(text)
    except ValueError as error:
        message = "a header that is not JSON"
        raise MessageError(message) from error
    if not isinstance(header, dict) or not isinstance(header.get("shapes"), list):
        message = "a header without shapes"
        raise MessageError(message)
    return header


def _array(read: Read, shape: object) -> NDArray[np.float32]:
    whole = isinstance(shape, list) and all(isinstance(n, int) and n >= 0 for n in shape)
    if not whole or math.prod(shape) > _LONGEST_ARRAY:  # type: ignore[call-overload]
        message = f"an array of shape {shape}"
        raise MessageError(message)
    size = math.prod(shape)  # type: ignore[call-overload]
    return np.frombuffer(read(4 * size), dtype="<f4").reshape(shape)  # type: ignore[call-overload,no-any-return]
