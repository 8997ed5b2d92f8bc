"""A TOML table read key by key, so that every mistake is named with its file and its key."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from quantkit.errors import InputError
from quantkit.storage import read_text

UNANSWERED: Final = "?"
"""What stands in a file for a value that only the person can know."""

_SHORT_ESCAPES: Final = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def toml_string(text: str) -> str:
    r"""Write a string as TOML does: JSON's pairs of surrogates are not allowed in it.

    Raises:
        InputError: The text holds bytes that are not UTF-8, as the name of a file may.

    Example:
        >>> print(toml_string('C:\\a "b"'))
        "C:\\a \"b\""
    """
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        message = f"{text!a} is not UTF-8 text, so it cannot be written into a project file"
        raise InputError(message)
    return '"' + "".join(map(_escaped, text)) + '"'


def _escaped(letter: str) -> str:
    if letter in _SHORT_ESCAPES:
        return _SHORT_ESCAPES[letter]
    return letter if letter >= " " and letter != "\x7f" else f"\\u{ord(letter):04x}"


class Section:
    """One table of a TOML file; `close` refuses the keys that nobody asked for.

    Args:
        path: The file, for messages.
        name: Dotted name of the table, for messages; empty for the top.
        values: What the table holds.

    Example:
        >>> section = Section(Path("quantkit.toml"), "model", {"name": 3})
        >>> section.string("name")
        Traceback (most recent call last):
        quantkit.errors.InputError: quantkit.toml: [model] name: expected a string, got 3
    """

    def __init__(self, path: Path, name: str, values: Mapping[str, Any]) -> None:
        self.path = path
        self.name = name
        self._values = dict(values)
        self._asked: set[str] = set()
        self._hints: Mapping[str, str] = {}

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def error(self, key: str, problem: str) -> InputError:
        """Make the error that names this file, this table and a key."""
        place = f"[{self.name}] {key}" if self.name else key
        return InputError(f"{place}: {problem}", path=self.path)

    def section(self, key: str) -> "Section":
        """Read a table inside this one; an absent one is empty."""
        value = self._get(key, default={})
        if not isinstance(value, dict):
            raise self.error(key, f"expected a table, got {value!r}")
        return Section(self.path, f"{self.name}.{key}".lstrip("."), value)

    def must_be_answered(self, hints: Mapping[str, str]) -> None:
        """Refuse keys whose value is still `UNANSWERED`.

        Args:
            hints: What to do about each key that may be so; also said of one that is missing.

        Raises:
            InputError: There is one.
        """
        self._hints = hints
        for key, hint in hints.items():
            if self._values.get(key) == UNANSWERED:
                raise self.error(key, hint)

    def string(self, key: str, default: str | None = None) -> str:
        """Read a string."""
        value = self._get(key, default)
        if not isinstance(value, str) or not value:
            raise self.error(key, f"expected a string, got {value!r}")
        return value

    def choice(self, key: str, choices: tuple[str, ...], default: str | None = None) -> str:
        """Read one of a few strings."""
        value = self.string(key, default)
        if value not in choices:
            raise self.error(key, f"expected one of {', '.join(choices)}, got {value!r}")
        return value

    def number(self, key: str, default: float | None = None, *, zero: bool = False) -> float:
        """Read a finite number above zero, or zero where it is allowed."""
        value = self._get(key, default)
        if not _is_number(value) or not 0 <= value < float("inf") or (value == 0 and not zero):
            least = "of at least 0" if zero else "above 0"
            raise self.error(key, f"expected a number {least}, got {value!r}")
        return float(value)

    def boolean(self, key: str, *, default: bool) -> bool:
        """Read true or false."""
        value = self._get(key, default)
        if not isinstance(value, bool):
            raise self.error(key, f"expected true or false, got {value!r}")
        return value

    def numbers(
        self, key: str, count: int, default: tuple[float, ...] | None = None
    ) -> tuple[float, ...]:
        """Read a list of `count` finite numbers."""
        value = self._get(key, default)
        valid = isinstance(value, list | tuple) and len(value) == count
        if not valid or not all(_is_number(item) and abs(item) < float("inf") for item in value):
            wanted = f"{count} numbers" if count > 1 else "a list of one number"
            raise self.error(key, f"expected {wanted}, got {value!r}")
        return tuple(float(item) for item in value)

    def strings(self, key: str, default: tuple[str, ...] | None = None) -> tuple[str, ...]:
        """Read a list of strings that is not empty."""
        value = self._get(key, default)
        valid = isinstance(value, list | tuple) and len(value) > 0
        if not valid or not all(isinstance(item, str) for item in value):
            raise self.error(key, f"expected a list of names, got {value!r}")
        return tuple(value)

    def close(self) -> None:
        """Refuse keys that were never asked for.

        Raises:
            InputError: There is one; the known keys are named.
        """
        unknown = sorted(set(self._values) - self._asked)
        if unknown:
            known = ", ".join(sorted(self._asked))
            raise self.error(unknown[0], f"unknown key; the known ones are {known}")

    def _get(self, key: str, default: Any) -> Any:
        self._asked.add(key)
        if key in self._values:
            return self._values[key]
        if default is None:
            hint = self._hints.get(key)
            raise self.error(key, f"is missing: {hint}" if hint else "is missing")
        return default


def read_toml(path: Path) -> Section:
    """Read a TOML file.

    Raises:
        InputError: The file cannot be read or is not TOML.
    """
    try:
        return Section(path, "", tomllib.loads(read_text(path)))
    except (ValueError, RecursionError) as error:
        raise InputError(f"is not TOML: {error}", path=path) from error


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
