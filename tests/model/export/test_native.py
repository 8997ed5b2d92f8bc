import os
import sys
import time
from pathlib import Path

import pytest

from quantkit.errors import BackendDied
from quantkit.model.export.native import run_native


def run(code: str, folder: Path, timeout: float = 20.0) -> None:
    run_native("pnnx", [sys.executable, "-c", code], folder=folder, timeout=timeout)


def test_time_and_memory_of_the_child_are_told(tmp_path: Path) -> None:
    code = "x = bytearray(200_000_000); import time; time.sleep(0.1)"
    used = run_native("x", [sys.executable, "-c", code], folder=tmp_path, timeout=20)
    assert used.seconds >= 0.1
    assert 200 < used.peak_mb < 400


def test_it_runs_in_its_folder(tmp_path: Path) -> None:
    run("open('here', 'w').close()", tmp_path)
    assert (tmp_path / "here").exists()


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("import os; os.abort()", "pnnx died: SIGABRT"),
        ("import os; os.kill(os.getpid(), 11)", "pnnx died: SIGSEGV"),
        ("import sys; print('why'); sys.exit(2)", "pnnx died: exit code 2; its last line: 'why'"),
    ],
)
def test_a_death_is_named(code: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(BackendDied) as caught:
        run(code, tmp_path)
    assert str(caught.value) == told


def test_a_hang_ends_with_all_its_children(tmp_path: Path) -> None:
    code = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "open('pid', 'w').write(str(child.pid))\n"
        "time.sleep(60)"
    )
    start = time.monotonic()
    with pytest.raises(BackendDied, match="pnnx died: it did not end within 1 s"):
        run(code, tmp_path, timeout=1.0)
    assert time.monotonic() - start < 30
    pid = int((tmp_path / "pid").read_text())
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and _runs(pid):
        time.sleep(0.05)
    assert not _runs(pid)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # An orphan may stay in the table until somebody collects it.
    state = Path(f"/proc/{pid}/stat")
    return not (state.exists() and state.read_text().rpartition(")")[2].split()[0] == "Z")
