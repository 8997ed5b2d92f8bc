"""Engines that were built before: their plans, kept by what they depend on.

A plan is code, trusted when it is loaded. So it never lies in a project
folder, which may come from elsewhere, but in the user's own cache.
"""

import contextlib
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from quantkit.errors import InputError
from quantkit.storage import write_stream_atomically

Engine = TypeVar("Engine")


def cache_folder() -> Path:
    """Name the folder of plans: quantkit/tensorrt below $XDG_CACHE_HOME or ~/.cache."""
    given = Path(os.environ.get("XDG_CACHE_HOME", ""))
    # The XDG specification: a relative path counts as unset.
    base = given if given.is_absolute() else Path.home() / ".cache"
    return base / "quantkit" / "tensorrt"


def cached_engine(
    key: str, build: Callable[[], bytes], load: Callable[[bytes], Engine | None]
) -> Engine | None:
    """Load the engine that is kept under a key; build and keep it where there is none.

    A plan that is torn, changed or refused is built anew. Where the folder cannot be written, or
    others than the user can write into it, nothing is read from it nor kept.

    Args:
        key: Hash of everything that the engine depends on.
        build: Builds its plan.
        load: Makes the engine of a plan, or None where TensorRT refuses it.

    Returns:
        The engine; None where even the new plan is refused.
    """
    folder = cache_folder()
    if not _is_private(folder):
        return load(build())
    path = folder / f"{key}.plan"
    kept = _read(path)
    engine = None if kept is None else load(kept)
    if engine is not None:
        return engine
    plan = build()
    with contextlib.suppress(InputError):
        write_stream_atomically(path, (hashlib.sha256(plan).digest(), plan))
    return load(plan)


def _is_private(folder: Path) -> bool:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        facts = folder.stat()
    except OSError:
        return False
    return facts.st_uid == os.getuid() and not facts.st_mode & 0o022


def _read(path: Path) -> bytes | None:
    try:
        content = path.read_bytes()
    except OSError:
        return None
    size = hashlib.sha256().digest_size
    plan = content[size:]
    return plan if plan and hashlib.sha256(plan).digest() == content[:size] else None
