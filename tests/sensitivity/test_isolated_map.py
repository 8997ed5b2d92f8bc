import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence

import pytest

from quantkit.errors import BackendDied, InputError
from quantkit.sensitivity.isolated_map import Died, IsolatedPool


def isolated_map(
    open_session: Callable[..., Callable[[int], int]],
    arguments: tuple[int, ...],
    tasks: Sequence[int],
    *,
    workers: int = 2,
    patience: float = 600.0,
) -> Iterator[tuple[int, int | Died]]:
    with IsolatedPool(workers, patience=patience) as pool:
        yield from pool.map(open_session, arguments, tasks)


def open_square(offset: int) -> Callable[[int], int]:
    if offset < 0:
        message = "cannot open"
        raise InputError(message)

    def work(task: int) -> int:
        if task == 3:
            os.kill(os.getpid(), signal.SIGSEGV)
        if task == 4:
            os._exit(7)
        if task == 6:
            time.sleep(600)
        if task == 5:
            message = "task 5 is wrong"
            raise InputError(message)
        return task * task + offset

    return work


def test_every_task_has_its_result() -> None:
    assert dict(isolated_map(open_square, (1,), [0, 1, 2], workers=2)) == {0: 1, 1: 2, 2: 5}


def test_a_crash_costs_one_task_and_names_its_signal() -> None:
    results = dict(isolated_map(open_square, (0,), [1, 3, 4, 2], workers=1))
    assert results == {1: 1, 3: Died("SIGSEGV"), 4: Died("exit code 7"), 2: 4}


def test_a_hang_costs_one_task_and_ends_at_the_time_limit() -> None:
    results = dict(isolated_map(open_square, (0,), [6, 2], workers=1, patience=5))
    assert results == {6: Died("no answer for 5 s"), 2: 4}


def test_no_tasks_start_no_child() -> None:
    assert list(isolated_map(open_square, (0,), [])) == []


def test_a_session_that_cannot_be_opened_is_an_error() -> None:
    with pytest.raises(InputError, match="cannot open"):
        list(isolated_map(open_square, (-1,), [1]))


def test_an_error_of_a_task_reaches_the_caller() -> None:
    with pytest.raises(InputError, match="task 5 is wrong"):
        list(isolated_map(open_square, (0,), [5, 1, 2]))


def open_process(offset: int) -> Callable[[int], int]:
    def work(task: int) -> int:
        return os.getpid() + offset + task

    return work


def test_the_children_of_a_pool_do_one_map_after_the_other() -> None:
    with IsolatedPool(1) as pool:
        ((_, first),) = pool.map(open_process, (0,), [0])
        ((_, second),) = pool.map(open_process, (10,), [1])
        assert isinstance(first, int)
        assert second == first + 11
        died = dict(pool.map(open_square, (0,), [2, 3, 1]))
        assert died == {2: 4, 3: Died("SIGSEGV"), 1: 1}
        ((_, third),) = pool.map(open_process, (0,), [0])
        assert third != first


def test_a_map_that_is_left_early_does_not_answer_the_next() -> None:
    with IsolatedPool(2) as pool:
        for _ in pool.map(open_square, (0,), [1, 2, 7, 8]):
            break
        assert dict(pool.map(open_square, (100,), [1, 2])) == {1: 101, 2: 104}


def open_mistake() -> Callable[[int], int]:
    return lambda task: 1 // task


def test_a_mistake_of_the_program_is_not_taken_for_a_death() -> None:
    with pytest.raises(BackendDied, match="a child process failed: ZeroDivisionError"):
        list(isolated_map(open_mistake, (), [0, 1]))


def test_a_pool_ends_without_a_word(capfd: pytest.CaptureFixture[str]) -> None:
    with IsolatedPool(1) as pool:
        assert dict(pool.map(open_square, (0,), [2])) == {2: 4}
        pool._idle[0].connection.close()
        pool._idle[0].process.join(20)
        assert pool._idle[0].process.exitcode == 0
    assert capfd.readouterr().err == ""
