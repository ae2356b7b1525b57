"""Drain of the command: it waits for running requests, within its time."""

import threading
from pathlib import Path

import pytest

from serve.cli import drain as drain_module
from serve.cli.drain import drain


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Numbers of running requests, one for each look; the last one stays."""
    found = [0]
    accepting = [True]

    def look(folder: Path) -> int:
        assert not accepting[0]
        return found.pop(0) if len(found) > 1 else found[0]

    monkeypatch.setattr(drain_module, "POLL_S", 0.001)
    monkeypatch.setattr(drain_module, "running_requests", look)
    monkeypatch.setattr(drain_module, "stop_accepting", lambda _: accepting.__setitem__(0, False))
    return found


def test_ends_with_the_last_request(counts: list[int], tmp_path: Path) -> None:
    counts[:] = [2, 2, 1, 0]
    assert drain(tmp_path, 600, threading.Event()) == 0
    assert counts == [0]


def test_cuts_what_runs_longer(counts: list[int], tmp_path: Path) -> None:
    counts[:] = [3]
    assert drain(tmp_path, 0.05, threading.Event()) == 3


def test_does_not_wait_when_hurried(counts: list[int], tmp_path: Path) -> None:
    counts[:] = [3]
    hurried = threading.Event()
    hurried.set()
    assert drain(tmp_path, 600, hurried) == 3
