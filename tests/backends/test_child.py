import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from quantkit.backends.child import in_child
from quantkit.errors import BackendDied, InputError
from quantkit.progress import Feedback


def doubled(feedback: Feedback, values: list[int], *, offset: int) -> list[int]:
    for number, _ in enumerate(values, start=1):
        feedback.progress("doubling", number, len(values))
    feedback.note("done")
    os.write(1, b"native code prints here too")
    return [value * 2 + offset for value in values]


def large(feedback: Feedback, count: int) -> NDArray[np.int64]:
    return np.arange(count)


def refuses(feedback: Feedback) -> None:
    raise InputError("has no layers", path="net.param", line=3)


def crashes(feedback: Feedback) -> None:
    signal.raise_signal(signal.SIGSEGV)


def mistaken(feedback: Feedback) -> None:
    [][1]


def waits(feedback: Feedback, pid_file: Path) -> None:
    pid_file.write_text(str(os.getpid()))
    time.sleep(60)


def interrupting(note: str) -> None:
    raise KeyboardInterrupt


def announces(feedback: Feedback, pid_file: Path) -> None:
    pid_file.write_text(str(os.getpid()))
    feedback.note("now")
    time.sleep(60)


def test_a_function_gets_its_arguments_and_tells_how_it_goes() -> None:
    seen: list[object] = []
    feedback = Feedback(lambda *units: seen.append(units), seen.append)
    assert in_child("it", feedback, doubled, [1, 2], offset=5) == [7, 9]
    assert seen == [("doubling", 1, 2), ("doubling", 2, 2), "done"]


def test_a_large_result_comes_back_whole() -> None:
    assert in_child("it", Feedback(), large, 3_000_000).sum() == 2_999_999 * 1_500_000


def test_an_error_of_the_user_stays_what_it_is() -> None:
    with pytest.raises(InputError, match=r"^net\.param:3: has no layers$"):
        in_child("it", Feedback(), refuses)


def test_a_crash_is_named() -> None:
    with pytest.raises(BackendDied, match=r"the calibration died: .*SIGSEGV"):
        in_child("the calibration", Feedback(), crashes)


def test_a_mistake_in_the_function_is_quoted() -> None:
    with pytest.raises(BackendDied, match="IndexError: list index out of range"):
        in_child("it", Feedback(), mistaken)


def test_an_interruption_ends_the_child(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        in_child("it", Feedback(note=interrupting), announces, tmp_path / "pid")
    assert is_gone(int((tmp_path / "pid").read_text()))


def test_a_killed_parent_takes_the_child_with_it(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path; from quantkit.backends.child import in_child;"
        "from quantkit.progress import Feedback; from tests.backends.test_child import waits;"
        f"in_child('it', Feedback(), waits, Path({str(tmp_path / 'pid')!r}))"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parents[2])
    pid = wait_for(tmp_path / "pid")
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 10
    while not is_gone(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert is_gone(pid)


def wait_for(path: Path) -> int:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if path.exists() and path.read_text():
            return int(path.read_text())
        time.sleep(0.01)
    pytest.fail("the child did not start")


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rsplit(")", 1)[1].split()[0] == "Z"
