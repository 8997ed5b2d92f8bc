"""Which file a table is: one of the project by its name, or any by its path."""

import os
from pathlib import Path
from typing import Final

from quantkit.errors import InputError
from quantkit.project.calibration_request import NAMES
from quantkit.project.config import Project, checked_name
from quantkit.storage import sha256_file

_SUFFIX: Final = ".table"
_HASH: Final = 12


def table_path(project: Project, name: str) -> Path:
    """Say where a table of the project lies.

    Raises:
        InputError: The name leads to another folder.
    """
    return project.tables_dir / f"{checked_name(name)}{_SUFFIX}"


def find_table(project: Project, table: str | Path) -> Path:
    """Find the file of a table, which may not be there.

    Args:
        project: The project.
        table: A path, if it has a separator or ends in `.table` and is there; else the name of a
            table of the project. Relative paths start at the current folder.

    Raises:
        InputError: It is no name.
    """
    text = str(table)
    path = Path(text)
    if not is_path(text):
        path = table_path(project, text.removesuffix(_SUFFIX))
    # A project's table has one spelling, so that what is kept of it is found again.
    return project.tables_dir / path.name if _is_own(project, path) else path


def is_path(table: str) -> bool:
    """Tell whether a table is given by its path.

    Example:
        >>> is_path("best"), is_path("./best"), is_path("../tables/own.table")
        (False, True, True)
    """
    separators = tuple(filter(None, (os.sep, os.altsep)))
    named = table.endswith(_SUFFIX) and Path(table).is_file()
    return named or any(sign in table for sign in separators)


def existing_table(project: Project, table: str | Path) -> Path:
    """Find the file of a table.

    Raises:
        InputError: It is not there; the message lists the tables that are.
    """
    path = find_table(project, table)
    if not path.is_file():
        there = sorted(one.stem for one in project.tables_dir.glob(f"*{_SUFFIX}"))
        listed = ", ".join(there) or "none"
        message = f"there is no such table; the project has {listed}, and can make"
        raise InputError(f"{message} {', '.join(NAMES)}", path=path)
    return path


def table_label(project: Project, path: Path) -> str:
    """Name a table: by its name in the project, else by its file's name."""
    return path.stem if _is_own(project, path) else path.name


def table_reference(project: Project, path: Path) -> str:
    """Write how a table is found again from the folder of the project: its name, or a path."""
    if _is_own(project, path):
        return path.stem
    relative = os.path.relpath(path.resolve(), project.root.resolve())
    return Path(relative).as_posix() if os.sep in relative else f"./{relative}"


def work_stem(project: Project, path: Path) -> str:
    """Begin the names of the files that are made of a table.

    Those of a table that is not the project's have its hash, so that two of one name never mix.

    Raises:
        InputError: The file cannot be read.
    """
    stem = path.stem
    return stem if _is_own(project, path) else f"{stem}-{sha256_file(path)[:_HASH]}"


def _is_own(project: Project, path: Path) -> bool:
    return path.suffix == _SUFFIX and path.parent.resolve() == project.tables_dir.resolve()
