"""Strict reading of one JSON object: every field there, of its type, and no other."""

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from quantkit.errors import InputError

Scalar = int | float | str | None
_DEEPEST: Final = 16
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


class Fields:
    """The fields of one object of a manifest.

    Args:
        value: What the JSON holds there.
        place: What to call the object in errors: "entry 3".
        path: The file.
        names: The fields that it must have, and no others.

    Raises:
        InputError: It is no object, or a field is missing or unknown.

    Example:
        >>> Fields({"count": True}, "the manifest", Path("a.json"), ["count"]).integer("count")
        Traceback (most recent call last):
        quantkit.errors.InputError: a.json: the manifest: 'count' must be an integer, got true
    """

    def __init__(self, value: object, place: str, path: Path | None, names: Sequence[str]) -> None:
        self._place = place
        self._path = path
        if not isinstance(value, dict):
            message = f"{place} must be an object with the fields {', '.join(names)}"
            raise InputError(message, path=path)
        self._values = value
        missing = [name for name in names if name not in value]
        unknown = [str(name) for name in value if name not in names]
        if missing or unknown:
            what = f"'{missing[0]}' is missing" if missing else f"'{unknown[0][:40]}' is unknown"
            message = f"{place}: the field {what}; it has {', '.join(names)}"
            raise InputError(message, path=path)

    def text(self, name: str) -> str:
        """Read a text that is not empty."""
        value = self._values[name]
        if not isinstance(value, str) or not value or not _encodable(value):
            wanted = "a text that is not empty"
            raise self.error(wanted, name)
        return value

    def integer(self, name: str) -> int:
        """Read an integer."""
        value = self._values[name]
        if not isinstance(value, int) or isinstance(value, bool):
            wanted = "an integer"
            raise self.error(wanted, name)
        return value

    def items(self, name: str) -> list[object]:
        """Read a list of anything."""
        value = self._values[name]
        if not isinstance(value, list):
            wanted = "a list"
            raise self.error(wanted, name)
        return value

    def sha256(self, name: str) -> str:
        """Read a SHA-256 in lower-case hexadecimal digits."""
        value = self._values[name]
        if not isinstance(value, str) or not _SHA256.fullmatch(value):
            wanted = "64 hexadecimal digits"
            raise self.error(wanted, name)
        return value

    def box(self, name: str) -> tuple[float, float, float, float]:
        """Read x1, y1, x2, y2 with a positive width and height."""
        numbers = [_number(value) for value in self.items(name)]
        if len(numbers) != 4 or not all(map(math.isfinite, numbers)):
            wanted = "four finite numbers: x1, y1, x2, y2"
            raise self.error(wanted, name)
        left, top, right, bottom = numbers
        if not (0 <= left < right and 0 <= top < bottom):
            wanted = "x1, y1, x2, y2 with 0 <= x1 < x2 and 0 <= y1 < y2"
            raise self.error(wanted, name)
        return left, top, right, bottom

    def is_null(self, name: str) -> bool:
        """Tell whether a field holds null."""
        return self._values[name] is None

    def scalars(self, name: str) -> dict[str, Scalar]:
        """Read an object of numbers, texts and nulls."""
        return self._object(name, "an object of numbers, texts and nulls", 1)

    def texts(self, name: str) -> dict[str, str]:
        """Read an object of texts."""
        wanted = "an object of texts"
        found = self._object(name, wanted, 1)
        if not all(isinstance(value, str) for value in found.values()):
            raise self.error(wanted, name)
        return found

    def json_object(self, name: str) -> dict[str, Any]:
        """Read an object of anything that JSON can hold: its numbers are finite."""
        wanted = f"an object of finite numbers and texts, nested {_DEEPEST} deep at most"
        return self._object(name, wanted, _DEEPEST)

    def _object(self, name: str, wanted: str, depth: int) -> dict[str, Any]:
        value = self._values[name]
        if not isinstance(value, dict) or not _writable(value, depth):
            raise self.error(wanted, name)
        return value

    def error(self, wanted: str, name: str) -> InputError:
        """Make an error about a field."""
        got = _shown(self._values[name])
        message = f"{self._place}: '{name}' must be {wanted}, got {got}"
        return InputError(message, path=self._path)


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value)[:60]


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _writable(value: object, depth: int) -> bool:
    if isinstance(value, dict):
        inner = [*value, *value.values()]
        return depth > 0 and all(_writable(one, depth - 1) for one in inner)
    if isinstance(value, list):
        return depth > 0 and all(_writable(one, depth - 1) for one in value)
    if isinstance(value, str):
        return not value or _encodable(value)
    return value is None or isinstance(value, int) or math.isfinite(_number(value))


def _encodable(text: str) -> bool:
    try:
        return "\0" not in text and bool(text.encode())
    except UnicodeEncodeError:
        return False
