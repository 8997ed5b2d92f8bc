"""The parent's side of a worker: its process, its pipes, and what it died of."""

import contextlib
import fcntl
import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import IO, Any, Final

from quantkit.backends.wire import Message, MessageError, Values, receive, send
from quantkit.errors import BackendDied
from quantkit.model.export.native import cause_of_death, last_words, python_environment

WORKER: Final = (sys.executable, "-P", "-m", "quantkit.backends.worker")
_GRACE_S: Final = 5.0
_PIPE_BYTES: Final = 1 << 20


class WorkerProcess:
    """One child process that answers messages in order.

    Args:
        who: The subject of error messages: "backend 'ncnn'".
        command: How to start it.
        timeout: Seconds without an answer after which it counts as hung.
    """

    def __init__(self, who: str, command: Sequence[str], timeout: float) -> None:
        self._who = who
        self._timeout = timeout
        self._fate = ""
        self._stderr: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the child
        # Its own session: Ctrl-C in the terminal reaches the parent only, which ends the child.
        self._process = subprocess.Popen(
            list(command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            env=python_environment(),
            start_new_session=True,
        )
        # A child that hangs leaves the pipe full: no write may wait for it without an end.
        assert self._process.stdin is not None
        os.set_blocking(self._process.stdin.fileno(), False)
        for pipe in (self._process.stdin, self._process.stdout):
            _enlarge(pipe)

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._process.pid

    def send(self, header: dict[str, Any], arrays: Sequence[Values]) -> None:
        """Send one message; that the child is dead or hung shows when its answer is awaited."""
        deadline = time.monotonic() + self._timeout
        try:
            send(lambda data: self._write(data, deadline), header, arrays)
        except BrokenPipeError:
            return
        except TimeoutError:
            self._fate = f"it took no input for {self._timeout:g} s"
            self.kill()

    def receive(self, timeout: float | None = None) -> Message:
        """Wait for the next answer.

        Args:
            timeout: Seconds, where this answer may take another time than the others.

        Raises:
            BackendDied: The child died, hung or sent something that is no answer.
        """
        timeout = self._timeout if timeout is None else timeout
        deadline = time.monotonic() + timeout
        try:
            return receive(lambda buffer: self._read(buffer, deadline))
        except EOFError:
            reason = self._fate or self._cause_of_death()
        except TimeoutError:
            reason = f"it gave no answer within {timeout:g} s"
        except MessageError as error:
            reason = f"it answered with {error}"
        self.kill()
        message = f"{self._who} died: {reason}{last_words(self._stderr)}"
        raise BackendDied(message)

    def kill(self) -> None:
        """End the child at once."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """End the child, which leaves when its input ends, and free what it held."""
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
        try:
            self._process.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            self.kill()
        self._stderr.close()

    def _read(self, view: memoryview, deadline: float) -> None:
        assert self._process.stdout is not None
        handle = self._process.stdout.fileno()
        poll = select.poll()
        poll.register(handle, select.POLLIN)
        while view:
            if not poll.poll(max(0.0, 1e3 * (deadline - time.monotonic()))):
                raise TimeoutError
            count = os.readv(handle, [view])
            if not count:
                raise EOFError
            view = view[count:]

    def _write(self, data: bytes | memoryview, deadline: float) -> None:
        assert self._process.stdin is not None
        handle = self._process.stdin.fileno()
        poll = select.poll()
        poll.register(handle, select.POLLOUT)
        rest = memoryview(data)
        while rest:
            if not poll.poll(max(0.0, 1e3 * (deadline - time.monotonic()))):
                raise TimeoutError
            rest = rest[os.write(handle, rest) :]

    def _cause_of_death(self) -> str:
        try:
            code = self._process.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            return "it closed its output"
        return cause_of_death(code)


def _enlarge(pipe: IO[bytes] | None) -> None:
    """Let a whole message fit into a pipe, where the system can: each refill is a switch."""
    assert pipe is not None
    resize = getattr(fcntl, "F_SETPIPE_SZ", None)
    if resize is not None:
        with contextlib.suppress(OSError):
            fcntl.fcntl(pipe.fileno(), resize, _PIPE_BYTES)
