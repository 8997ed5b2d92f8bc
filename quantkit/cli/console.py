"""What a person sees while a command works: bars with remaining time and notes, on stderr."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from quantkit.progress import Feedback

_QUIET_INTERVAL_S = 10.0
_PIPE_WIDTH = 100


def results() -> Console:
    """Make the console that results are printed on; a pipe gets 100 columns."""
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console.width = _PIPE_WIDTH
    return console


def printable(text: str) -> str:
    r"""Spell out what could steer a terminal: text may quote a file that nobody has checked.

    Example:
        >>> printable("a\x1b[2J")
        'a\\x1b[2J'
    """
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


@contextmanager
def feedback() -> Iterator[Feedback]:
    """Show the feedback of one command; lines instead of bars where stderr is not a terminal."""
    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        lines = _Lines(console)
        yield Feedback(progress=lines.progress, note=_once(lines.note))
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bars:
        tasks: dict[str, TaskID] = {}

        def progress(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total)
            bars.update(tasks[stage], completed=done, total=total)

        yield Feedback(progress=progress, note=_once(lambda note: bars.print(note, markup=False)))


def _once(show: Callable[[str], None]) -> Callable[[str], None]:
    """Drop the notes that a command has given already: several of its steps may open a model."""
    shown: set[str] = set()

    def note(text: str) -> None:
        if text not in shown:
            shown.add(text)
            show(text)

    return note


class _Lines:
    """A line when a stage ends, and in between one every ten seconds with the time left."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._started: dict[str, tuple[float, int]] = {}
        self._last = 0.0

    def note(self, note: str) -> None:
        self._console.print(note, markup=False, soft_wrap=True)

    def progress(self, stage: str, done: int, total: int) -> None:
        now = time.monotonic()
        if stage not in self._started:
            self._started[stage] = (now, done)
            self._last = now
        start, before = self._started[stage]
        if done == total:
            del self._started[stage]
            self.note(f"{stage}: {done}/{total}, {now - start:.0f} s")
        elif now - self._last >= _QUIET_INTERVAL_S and done > before:
            left = (now - start) / (done - before) * max(0, total - done)
            self._last = now
            self.note(f"{stage}: {done}/{total}, {left:.0f} s left")
