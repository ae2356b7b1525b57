"""Items that a generator makes in a thread of its own, where no signal interrupts it.

Python runs signal handlers in the main thread. C++ code there, as Ray's, loses what a handler
raises or turns it into something else.
"""

import queue
import threading
from collections.abc import Generator, Iterator
from types import TracebackType
from typing import Generic, TypeVar

Item = TypeVar("Item")
AHEAD = 8  # items that wait to be taken


class _End:
    """The last entry of the queue, with the generator's error if there was one."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


class BackgroundItems(Iterator[Item], Generic[Item]):
    """Iterator over the items of a generator that runs in a thread.

    As a context manager it ends the generator and waits for the thread, unless the block is left
    by something that is no `Exception`: then the process is about to end and nothing is waited for.
    """

    def __init__(self, items: Generator[Item, None, None]) -> None:
        """Start the thread."""
        self._items = items
        self._queue: queue.Queue[Item | _End] = queue.Queue(AHEAD)
        self._closed = threading.Event()
        self._ended = False
        self._thread = threading.Thread(target=self._run, daemon=True, name="background-items")
        self._thread.start()

    def __enter__(self) -> "BackgroundItems[Item]":
        """Enter."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End the generator and wait for its thread."""
        if kind is None or issubclass(kind, Exception):
            self._close()

    def __next__(self) -> Item:
        """Return the next item. Raises what the generator raised."""
        if self._ended:
            raise StopIteration
        item = self._queue.get()
        if not isinstance(item, _End):
            return item
        self._ended = True
        raise item.error or StopIteration

    def _run(self) -> None:
        end = _End()
        try:
            for item in self._items:
                self._queue.put(item)
                if self._closed.is_set():
                    break
            self._items.close()
        except BaseException as error:  # noqa: BLE001 (raised again by __next__)
            end = _End(error)
        self._queue.put(end)

    def _close(self) -> None:
        self._closed.set()
        # A thread that waits for room puts one more item and the end.
        while not self._queue.empty():
            self._queue.get()
        self._thread.join()
