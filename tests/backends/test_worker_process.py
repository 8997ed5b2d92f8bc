import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from quantkit.backends.worker_process import WorkerProcess
from quantkit.errors import BackendDied
from quantkit.model.export.native import python_environment


def worker(code: str, timeout: float = 20.0) -> WorkerProcess:
    return WorkerProcess("backend 'x'", [sys.executable, "-c", code], timeout)


def fate(code: str, timeout: float = 20.0) -> str:
    child = worker(code, timeout)
    try:
        child.send({"do": "run"}, [np.zeros(1 << 20, np.float32)])
        with pytest.raises(BackendDied) as caught:
            child.receive()
    finally:
        child.close()
    assert not alive(child.pid)
    return str(caught.value)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_segfault_is_named() -> None:
    code = "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"
    assert fate(code) == "backend 'x' died: SIGSEGV"


def test_an_out_of_memory_kill_is_named() -> None:
    code = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    assert fate(code) == "backend 'x' died: SIGKILL (the system may be out of memory)"


def test_an_exit_quotes_the_last_line() -> None:
    code = "import sys; print('first\\nthe reason', file=sys.stderr); sys.exit(3)"
    assert fate(code) == "backend 'x' died: exit code 3; its last line: 'the reason'"


def test_a_hang_ends_at_the_time_limit() -> None:
    start = time.monotonic()
    told = fate("import sys, time; sys.stdin.buffer.read(); time.sleep(60)", timeout=0.5)
    assert told == "backend 'x' died: it gave no answer within 0.5 s"
    assert time.monotonic() - start < 30


def test_a_worker_that_reads_nothing_ends_at_the_time_limit() -> None:
    start = time.monotonic()
    told = fate("import time; time.sleep(60)", timeout=0.5)
    assert told == "backend 'x' died: it took no input for 0.5 s"
    assert time.monotonic() - start < 30


def test_garbage_on_stdout_is_no_answer() -> None:
    assert fate("print('x' * 100); input()").startswith("backend 'x' died: it answered with")


def test_half_an_answer_then_death_is_a_death() -> None:
    code = "import os; os.write(1, bytes([9, 0])); os._exit(4)"
    assert fate(code) == "backend 'x' died: exit code 4"


def test_closing_a_child_that_will_not_leave_kills_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quantkit.backends.worker_process._GRACE_S", 0.2)
    child = worker("import time; time.sleep(60)")
    child.close()
    assert not alive(child.pid)


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_no_worker_outlives_its_parent(how: signal.Signals, tmp_path: Path) -> None:
    code = """if True:
        import signal, sys, time
        # A shell that starts the tests in the background has it ignored.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        from quantkit.backends.worker_process import WORKER, WorkerProcess
        worker = WorkerProcess("backend 'x'", WORKER, 60.0)
        try:
            print(worker.pid, flush=True)
            worker.receive()
        finally:
            worker.close()
    """
    parent = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=python_environment(),
        cwd=tmp_path,
    )
    assert parent.stdout is not None
    with parent.stdout:
        child = int(parent.stdout.readline())
    time.sleep(0.3)
    parent.send_signal(how)
    assert parent.wait(20) != 0
    deadline = time.monotonic() + 20
    while alive(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not alive(child)
