"""Log files of the running graph: no user text, and no growth without bound."""

import json
import time
import uuid
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from ray._private import worker

from serve.cluster.ray_compat import LOG_BACKUPS, LOG_BYTES
from support.running_graph import Graph

SECRET = f"sekret{uuid.uuid4().hex}"  # as no log has it by chance
MARK = f"mark-{uuid.uuid4().hex}"  # an id, which the logs do have
CHAT = "/v1/chat/completions"
SAID = f"such joy, {SECRET}"
MESSAGES = [{"role": "user", "content": SAID}]
WRITTEN_WITHIN_S = 30
QUIET_S = 1.0  # in which processes write what they have kept
LIMITS = {"MAX_BYTES": str(LOG_BYTES), "BACKUP_COUNT": str(LOG_BACKUPS)}
ANSWERED: list[tuple[str, dict[str, Any]]] = [
    ("/v1/respond", {"text": SAID, "max_tokens": 2}),
    ("/v1/respond", {"text": SAID, "max_tokens": 2, "stream": True}),
    ("/v1/respond", {"text": f"i want to kill myself, {SECRET}", "max_tokens": 2}),
    ("/v1/detect", {"text": [SAID, SECRET]}),
    (CHAT, {"messages": MESSAGES, "max_tokens": 2}),
    (CHAT, {"messages": MESSAGES, "max_tokens": 2, "stream": True, "user": SECRET}),
]
REFUSED: list[tuple[str, bytes, int]] = [
    ("/v1/respond", f'{{"text": "{SECRET}'.encode(), 400),
    ("/v1/respond", f'{{"text": "{SECRET}'.encode() + b"\xff\xfe", 400),
    ("/v1/respond", json.dumps({"text": SAID, "emotion": SECRET}).encode(), 422),
    ("/v1/respond", json.dumps({"text": SAID, SECRET: SECRET}).encode(), 422),
    ("/v1/detect", json.dumps({"text": SECRET * 200}).encode(), 422),
    (CHAT, json.dumps({"messages": MESSAGES, "model": SECRET}).encode(), 404),
    (CHAT, json.dumps({"messages": MESSAGES, "tools": [SECRET]}).encode(), 400),
    (f"/v1/{SECRET}", b"{}", 404),
]


def logs() -> list[Path]:
    """Every file that Ray and what it runs have written to."""
    node: Any = worker._global_node
    return [file for file in Path(node.get_logs_dir_path()).rglob("*") if file.is_file()]


def files_with(word: str) -> list[Path]:
    return [file for file in logs() if word.encode() in file.read_bytes()]


def send_everything(client: httpx.Client) -> None:
    for path, body in ANSWERED:
        assert client.post(path, json=body).status_code == 200, path
    for path, content, status in REFUSED:
        reply = client.post(path, content=content, headers={"content-type": "application/json"})
        assert reply.status_code == status, (path, reply.text)
    late = client.post("/v1/respond", json={"text": SAID}, headers={"x-request-timeout-ms": "300"})
    assert late.status_code == 504
    with client.stream("POST", "/v1/respond", json={"text": SAID, "stream": True}) as left:
        assert next(left.iter_lines())


def wait_until_logged(client: httpx.Client, mark: str) -> None:
    """Send a request with an id, and wait until a log has it."""
    body = {"text": SAID, "max_tokens": 2}
    reply = client.post("/v1/respond", json=body, headers={"x-request-id": mark})
    assert reply.status_code == 200
    deadline_s = time.monotonic() + WRITTEN_WITHIN_S
    while not files_with(mark):
        assert time.monotonic() < deadline_s, (
            "a request's id is in the log, so what comes with it would be found there"
        )
        time.sleep(0.5)


def test_logs_contain_no_user_text(client: httpx.Client, capfd: pytest.CaptureFixture[str]) -> None:
    send_everything(client)
    wait_until_logged(client, f"{MARK}-1")
    time.sleep(QUIET_S)
    wait_until_logged(client, f"{MARK}-2")
    assert files_with(SECRET) == []
    assert SECRET not in "".join(capfd.readouterr())


def test_output_of_replicas_is_rotated(graph: Graph) -> None:
    """Ray gives a process a file, which grows; where it rotates, it reads the output by a pipe."""
    processes = psutil.Process().children(recursive=True)
    replicas = [one for one in processes if one.name().startswith("ray::Serve")]
    assert len(replicas) >= 3, "Detector, Responder, AdapterController"
    for replica in replicas:
        limits = {name: replica.environ().get(f"RAY_ROTATION_{name}") for name in LIMITS}
        assert limits == LIMITS
        outputs = [Path(f"/proc/{replica.pid}/fd/{number}").readlink() for number in (1, 2)]
        assert [str(output).partition(":")[0] for output in outputs] == ["pipe", "pipe"]
