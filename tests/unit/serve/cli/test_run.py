"""Command that runs the graph: errors in one line, and checks before anything starts."""

import io
import os
import socket
from pathlib import Path

import pytest
from rich.console import Console

from serve.cli import console as console_module
from serve.cli import run
from serve.cli.processes.port import check_port


@pytest.fixture
def console(monkeypatch: pytest.MonkeyPatch) -> Console:
    recording = Console(record=True, width=400, file=io.StringIO())
    monkeypatch.setattr(console_module, "console", recording)
    monkeypatch.setattr(run, "console", recording)
    return recording


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", {**os.environ})


def test_invalid_configuration_is_printed_with_its_file_and_field(
    console: Console, tmp_path: Path
) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("applications: [{import_path: serve.app:build, args: {detectr: {}}}]")
    assert run.start(file, False, "127.0.0.1", 8000) == 1
    text = console.export_text()
    assert text.startswith(f"ConfigError: {file}: ")
    assert "args.detectr" in text
    assert "[type=extra_forbidden" in text


def test_taken_port_is_printed_before_anything_starts(console: Console, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert run.start(tmp_path, True, "127.0.0.1", port) == 1
    text = console.export_text()
    assert text.startswith("ServingError: ")
    assert f"127.0.0.1:{port}" in text
    assert "--port" in text
    assert "Starting" not in text


@pytest.mark.parametrize(
    ("host", "command"),
    [("127.0.0.1", "curl -s http://127.0.0.1:8000/"), ("::1", "curl -sg http://[::1]:8000/")],
)
def test_prints_an_example_that_works(
    host: str, command: str, console: Console, capsys: pytest.CaptureFixture[str]
) -> None:
    run._print_ready(host, 8000, 1)
    assert capsys.readouterr().out.startswith(f"{command}v1/respond -H ")
    assert command.split()[2].rstrip("/") in console.export_text()


def test_released_port_is_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)), server.accept()[0]:
            pass
    check_port("127.0.0.1", port)
