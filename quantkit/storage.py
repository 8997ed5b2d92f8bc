"""What lies on disk: content hashes, JSON, and files that are either whole or absent."""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from quantkit.errors import InputError

_CHUNK = 1 << 20


def from_here(path: Path) -> str:
    """Write a path as a person would: relative to the current folder where it lies below it.

    Example:
        >>> from_here(Path.cwd() / "tables" / "kl.table")
        'tables/kl.table'
    """
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def sha256_bytes(data: bytes) -> str:
    """Hash bytes.

    Example:
        >>> sha256_bytes(b"")[:8]
        'e3b0c442'
    """
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    """Hash a file's content without holding it in memory.

    Raises:
        InputError: The file cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", path=path) from error
    return digest.hexdigest()


def read_bytes(path: Path) -> bytes:
    """Read a whole file.

    Raises:
        InputError: The file cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", path=path) from error


def read_text(path: Path) -> str:
    """Read a UTF-8 text file.

    Raises:
        InputError: The file cannot be read or is not text.
    """
    try:
        return read_bytes(path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"is not a text file (byte {error.start})", path=path) from error


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        InputError: The file cannot be read or is not JSON; the line is named.
    """
    try:
        return json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise InputError(f"is not JSON: {error.msg}", path=path, line=error.lineno) from error
    except (RecursionError, ValueError) as error:
        reason = "a number is too long" if isinstance(error, ValueError) else "nested too deeply"
        raise InputError(f"is not usable JSON: {reason}", path=path) from error


def json_text(value: object) -> str:
    r"""Write a value as the JSON text that every file of quantkit uses.

    Example:
        >>> json_text({"b": 1, "a": [1.5]})
        '{\n "b": 1,\n "a": [\n  1.5\n ]\n}\n'
    """
    return json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def json_value(value: object) -> Any:
    """Turn a value into what it is after a way through JSON: tuples become lists.

    Example:
        >>> json_value({"size": (192, 256)})
        {'size': [192, 256]}
    """
    return json.loads(json.dumps(value, allow_nan=False))


def content_key(value: object) -> str:
    """Hash a JSON value, whatever the order of its keys: the key under which results are reused.

    Example:
        >>> content_key({"a": 1, "b": 2}) == content_key({"b": 2, "a": 1})
        True
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return sha256_bytes(text.encode())


def write_atomically(path: Path, data: bytes | str) -> None:
    """Write a file so that a kill or a full disk leaves the old one or none, never half of it.

    Raises:
        InputError: The file cannot be written; what was there before is untouched.
    """
    write_stream_atomically(path, (data.encode() if isinstance(data, str) else data,))


def write_stream_atomically(path: Path, parts: Iterable[bytes | memoryview]) -> None:
    """Write a file piece by piece, whole or not at all, as `write_atomically` does.

    Raises:
        InputError: The file cannot be written; what was there before is untouched.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.writelines(parts)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).chmod(0o666 & ~_umask())
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise InputError(f"cannot be written ({error.strerror})", path=path) from error


def write_result(path: Path, data: bytes | str, *, overwrite: bool = False) -> None:
    """Write a result, but never over a different one unless told to.

    Raises:
        InputError: Another content lies there and `overwrite` is false, or writing failed.
    """
    payload = data.encode() if isinstance(data, str) else data
    if must_write(path, sha256_bytes(payload), overwrite=overwrite):
        write_atomically(path, payload)


def must_write(path: Path, sha256: str, *, overwrite: bool) -> bool:
    """Tell whether a result with this hash still has to be written.

    Raises:
        InputError: Another content lies there and `overwrite` is false.
    """
    if not path.exists():
        return True
    if sha256_file(path) == sha256:
        return False
    if not overwrite:
        raise InputError("exists with other content; give --overwrite or a new name", path=path)
    return True


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
