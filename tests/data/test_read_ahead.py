import threading
import time
from collections.abc import Iterator

import pytest

from quantkit.data.read_ahead import read_ahead


def test_items_come_in_order_even_none() -> None:
    assert list(read_ahead(iter([3, None, 1, None]), count=2)) == [3, None, 1, None]


def test_no_more_than_the_count_waits() -> None:
    made: list[int] = []

    def source() -> Iterator[int]:
        for number in range(50):
            made.append(number)
            yield number

    for taken, _ in enumerate(read_ahead(source(), count=4), start=1):
        time.sleep(0.001)
        # Four wait, and one more is held by the thread that wants to put it.
        assert len(made) <= taken + 5


def test_an_error_comes_at_its_place() -> None:
    def source() -> Iterator[int]:
        yield 1
        yield 2
        message = "third"
        raise ValueError(message)

    stream = read_ahead(source(), count=8)
    assert [next(stream), next(stream)] == [1, 2]
    with pytest.raises(ValueError, match="third"):
        next(stream)


@pytest.mark.parametrize("taken", [1, 3])
def test_a_stream_that_is_closed_early_ends_its_thread(taken: int) -> None:
    before = threading.active_count()
    stream = read_ahead(iter(range(1000)), count=2)
    for _ in range(taken):
        next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before
