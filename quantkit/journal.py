"""Finished work, kept line by line, so that a kill loses the line that was being written."""

import json
import os
from pathlib import Path
from typing import Any

from quantkit.errors import InputError
from quantkit.storage import content_key

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

    def find(self, key: str) -> dict[str, Any] | None:
        """Find the newest record of a key."""
        return self._records.get(key)

    def record(self, key: str, value: dict[str, Any]) -> None:
        """Append a record, in one write.

        Raises:
            InputError: The file cannot be written.
        """
        entry = {"key": key, "value": value}
        line = json.dumps({**entry, _CHECK: content_key(entry)})
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("ab") as file:
                # A line that a kill cut short must not swallow this one.
                start = b"\n" if file.tell() and not _ends_a_line(self._path) else b""
                file.write(start + line.encode() + b"\n")
                file.flush()
                if self._sync:
                    os.fsync(file.fileno())
        except OSError as error:
            raise InputError(f"cannot be written ({error.strerror})", path=self._path) from error
        self._records[key] = value

    def remove(self) -> None:
        """Delete the file, once what it was kept for is finished.

        Raises:
            InputError: The file cannot be deleted.
        """
        try:
            self._path.unlink(missing_ok=True)
        except OSError as error:
            raise InputError(f"cannot be deleted ({error.strerror})", path=self._path) from error
        self._records.clear()


def _read(path: Path) -> dict[str, dict[str, Any]]:
    records: dict[str, dict[str, Any]] = {}
    if not path.exists():
        return records
    for line in path.read_bytes().splitlines():
        try:
            entry = json.loads(line)
            check = entry.pop(_CHECK)
            if check == content_key(entry):
                records[entry["key"]] = entry["value"]
        except (ValueError, KeyError, TypeError, AttributeError):
            continue
    return records


def _ends_a_line(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"
