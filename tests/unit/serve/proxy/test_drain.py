"""Drain where there is no HAProxy (any more)."""

import socket
from pathlib import Path

from serve.proxy.drain import running_requests, stop_accepting


def test_nothing_runs_where_no_haproxy_is(tmp_path: Path) -> None:
    stop_accepting(tmp_path)
    assert running_requests(tmp_path) == 0


def test_a_socket_without_a_listener_is_no_error(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "admin.sock"))
    stop_accepting(tmp_path)
    assert running_requests(tmp_path) == 0
