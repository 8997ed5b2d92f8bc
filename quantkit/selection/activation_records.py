"""What the network makes of candidates, kept on disk: nobody is shown to it twice."""

import os
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from quantkit.errors import InputError
from quantkit.selection.magnitude_bins import MAGNITUDE_BINS

Rows = NDArray[np.void]

_KEY_BYTES: Final = 16


def record_dtype(blobs: int) -> np.dtype[np.void]:
    """Describe what is kept of one candidate: `absmax` and `counts` of `Activations`."""
    counts = ("counts", np.uint16, (blobs, MAGNITUDE_BINS))
    return np.dtype([("absmax", np.float32, (blobs,)), counts])


class ActivationRecords:
    """A file of records under keys, each with a checksum, which only ever grows.

    A kill loses the record that was being written, and where several processes write, at most the
    one that another of them was writing then. A damaged record is not found, and is made again.
    All are read once, for their checksums; memory keeps their keys and places, about 200 bytes
    each, and what they hold is read from the disk when it is asked for.

    Args:
        path: The file; made with the first record. Its name says which network and blobs it is of.
        blobs: How many blobs a record is of.

    Raises:
        InputError: The file cannot be read.
    """

    def __init__(self, path: Path, blobs: int) -> None:
        self.path = path
        self._dtype = np.dtype(
            [("key", f"V{_KEY_BYTES}"), ("record", record_dtype(blobs)), ("check", np.uint32)]
        )
        self._places = dict(self._sound())

    def __contains__(self, key: bytes) -> bool:
        """Tell whether there is a record of a key."""
        return key in self._places

    def places(self, keys: Sequence[bytes]) -> NDArray[np.intp]:
        """Find the places of records that are there."""
        return np.array([self._places[key] for key in keys], np.intp)

    def table(self) -> Rows:
        """Show the records that are on disk, with `absmax` and `counts`.

        Raises:
            InputError: The file cannot be read.
        """
        return np.asarray(self._mapped()["record"])

    def append(self, items: Iterable[tuple[bytes, Rows]]) -> Iterator[int]:
        """Write records as they come.

        Args:
            items: Keys of 16 bytes, and records of `record_dtype`.

        Yields:
            How many were written, after each.

        Raises:
            InputError: The file cannot be written.
        """
        with self._opened() as handle:
            for done, (key, record) in enumerate(items, start=1):
                row = np.zeros((), self._dtype)
                row["key"], row["record"] = key, record
                row["check"] = _check(row)
                self._fill_up(handle)
                self._write(handle, row.tobytes())
                yield done

    def _mapped(self) -> Rows:
        try:
            size = self.path.stat().st_size if self.path.exists() else 0
            count = size // self._dtype.itemsize
            if not count:
                return np.zeros(0, self._dtype)
            return np.memmap(self.path, self._dtype, "r", shape=(count,))
        except OSError as error:
            raise InputError(f"cannot be read ({error.strerror})", path=self.path) from error

    def _sound(self) -> Iterator[tuple[bytes, int]]:
        rows = self._mapped()
        for place in range(len(rows)):
            row = rows[place]
            if row["check"] == _check(row):
                yield row["key"].tobytes(), place

    @contextmanager
    def _opened(self) -> Iterator[int]:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        except OSError as error:
            raise InputError(f"cannot be written ({error.strerror})", path=self.path) from error
        try:
            yield handle
        finally:
            os.close(handle)

    def _fill_up(self, handle: int) -> None:
        """Make a damaged record of what a kill cut short, this process's or another's."""
        rest = os.fstat(handle).st_size % self._dtype.itemsize
        if rest:
            self._write(handle, bytes(self._dtype.itemsize - rest))

    def _write(self, handle: int, data: bytes) -> None:
        try:
            while data:
                data = data[os.write(handle, data) :]
        except OSError as error:
            raise InputError(f"cannot be written ({error.strerror})", path=self.path) from error


def _check(row: Any) -> int:
    return zlib.crc32(row["record"].tobytes(), zlib.crc32(row["key"].tobytes()))
