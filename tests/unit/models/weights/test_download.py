"""Base weights from the hub: the real client in a subprocess, against a fake hub."""

import json
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from models.weights.catalog import BaseWeights, HubSource

COMMIT = "c0ffee" + "0" * 34
FILES = {"config.json": b"{}", "model.safetensors": b"weights", "README.md": b"not wanted"}
WEIGHTS_SHA256 = "9a129038d9a00aed0cf6a7ea059ca50a813449061ab87848cf1a13eafdf33b2c"
Materialize = Callable[..., list[str]]


class FakeHub(ThreadingHTTPServer):
    """Hub with one repository.

    Attributes:
        rejections: error codes by file name.
        requests: methods and file names of all requests.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.rejections: dict[str, str] = {}
        self.requests: list[str] = []


class Handler(BaseHTTPRequestHandler):
    server: FakeHub

    def do_GET(self) -> None:
        name = self.path.rpartition("/")[2]
        self.server.requests.append(f"{self.command} {name}")
        if self.path == "/api/models/a/b":
            self._send_json({"id": "a/b", "sha": COMMIT})
        elif self.path.startswith(f"/api/models/a/b/tree/{COMMIT}"):
            self._send_json([_tree_entry(name, data) for name, data in FILES.items()])
        elif name in self.server.rejections:
            self._send(b"", 403, {"X-Error-Code": self.server.rejections[name]})
        elif self.path == f"/a/b/resolve/{COMMIT}/{name}":
            self._send(FILES[name], 200, {"ETag": f'"{name}"', "X-Repo-Commit": COMMIT})
        else:
            self._send(b"", 404, {"X-Error-Code": "RepoNotFound"})

    do_HEAD = do_GET  # noqa: N815 (the name that http.server requires)

    def _send_json(self, content: object) -> None:
        self._send(json.dumps(content).encode())

    def _send(self, body: bytes, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body if self.command == "GET" else b"")

    def log_message(self, *_: object) -> None:
        """Suppress the log."""


def _tree_entry(name: str, data: bytes) -> dict[str, object]:
    return {"type": "file", "path": name, "size": len(data), "oid": "0"}


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    with FakeHub() as hub:
        threading.Thread(target=hub.serve_forever, args=(0.02,), daemon=True).start()
        yield hub
        hub.shutdown()


def entry_of(repo: str = "a/b", revision: str | None = None) -> BaseWeights:
    source = HubSource(kind="hub", repo=repo, revision=revision)
    return BaseWeights(name="tiny", purpose="test", licence="none", source=source)


@pytest.fixture
def materialize(
    tmp_path: Path, materialize_in_subprocess: Callable[..., subprocess.Popen[str]]
) -> Materialize:
    """Materialize entries from the hub at a port; returns the lines that the process prints."""

    def run(port: int, *entries: BaseWeights) -> list[str]:
        process = materialize_in_subprocess(
            *entries,
            FYE_CACHE=str(tmp_path),
            HF_ENDPOINT=f"http://127.0.0.1:{port}",
            HF_HOME=str(tmp_path / "hf"),
            HF_HUB_OFFLINE="0",
        )
        return process.communicate(timeout=60)[0].splitlines()

    return run


def test_unpinned_repository_is_resolved_and_recorded(
    hub: FakeHub, tmp_path: Path, materialize: Materialize
) -> None:
    folder = tmp_path / "tiny-latest"
    lines = materialize(hub.server_port, entry_of())
    assert f'revision = "{COMMIT}"' in lines[0]
    assert lines[-1] == str(folder)
    names = {file.name for file in folder.iterdir()}
    assert names == {"config.json", "model.safetensors", "source.json"}
    record = json.loads((folder / "source.json").read_text())
    assert set(record.pop("files")) == {"config.json", "model.safetensors"}
    assert record == {
        "name": "tiny",
        "repo": "a/b",
        "revision": COMMIT,
        "sha256": WEIGHTS_SHA256,
    }


def test_rejection_is_one_line_and_keeps_finished_files(
    hub: FakeHub, tmp_path: Path, materialize: Materialize
) -> None:
    gated = entry_of(revision=COMMIT)
    missing = entry_of("a/c")
    hub.rejections = {"model.safetensors": "GatedRepo"}
    gated_line, missing_line = materialize(hub.server_port, gated, missing)
    assert gated_line.startswith("FetchError: a/b is gated")
    assert "https://huggingface.co/a/b" in gated_line
    assert missing_line.startswith("FetchError: a/c is not on the hub")
    assert not list(tmp_path.glob("tiny-*"))
    hub.rejections = {}
    folder = tmp_path / f"tiny-{COMMIT[:12]}"
    assert materialize(hub.server_port, gated)[-1] == str(folder)
    assert hub.requests.count("GET config.json") == 1
    assert hub.requests.count("GET model.safetensors") == 1


def test_unreachable_hub_is_one_line(tmp_path: Path, materialize: Materialize) -> None:
    with socket.socket() as closed:  # bound but not listening: every connection is rejected
        closed.bind(("127.0.0.1", 0))
        (line,) = materialize(closed.getsockname()[1], entry_of())
    assert line.startswith("FetchError: cannot connect to the Hugging Face hub for a/b")
    assert not list(tmp_path.glob("tiny-*"))
