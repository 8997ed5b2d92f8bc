import time
from collections.abc import Iterator

import pytest

from quantkit.errors import InputError
from quantkit.evaluation.bursts import in_bursts


def test_items_are_handed_on_eight_at_a_time() -> None:
    made: list[int] = []

    def source() -> Iterator[int]:
        for number in range(20):
            made.append(number)
            yield number

    stream = in_bursts(source())
    assert [next(stream) for _ in range(8)] == list(range(8))
    assert len(made) == 8
    assert next(stream) == 8
    assert len(made) == 16
    assert list(stream) == list(range(9, 20))


def test_a_slow_source_is_not_held_back() -> None:
    def source() -> Iterator[int]:
        for number in range(3):
            time.sleep(0.3)
            yield number
        pytest.fail("asked for more before the first was handed on")

    stream = in_bursts(source())
    assert next(stream) == 0


@pytest.mark.parametrize("error", [InputError("broken"), KeyboardInterrupt()])
def test_what_came_before_an_error_is_handed_on(error: BaseException) -> None:
    def source() -> Iterator[int]:
        yield 1
        yield 2
        raise error

    stream = in_bursts(source())
    assert [next(stream), next(stream)] == [1, 2]
    with pytest.raises(type(error)):
        next(stream)
