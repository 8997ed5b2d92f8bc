"""A thread that takes items from an iterable and sends them while earlier ones are answered."""

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True)
class _End:
    error: BaseException | None


class Feeder(Generic[Item]):
    """Sends items in order, with at most `window` of them unanswered.

    Iterating over it gives the number of each item whose answer is due; an error that the iterable
    raised comes out at its place in that order.

    Args:
        items: What to send; iterated in the feeder's thread.
        numbers: Gives each item its number.
        send: Sends one item under its number.
        window: How many items may be under way.
    """

    def __init__(
        self,
        items: Iterable[Item],
        numbers: Iterator[int],
        send: Callable[[int, Item], None],
        window: int,
    ) -> None:
        self._items = items
        self._numbers = numbers
        self._send = send
        self._slots = threading.Semaphore(window)
        self._due: queue.SimpleQueue[int | _End] = queue.SimpleQueue()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._feed, daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[int]:
        while isinstance(number := self._due.get(), int):
            yield number
        if number.error is not None:
            raise number.error

    def answered(self) -> None:
        """Make room for one more item."""
        self._slots.release()

    def stop(self) -> None:
        """End the thread; items that were sent may still be answered."""
        self._stopped.set()
        self._slots.release()
        self._thread.join()

    def _feed(self) -> None:
        try:
            for item in self._items:
                self._slots.acquire()
                if self._stopped.is_set():
                    return
                number = next(self._numbers)
                # Before it is sent: a hung reader blocks the sending, and must be noticed.
                self._due.put(number)
                self._send(number, item)
        except BaseException as error:
            self._due.put(_End(error))
        else:
            self._due.put(_End(None))
