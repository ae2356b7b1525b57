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


def never() -> None:
    raise AssertionError("no request is ended")


def test_ends_with_the_last_request(counts: list[int], tmp_path: Path) -> None:
    counts[:] = [2, 2, 1, 0]
    assert drain(tmp_path, 600, threading.Event(), never) == 0
    assert counts == [0]


def test_ends_what_runs_longer_and_waits_until_clients_have_read_it(
    counts: list[int], tmp_path: Path
) -> None:
    counts[:] = [3]
    ended: list[str] = []

    def end() -> None:
        ended.append("all")
        counts[:] = [3, 2, 0]

    assert drain(tmp_path, 0.05, threading.Event(), end) == 3
    assert (ended, counts) == (["all"], [0])


def test_a_client_that_does_not_read_is_not_waited_for(
    counts: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drain_module, "ENDING_S", 0.05)
    counts[:] = [1]
    assert drain(tmp_path, 0, threading.Event(), lambda: None) == 1


def test_does_not_wait_when_hurried(counts: list[int], tmp_path: Path) -> None:
    counts[:] = [3]
    hurried = threading.Event()
    hurried.set()
    assert drain(tmp_path, 600, hurried, lambda: counts.__setitem__(slice(None), [0])) == 3
