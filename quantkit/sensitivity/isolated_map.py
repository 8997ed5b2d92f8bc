"""A map over tasks in child processes, in which a crash costs one task and nothing else."""

import multiprocessing
import signal
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any, Self, TypeVar

from quantkit.errors import BackendDied, QuantkitError
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


@dataclass(frozen=True)
class _Open:
    """Says that other tasks follow."""

    session: Callable[..., Any]
    arguments: tuple[Any, ...]


class _Child:
    """One process and the task it is at."""

    def __init__(self) -> None:
        self.connection, there = _SPAWN.Pipe()
        self.process = _SPAWN.Process(target=_serve, args=(there,), daemon=True)
        self.process.start()
        there.close()
        self.task: Any = None
        self._hung: str | None = None

    def open(self, open_session: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        self._send(_Open(open_session, arguments))

    def give(self, task: Any) -> None:
        self.task = task
        self._send(task)

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

    def _send(self, message: Any) -> None:
        # A child that died before it got the message is noticed when its answer is read.
        with suppress(BrokenPipeError, ConnectionResetError):
            self.connection.send(message)


class IsolatedPool:
    """Child processes that do one map after the other; to start one costs seconds of imports.

    Args:
        workers: Number of child processes.
        patience: Seconds without any answer after which the children count as hung.
    """

    def __init__(self, workers: int = 2, *, patience: float = 600.0) -> None:
        self._workers = workers
        self._patience = patience
        self._idle: list[_Child] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for child in self._idle:
            child.stop()
        self._idle.clear()

    def map(
        self,
        open_session: Callable[..., Callable[[Task], Result]],
        arguments: tuple[Any, ...],
        tasks: Sequence[Task],
    ) -> Iterator[tuple[Task, Result | Died]]:
        """Run tasks and yield each result as soon as it is there.

        Args:
            open_session: A module-level function; called once in each child, it returns the
                function that does a task. Both are sent by name, so neither may be a lambda.
            arguments: What `open_session` is called with; sent to every child.
            tasks: The tasks, in the order in which they are started.

        Yields:
            The task with its result, or with `Died` where the child ended; a new child takes over.

        Raises:
            QuantkitError: A session could not be opened or a task raised one.
            BackendDied: A session or a task raised another error, a mistake here.
        """
        waiting = list(reversed(tasks))
        busy: list[_Child] = []

        def begin() -> None:
            child = self._idle.pop() if self._idle else _Child()
            busy.append(child)
            child.open(open_session, arguments)
            child.give(waiting.pop())

        try:
            while waiting and len(busy) < self._workers:
                begin()
            while busy:
                for child in self._answered(busy):
                    task, result = child.task, child.answer()
                    if isinstance(result, QuantkitError):
                        raise result
                    if isinstance(result, Died):
                        busy.remove(child)
                        child.stop()
                        if waiting:
                            begin()
                    elif waiting:
                        child.give(waiting.pop())
                    else:
                        busy.remove(child)
                        self._idle.append(child)
                    yield task, result
        finally:
            # A map that was left early leaves children behind that are in the middle of a task.
            for child in busy:
                child.stop()

    def _answered(self, busy: Sequence[_Child]) -> list[_Child]:
        answered = wait([child.connection for child in busy], self._patience)
        for child in () if answered else busy:
            child.give_up(self._patience)
        return [child for child in busy if child.connection in answered]


def _serve(connection: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides when to stop
    work: Callable[[Any], Any] | None = None
    # The parent has closed its end.
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            message = connection.recv()
            try:
                if isinstance(message, _Open):
                    work = None  # The networks of the last session are freed before the next.
                    work = message.session(*message.arguments)
                    continue
                assert work is not None
                answer = work(message)
            except QuantkitError as error:
                answer = error
            except Exception as error:
                # Not the layer's doing but a mistake here, which must not pass for a death.
                traceback.print_exc()
                answer = BackendDied(f"a child process failed: {error!r}")
            connection.send(answer)
            if isinstance(answer, QuantkitError):
                return
