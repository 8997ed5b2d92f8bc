"""An iterator whose items are made ahead of their consumer, in order."""

import queue
import threading
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def read_ahead(source: Iterable[T], count: int) -> Iterator[T]:
    """Make the items of an iterable in a thread, at most `count` ahead of their consumer.

    An error of the source is raised at its place in the order. An iterator that is not read to its
    end stops its thread when it is closed.

    Args:
        source: What is read; its work should release the interpreter's lock, as OpenCV's does.
        count: How many items may wait.

    Example:
        >>> list(read_ahead((n * n for n in range(4)), count=2))
        [0, 1, 4, 9]
    """
    waiting: queue.Queue[_Item[T]] = queue.Queue(count)
    stopped = threading.Event()
    thread = threading.Thread(target=_fill, args=(source, waiting, stopped), daemon=True)
    thread.start()
    try:
        while (item := waiting.get()) is not None:
            if isinstance(item, _Failure):
                raise item.error
            yield item[0]
    finally:
        stopped.set()
        # An emptied queue wakes a producer that waits for room; it puts at most one item more.
        while not waiting.empty():
            waiting.get_nowait()
        thread.join()


class _Failure:
    def __init__(self, error: BaseException) -> None:
        self.error = error


# An item in a tuple of its own (it may be None), the source's error, or None at the end.
_Item = tuple[T] | _Failure | None


def _fill(source: Iterable[T], waiting: "queue.Queue[_Item[T]]", stopped: threading.Event) -> None:
    try:
        for item in source:
            waiting.put((item,))
            if stopped.is_set():
                return
    except BaseException as error:
        waiting.put(_Failure(error))
    else:
        waiting.put(None)
