"""Programs that may crash, run as child processes: their time, their memory, their death."""

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

import quantkit
from quantkit.errors import BackendDied

_POLL_S: Final = 0.01
_LAST_WORDS: Final = 4096
_TIMED_OUT: Final = 1 << 16


@dataclass(frozen=True)
class NativeRun:
    """What a finished child process used.

    Args:
        seconds: Wall-clock time.
        peak_mb: Highest resident memory, in megabytes; 0 where the system does not tell.
    """

    seconds: float
    peak_mb: float


def run_native(
    who: str,
    command: Sequence[str],
    *,
    folder: Path,
    timeout: float,
    environment: Mapping[str, str] | None = None,
) -> NativeRun:
    """Run a program to its end.

    Args:
        who: The subject of error messages: "pnnx".
        command: The program and its arguments.
        folder: Where it runs.
        timeout: Seconds after which it counts as hung.
        environment: Its environment; None for this process's.

    Raises:
        BackendDied: It was ended by a signal or the time limit, or its exit code is not 0; the last
            line that it printed is quoted.
    """
    start = time.monotonic()
    with tempfile.TemporaryFile() as log:
        child = subprocess.Popen(
            list(command),
            cwd=folder,
            env=None if environment is None else dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            peak = _wait(child, start + timeout)
        except BaseException:
            _kill(child)
            raise
        reason = _reason(child.returncode, timeout)
        if reason:
            message = f"{who} died: {reason}{last_words(log)}"
            raise BackendDied(message)
    return NativeRun(time.monotonic() - start, peak)


def cause_of_death(code: int) -> str:
    """Name what an exit status means.

    Example:
        >>> cause_of_death(-11), cause_of_death(3)
        ('SIGSEGV', 'exit code 3')
    """
    if code >= 0:
        return f"exit code {code}"
    name = signal.Signals(-code).name
    return f"{name} (the system may be out of memory)" if name == "SIGKILL" else name


def python_environment() -> dict[str, str]:
    """Make an environment in which a child Python finds this very quantkit."""
    root = str(Path(quantkit.__file__).parents[1])
    inherited = os.environ.get("PYTHONPATH")
    path = root if not inherited else os.pathsep.join((root, inherited))
    return os.environ | {"PYTHONPATH": path, "OMP_WAIT_POLICY": "passive"}


def last_words(log: IO[bytes]) -> str:
    """Quote the last line of what a process printed, as the end of a message."""
    size = log.seek(0, os.SEEK_END)
    log.seek(max(0, size - _LAST_WORDS))
    text = log.read().decode(errors="replace")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return f"; its last line: {lines[-1][:200]!r}" if lines else ""


def _wait(child: "subprocess.Popen[bytes]", deadline: float) -> float:
    peak = 0.0
    while child.poll() is None:
        peak = max(peak, _high_water_mb(child.pid))
        if time.monotonic() > deadline:
            _kill(child)
            child.returncode = _TIMED_OUT
            return peak
        time.sleep(_POLL_S)
    return peak


def _high_water_mb(pid: int) -> float:
    # getrusage would count what this process had in memory when it forked.
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    kilobytes = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(kilobytes[0]) / 1000 if kilobytes else 0.0


def _reason(code: int, timeout: float) -> str:
    if code == _TIMED_OUT:
        return f"it did not end within {timeout:g} s"
    return cause_of_death(code) if code else ""


def _kill(child: "subprocess.Popen[bytes]") -> None:
    if child.returncode is None:
        # The program may have children of its own; the session has all of them.
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
