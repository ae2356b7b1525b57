"""Folders for unix sockets: the temporary one, unless its path is too long."""

import socket
import tempfile
from pathlib import Path

import pytest

from serve.cli.local_cluster import HAPROXY_SOCKET_BYTES, PREFIX, RAY_SOCKET_BYTES
from serve.cluster import sockets
from serve.cluster.sockets import LONGEST_PATH, short_folder
from serve.errors import ConfigError


def use(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Make a folder the one of temporary files, as TMPDIR does."""
    folder.mkdir(parents=True, exist_ok=True)
    monkeypatch.setattr(tempfile, "tempdir", str(folder))


@pytest.fixture
def long(tmp_path: Path) -> Path:
    return tmp_path / ("x" * 100)


def test_a_short_temporary_folder_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, tmp_path)
    assert short_folder(LONGEST_PATH - len(str(tmp_path))) == tmp_path
    assert short_folder(LONGEST_PATH - len(str(tmp_path)) + 1) != tmp_path


def test_a_long_one_is_replaced_by_one_that_holds_sockets(
    long: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, long)
    for needed in (HAPROXY_SOCKET_BYTES, RAY_SOCKET_BYTES):
        found = short_folder(needed)
        assert len(str(found)) + needed <= LONGEST_PATH
        with tempfile.TemporaryDirectory(prefix=PREFIX, dir=found) as folder:
            name = "s" * (needed - len(folder) + len(str(found)) - 1)
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind(f"{folder}/{name}")


def test_where_every_folder_is_too_long_the_error_says_what_to_set(
    long: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, long)
    monkeypatch.setattr(sockets, "SHORT_FOLDERS", ())
    with pytest.raises(ConfigError, match=r"at most 67 bytes.*set TMPDIR"):
        short_folder(40)


def test_a_folder_of_a_variable_of_its_own_is_binding(
    long: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, tmp_path)
    monkeypatch.setenv("RAY_TMPDIR", str(long))
    with pytest.raises(ConfigError, match="set RAY_TMPDIR"):
        short_folder(40, "RAY_TMPDIR")
    monkeypatch.setenv("RAY_TMPDIR", "/")
    assert short_folder(40, "RAY_TMPDIR") == Path("/")
