"""Drain of a running server: no new requests, and time for the running ones to end."""

import time
from collections.abc import Callable
from pathlib import Path
from threading import Event

from serve.cli.console import console
from serve.proxy.drain import running_requests, stop_accepting

POLL_S = 0.2
ENDING_S = 5.0  # for clients to read the error that ends their stream


def drain(folder: Path, drain_s: float, hurried: Event, end: Callable[[], None]) -> int:
    """Stop accepting requests, wait for the running ones, and return how many are ended then.

    Args:
        folder: of HAProxy's files.
        drain_s: longest time to wait.
        hurried: ends the waiting.
        end: ends the running requests with an error.
    """
    stop_accepting(folder)
    running = running_requests(folder)
    if running:
        console.print(
            f"Waiting up to {drain_s:g} s for {running} running requests;"
            " a second signal ends them."
        )
        running = _wait(folder, drain_s, hurried)
    if running:
        console.print(f"Ending {running} running requests with an error.")
        end()
        _wait(folder, ENDING_S, Event())
    return running


def _wait(folder: Path, longest_s: float, hurried: Event) -> int:
    """Wait until no request runs, for a time, and return how many still do."""
    deadline_s = time.monotonic() + longest_s
    running = running_requests(folder)
    while running and time.monotonic() < deadline_s and not hurried.wait(POLL_S):
        running = running_requests(folder)
    return running
