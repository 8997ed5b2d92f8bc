"""A map over tasks in child processes, in which a crash costs one task and nothing else."""

import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any, Generic, TypeVar

from quantkit.errors import QuantkitError
from quantkit.model.export.native import cause_of_death

Task = TypeVar("Task")
Result = TypeVar("Result")

_SPAWN = multiprocessing.get_context("spawn")


@dataclass(frozen=True)
class Died:
    """A child process ended in the middle of a task.

    Attributes:
        how: The signal's name, or the exit code.
    """

    how: str


class _Child(Generic[Task]):
    """One process and the task it is at."""

    def __init__(self, open_session: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        self.connection, there = _SPAWN.Pipe()
        self.process = _SPAWN.Process(
            target=_serve, args=(there, open_session, arguments), daemon=True
        )
        self.process.start()
        there.close()
        self.task: Task | None = None
        self._hung: str | None = None

    def give(self, task: Task) -> None:
        self.task = task
        # A child that died before it got the task is noticed when its answer is read.
        with suppress(BrokenPipeError, ConnectionResetError):
            self.connection.send(task)

    def answer(self) -> Any:
        try:
            return self.connection.recv()
        except (EOFError, ConnectionResetError):
            self.process.join()
            return Died(self._hung or cause_of_death(self.process.exitcode or 0))

    def give_up(self, patience: float) -> None:
        self._hung = f"no answer for {patience:g} s"
        self.process.kill()

    def stop(self) -> None:
        self.connection.close()
        self.process.terminate()
        self.process.join()


def isolated_map(
    open_session: Callable[..., Callable[[Task], Result]],
    arguments: tuple[Any, ...],
    tasks: Sequence[Task],
    *,
    workers: int = 2,
    patience: float = 600.0,
) -> Iterator[tuple[Task, Result | Died]]:
    """Run tasks in child processes and yield each result as soon as it is there.

    Args:
        open_session: A module-level function; called once in each child, it returns the function
            that does a task. Both are sent by name, so neither may be a lambda.
        arguments: What `open_session` is called with; sent to every child.
        tasks: The tasks, in the order in which they are started.
        workers: Number of child processes.
        patience: Seconds without any answer after which the children count as hung.

    Yields:
        The task with its result, or with `Died` where the child ended; a new child takes over.

    Raises:
        QuantkitError: A session could not be opened or a task raised one.
    """
    waiting = list(reversed(tasks))
    children: list[_Child[Task]] = []
    try:
        for _ in range(min(workers, len(tasks))):
            children.append(_Child(open_session, arguments))
            children[-1].give(waiting.pop())
        while children:
            answered = wait([child.connection for child in children], patience)
            for child in () if answered else children:
                child.give_up(patience)
            for connection in answered:
                child = next(child for child in children if child.connection is connection)
                task, result = child.task, child.answer()
                if isinstance(result, QuantkitError):
                    raise result
                if isinstance(result, Died) or not waiting:
                    children.remove(child)
                    child.stop()
                if isinstance(result, Died) and waiting:
                    child = _Child(open_session, arguments)
                    children.append(child)
                if waiting:
                    child.give(waiting.pop())
                assert task is not None
                yield task, result
    finally:
        for child in children:
            child.stop()


def _serve(
    connection: Connection, open_session: Callable[..., Any], arguments: tuple[Any, ...]
) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides when to stop
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        try:
            work = open_session(*arguments)
            while True:
                connection.send(work(connection.recv()))
        except QuantkitError as error:
            connection.send(error)
