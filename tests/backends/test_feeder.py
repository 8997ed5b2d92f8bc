import itertools
import threading
import time
from collections.abc import Iterator

import pytest

from quantkit.backends.feeder import Feeder


def test_items_are_sent_in_order_under_their_numbers() -> None:
    sent: list[tuple[int, str]] = []
    feeder = Feeder("abc", itertools.count(7), lambda n, item: sent.append((n, item)), 10)
    assert list(feeder) == [7, 8, 9]
    feeder.stop()
    assert sent == [(7, "a"), (8, "b"), (9, "c")]


def test_no_more_than_the_window_is_unanswered() -> None:
    sent: list[int] = []
    feeder = Feeder(range(100), itertools.count(), lambda n, _: sent.append(n), 3)
    numbers = iter(feeder)
    for answered in range(10):
        next(numbers)
        time.sleep(0.01)
        assert len(sent) <= answered + 3
        feeder.answered()
    feeder.stop()
    assert len(sent) < 100


def test_an_error_of_the_items_comes_at_its_place() -> None:
    def items() -> Iterator[int]:
        yield 1
        yield 2
        message = "third"
        raise OSError(message)

    feeder = Feeder(items(), itertools.count(), lambda *_: None, 5)
    numbers = iter(feeder)
    assert [next(numbers), next(numbers)] == [0, 1]
    with pytest.raises(OSError, match="third"):
        next(numbers)
    feeder.stop()


def test_items_are_taken_in_another_thread() -> None:
    where: list[int] = []

    def items() -> Iterator[int]:
        where.append(threading.get_ident())
        yield 0

    feeder = Feeder(items(), itertools.count(), lambda *_: None, 1)
    list(feeder)
    feeder.stop()
    assert where != [threading.get_ident()]
