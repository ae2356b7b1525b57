"""Limit on how many replicas of a node one request can crash."""

import os
import stat
import time
import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from serve.errors import ReplicaFailed, ServingError
from serve.pipeline.attempts import MAX_ATTEMPTS, STALE_S, Attempts, attempts_folder

UNIQUE_ID = str(uuid.uuid4())
Crash = Callable[[str], None]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "attempts"


@pytest.fixture
def crash(folder: Path) -> Crash:
    """Begin an attempt that never ends, as when its process dies."""
    begun = list[AbstractContextManager[None]]()  # an attempt ends when it is collected

    def crash(unique_id: str) -> None:
        attempt = Attempts(folder).enter(unique_id)
        attempt.__enter__()
        begun.append(attempt)

    return crash


def files(folder: Path) -> list[str]:
    return [file.name for file in folder.iterdir()]


def test_request_that_crashed_two_replicas_is_rejected(folder: Path, crash: Crash) -> None:
    for _ in range(MAX_ATTEMPTS):
        crash(UNIQUE_ID)
    with pytest.raises(ReplicaFailed), Attempts(folder).enter(UNIQUE_ID):
        pytest.fail("a third replica was put at risk")
    assert files(folder) == []


def test_request_is_repeated_after_one_crash(folder: Path, crash: Crash) -> None:
    crash(UNIQUE_ID)
    with Attempts(folder).enter(UNIQUE_ID):
        assert files(folder) == [UNIQUE_ID]
    assert files(folder) == []


def test_other_requests_are_not_affected(folder: Path, crash: Crash) -> None:
    for _ in range(MAX_ATTEMPTS):
        crash(UNIQUE_ID)
    with Attempts(folder).enter(str(uuid.uuid4())):
        assert len(files(folder)) == 2


@pytest.mark.parametrize("error", [None, ZeroDivisionError, GeneratorExit])
def test_attempt_that_ends_is_forgotten(folder: Path, error: type[BaseException] | None) -> None:
    attempts = Attempts(folder)
    for _ in range(MAX_ATTEMPTS + 2):
        try:
            with attempts.enter(UNIQUE_ID):
                if error:
                    raise error
        except (ZeroDivisionError, GeneratorExit):
            pass
    assert files(folder) == []


@pytest.mark.parametrize(
    "unique_id",
    [None, "", "x" * 36, "../" + "a" * 33, "a" * 31, "a" * 37, f"{UNIQUE_ID}\n"],
)
def test_ids_that_haproxy_does_not_make_leave_no_file(folder: Path, unique_id: str | None) -> None:
    attempts = Attempts(folder)
    for _ in range(MAX_ATTEMPTS + 2):
        with attempts.enter(unique_id):
            assert files(folder) == []


def test_removes_stale_attempts_only(folder: Path, crash: Crash) -> None:
    stale = str(uuid.uuid4())
    crash(stale)
    crash(UNIQUE_ID)
    old_s = time.time() - STALE_S - 1
    os.utime(folder / stale, (old_s, old_s))
    Attempts(folder)
    assert files(folder) == [UNIQUE_ID]


def test_only_the_owner_can_read_attempts(folder: Path, crash: Crash) -> None:
    crash(UNIQUE_ID)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / UNIQUE_ID).stat().st_mode) == 0o600


def test_folder_belongs_to_one_user() -> None:
    assert attempts_folder().name.endswith(str(os.getuid()))


def test_folder_that_is_a_link_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "documents").mkdir()
    folder.symlink_to(tmp_path / "documents")
    with pytest.raises(ServingError, match="not a folder of this user"):
        Attempts(folder)


def test_files_of_others_are_not_removed(folder: Path) -> None:
    folder.mkdir()
    other = folder / "notes.txt"
    other.touch()
    os.utime(other, (0, 0))
    Attempts(folder)
    assert other.exists()


def test_full_disk_limits_nothing(folder: Path) -> None:
    attempts = Attempts(folder)
    folder.rmdir()
    with attempts.enter(UNIQUE_ID):
        assert not folder.exists()
