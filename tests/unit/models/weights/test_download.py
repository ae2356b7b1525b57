"""Base weights from the hub: the real client in a process of its own, against a small imitation of the hub's API."""

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
Fetch = Callable[..., list[str]]


class Hub(ThreadingHTTPServer):
    """Serves one repository, and remembers what was asked for. `refusals` are error codes by file name."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.refusals: dict[str, str] = {}
        self.asked: list[str] = []


class Answer(BaseHTTPRequestHandler):
    server: Hub

    def do_GET(self) -> None:
        name = self.path.rpartition("/")[2]
        self.server.asked.append(f"{self.command} {name}")
        if self.path == "/api/models/a/b":
            self._send(json.dumps({"id": "a/b", "sha": COMMIT}).encode())
        elif self.path.startswith(f"/api/models/a/b/tree/{COMMIT}"):
            self._send(json.dumps([{"type": "file", "path": name, "size": len(data), "oid": "0"} for name, data in FILES.items()]).encode())
        elif name in self.server.refusals:
            self._send(b"", 403, **{"X-Error-Code": self.server.refusals[name]})
        elif self.path == f"/a/b/resolve/{COMMIT}/{name}":
            self._send(FILES[name], ETag=f'"{name}"', **{"X-Repo-Commit": COMMIT})
        else:
            self._send(b"", 404, **{"X-Error-Code": "RepoNotFound"})

    do_HEAD = do_GET  # noqa: N815 (the server's name)

    def _send(self, body: bytes, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body if self.command == "GET" else b"")

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def hub() -> Iterator[Hub]:
    with Hub() as hub:
        threading.Thread(target=hub.serve_forever, args=(0.02,), daemon=True).start()
        yield hub
        hub.shutdown()


def entry_of(repo: str = "a/b", revision: str | None = None) -> BaseWeights:
    source = HubSource(kind="hub", repo=repo, revision=revision)
    return BaseWeights(name="tiny", purpose="test", licence="none", source=source)


@pytest.fixture
def fetch(tmp_path: Path, materialize_elsewhere: Callable[..., subprocess.Popen[str]]) -> Fetch:
    """Materialises entries from the hub at a port, in a process, and returns the lines that it prints."""

    def run(port: int, *entries: BaseWeights) -> list[str]:
        settings = {"HF_ENDPOINT": f"http://127.0.0.1:{port}", "HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "0"}
        process = materialize_elsewhere(*entries, FYE_CACHE=str(tmp_path), **settings)
        return process.communicate(timeout=60)[0].splitlines()

    return run


def test_an_unpinned_repository_is_resolved_reported_and_recorded(hub: Hub, tmp_path: Path, fetch: Fetch) -> None:
    folder = tmp_path / "tiny-latest"
    assert fetch(hub.server_port, entry_of()) == [
        f'a/b: not pinned; add revision = "{COMMIT}" to models/weights/catalog.toml to always get this one',
        f"tiny: ready in {folder}",
        str(folder),
    ]
    assert {file.name for file in folder.iterdir()} == {"config.json", "model.safetensors", "source.json"}
    record = json.loads((folder / "source.json").read_text())
    assert record == {"name": "tiny", "repo": "a/b", "revision": COMMIT, "sha256": WEIGHTS_SHA256}


def test_a_refusal_is_said_in_one_sentence_and_finished_files_are_kept(hub: Hub, tmp_path: Path, fetch: Fetch) -> None:
    gated, absent = entry_of(revision=COMMIT), entry_of("a/c")
    hub.refusals = {"model.safetensors": "GatedRepo"}
    assert fetch(hub.server_port, gated, absent) == [
        "FetchError: a/b is gated: accept its terms at https://huggingface.co/a/b and set HF_TOKEN",
        "FetchError: a/c is not on the hub, or your HF_TOKEN may not see it",
    ]
    assert not list(tmp_path.glob("tiny-*"))
    hub.refusals = {}
    assert fetch(hub.server_port, gated)[-1] == str(tmp_path / f"tiny-{COMMIT[:12]}")
    assert hub.asked.count("GET config.json") == hub.asked.count("GET model.safetensors") == 1


def test_a_hub_that_cannot_be_reached_is_said_in_one_sentence(tmp_path: Path, fetch: Fetch) -> None:
    with socket.socket() as closed:  # bound and never listening: every connection is refused
        closed.bind(("127.0.0.1", 0))
        (line,) = fetch(closed.getsockname()[1], entry_of())
    assert line == "FetchError: the hub cannot be reached for a/b: connect, or give a local folder instead of its name"
    assert not list(tmp_path.glob("tiny-*"))
