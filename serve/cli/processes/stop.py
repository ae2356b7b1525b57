"""Stop of the command: the first signal asks for it, the second one hurries it."""

import signal
import threading

NUMBERS = (signal.SIGINT, signal.SIGTERM)


class Stop:
    """Signals of the command.

    Attributes:
        asked: set by the first signal.
        hurried: set by the second one.
    """

    def __init__(self) -> None:
        """Start without any signal."""
        self.asked = threading.Event()
        self.hurried = threading.Event()

    def listen(self) -> None:
        """Handle the signals. Call it again where something else has replaced the handlers."""
        for number in NUMBERS:
            signal.signal(number, lambda *_: self.receive())

    def receive(self) -> None:
        """Take one signal."""
        if self.asked.is_set():
            self.hurried.set()
        self.asked.set()
