"""What tells whether two image files show the same picture, read once and kept between runs."""

import binascii
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from quantkit.journal import Journal
from quantkit.selection.perceptual_hash import SIDE, Grey, thumbnail
from quantkit.storage import read_bytes, sha256_bytes

_KEY = "thumbnail-1"
_THREADS = 2
# Files of which a thread reads the next while the caller takes the last: memory stays flat.
_AT_ONCE = 256


@dataclass(frozen=True)
class Fingerprint:
    """One image file.

    Attributes:
        sha256: Hash of its bytes.
        thumbnail: 32x32 grey levels; None where it is truncated or no image.
    """

    sha256: str
    thumbnail: Grey | None


def fingerprints(
    files: Sequence[Path],
    journal: Journal | None = None,
    progress: Callable[[int], object] = lambda done: None,
) -> Iterator[Fingerprint]:
    """Read image files in two threads; those whose thumbnail is kept are hashed, not decoded.

    Args:
        files: The images.
        journal: Keeps the thumbnails under the hash of the file.
        progress: Called with the number of files that were read.

    Returns:
        One for each file, in order.

    Raises:
        InputError: A file cannot be read. One that is read but no image has no thumbnail.
    """
    with ThreadPoolExecutor(_THREADS) as pool:
        for start in range(0, len(files), _AT_ONCE):
            some = files[start : start + _AT_ONCE]
            read = pool.map(lambda path: _fingerprint(path, journal), some)
            for done, one in enumerate(read, start=start + 1):
                _keep(one, journal)
                yield one
                progress(done)


def kept_thumbnail(sha256: str, journal: Journal | None) -> Grey | None:
    """Find the thumbnail of an image that was read before."""
    record = None if journal is None else journal.find(f"{_KEY} {sha256}")
    try:
        levels = binascii.a2b_base64(record["grey"]) if record else b""
    except (KeyError, TypeError, ValueError):
        return None
    if len(levels) != SIDE * SIDE:
        return None
    return np.frombuffer(levels, np.uint8).reshape(SIDE, SIDE)


def _fingerprint(path: Path, journal: Journal | None) -> Fingerprint:
    data = read_bytes(path)
    sha256 = sha256_bytes(data)
    kept = kept_thumbnail(sha256, journal)
    return Fingerprint(sha256, thumbnail(data) if kept is None else kept)


def _keep(one: Fingerprint, journal: Journal | None) -> None:
    if journal is None or one.thumbnail is None or kept_thumbnail(one.sha256, journal) is not None:
        return
    grey = binascii.b2a_base64(one.thumbnail.tobytes(), newline=False).decode()
    journal.record(f"{_KEY} {one.sha256}", {"grey": grey})
