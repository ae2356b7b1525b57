"""Drain of a running server: no new requests, and time for the running ones to end."""

import time
from pathlib import Path
from threading import Event

from serve.cli.console import console
from serve.proxy.drain import running_requests, stop_accepting

POLL_S = 0.2


def drain(folder: Path, drain_s: float, hurried: Event) -> int:
    """Stop accepting requests, wait for the running ones, and return how many are cut.

    Args:
        folder: of HAProxy's files.
        drain_s: longest time to wait.
        hurried: ends the waiting.
    """
    deadline_s = time.monotonic() + drain_s
    stop_accepting(folder)
    running = running_requests(folder)
    if running:
        console.print(
            f"Waiting up to {drain_s:g} s for {running} running requests;"
            " a second signal ends them."
        )
    while running and time.monotonic() < deadline_s and not hurried.wait(POLL_S):
        running = running_requests(folder)
    if running:
        console.print(f"Cutting {running} running requests.")
    return running
