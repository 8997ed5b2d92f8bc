"""Every error that a user can meet, each with the exit code of the command that meets it."""

from pathlib import Path


class QuantkitError(Exception):
    """Base of all errors that end a command with one line and an exit code."""

    exit_code = 2


class InputError(QuantkitError):
    """Something that was given is wrong; nothing was written.

    Args:
        message: What is wrong and what to do about it, in one line.
        path: The file that is wrong.
        line: The line in that file, counted from 1.

    Example:
        >>> str(InputError("expected a name and its scales, got 'x y'", path="bad.table", line=1))
        "bad.table:1: expected a name and its scales, got 'x y'"
    """

    def __init__(
        self, message: str, *, path: str | Path | None = None, line: int | None = None
    ) -> None:
        place = "" if path is None else f"{path}: " if line is None else f"{path}:{line}: "
        super().__init__(place + message)


class NotFinite(InputError):
    """A network's output holds NaN or infinity: no figure made from it means anything."""


class GateFailed(QuantkitError):
    """A bound that the user asked for does not hold."""

    exit_code = 1


class Unavailable(QuantkitError):
    """A package or a backend that was asked for by name cannot run here."""

    exit_code = 3


class BackendDied(QuantkitError):
    """A child process that ran native code was ended by a signal, an exit or its time limit."""

    exit_code = 4
