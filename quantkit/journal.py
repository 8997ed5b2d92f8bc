"""Finished work, kept line by line, so that a kill loses the line that was being written."""

import json
import os
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

from quantkit.errors import InputError
from quantkit.storage import sha256_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

_CHECK = "check"


class Journal:
    """Records on disk under keys that say all that they depend on; stale ones are never found.

    Each line is a JSON object with its own checksum: a torn last line is dropped on reading, and
    the next record starts on a fresh line.

    Args:
        path: The file; made on the first record.
        sync: See every record to the disk before going on. Without it a kill still loses the line
            in writing at most, a power cut what the system had not written yet.

    Example:
        >>> import tempfile
        >>> folder = tempfile.TemporaryDirectory()
        >>> Journal(Path(folder.name, "j.jsonl")).record("key", {"sqnr_db": 21.5})
        >>> Journal(Path(folder.name, "j.jsonl")).find("key")
        {'sqnr_db': 21.5}
        >>> folder.cleanup()
    """

    def __init__(self, path: Path, *, sync: bool = True) -> None:
        self._path = path
        self._sync = sync
        self._records = _read(path)
        self._close: Callable[[], object] | None = None
        self._handle = -1

    def find(self, key: str) -> dict[str, Any] | None:
        """Find the newest record of a key."""
        return self._records.get(key)

    def record(self, key: str, value: dict[str, Any]) -> None:
        """Append a record, in one write.

        Raises:
            InputError: The file cannot be written.
        """
        text = _text(key, value)
        line = f'{text[:-1]}, "{_CHECK}": "{_checksum(text)}"}}\n'.encode()
        try:
            if self._close is None:
                self._open()
            while line:
                line = line[os.write(self._handle, line) :]
            if self._sync:
                os.fsync(self._handle)
        except OSError as error:
            raise InputError(f"cannot be written ({error.strerror})", path=self._path) from error
        self._records[key] = value

    def remove(self) -> None:
        """Delete the file, once what it was kept for is finished.

        Raises:
            InputError: The file cannot be deleted.
        """
        if self._close is not None:
            self._close()
            self._close = None
        try:
            self._path.unlink(missing_ok=True)
        except OSError as error:
            raise InputError(f"cannot be deleted ({error.strerror})", path=self._path) from error
        self._records.clear()

    def _open(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._handle = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        self._close = weakref.finalize(self, os.close, self._handle)
        # A line that a kill cut short must not swallow the next one.
        if os.fstat(self._handle).st_size and not _ends_a_line(self._path):
            os.write(self._handle, b"\n")


def _text(key: str, value: dict[str, Any]) -> str:
    return json.dumps({"key": key, "value": value})


def _checksum(text: str) -> str:
    return sha256_bytes(text.encode())


def _read(path: Path) -> dict[str, dict[str, Any]]:
    records: dict[str, dict[str, Any]] = {}
    if not path.exists():
        return records
    for line in path.read_bytes().splitlines():
        try:
            entry = json.loads(line)
            key, value = entry["key"], entry["value"]
            if entry[_CHECK] == _checksum(_text(key, value)):
                records[key] = value
        except (ValueError, KeyError, TypeError, AttributeError):
            continue
    return records


def _ends_a_line(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"
