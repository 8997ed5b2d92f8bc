"""An iterator whose items are made ahead of their consumer, in order."""

import threading
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


def read_ahead(source: Iterable[T], count: int) -> Iterator[T]:
    """Make the items of an iterable in a thread, at most `count` ahead of their consumer.

    The thread works in bursts: it rests until half of the items are used up, because work of one
    kind in a row is much faster than the same work between two of another kind. An error of the
    source is raised at its place in the order. An iterator that is not read to its end stops its
    thread when it is closed.

    Args:
        source: What is read; its work should release the interpreter's lock, as OpenCV's does.
        count: How many items may wait.

    Example:
        >>> list(read_ahead((n * n for n in range(4)), count=2))
        [0, 1, 4, 9]
    """
    store: _Store[T] = _Store(count)
    thread = threading.Thread(target=store.fill, args=(source,), daemon=True)
    thread.start()
    try:
        yield from store.drain()
    finally:
        store.stop()
        thread.join()


class _Store(Generic[T]):
    """Items on their way from one thread to another."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._items: deque[T] = deque()
        self._changed = threading.Condition()
        self._ended = False
        self._stopped = False
        self._error: BaseException | None = None

    def fill(self, source: Iterable[T]) -> None:
        try:
            for item in source:
                if not self._put(item):
                    break
        except BaseException as error:
            self._error = error
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def drain(self) -> Iterator[T]:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._items or self._ended)
                if not self._items:
                    break
                item = self._items.popleft()
                self._changed.notify_all()
            yield item
        if self._error is not None:
            raise self._error

    def stop(self) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def _put(self, item: T) -> bool:
        """Hand over an item and rest if enough of them wait; tells whether to go on."""
        with self._changed:
            self._items.append(item)
            self._changed.notify_all()
            if len(self._items) >= self._count:
                rest = self._count // 2
                self._changed.wait_for(lambda: len(self._items) <= rest or self._stopped)
            return not self._stopped
