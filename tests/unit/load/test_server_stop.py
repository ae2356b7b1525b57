"""Trial of a stop by a signal to the process group: its requests, its verdict, what is left."""

import socket
from pathlib import Path

import psutil
import pytest

from load.chaos import server_stop
from load.chaos.cluster import HOST
from load.chaos.server_stop import LONG, SHORT, check_ends, requests_of_two_lengths, what_is_left
from load.harness.outcomes import End, Outcome
from models.emotions import Emotion


def stream(end: End) -> Outcome:
    return Outcome(
        emotion=Emotion.JOY, end=end, started_s=0, ended_s=2, status=200, chunks_at_s=(1,)
    )


def test_requests_have_every_length_as_stream_and_as_document() -> None:
    requests = list(requests_of_two_lengths())
    kinds = [(request.max_tokens, request.stream) for request in requests]
    assert {kind: kinds.count(kind) for kind in kinds} == {
        (SHORT, True): 3,
        (LONG, True): 3,
        (SHORT, False): 3,
        (LONG, False): 3,
    }


@pytest.mark.parametrize(
    ("ends", "problem"),
    [
        (("ok", "failed_explicitly"), None),
        (("ok",), "no effect"),
        (("failed_explicitly",), "no effect"),
        (("ok", "failed_explicitly", "lost"), "lost"),
    ],
)
def test_streams_must_end_in_both_ways(ends: tuple[End, ...], problem: str | None) -> None:
    problems = list(check_ends([stream(end) for end in ends], struck_s=1))
    assert (problems == []) if problem is None else any(problem in one for one in problems)


async def test_names_what_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_stop, "LEFT_S", 0.1)
    memory = tmp_path / "psm_1"
    memory.touch()
    this = psutil.Process()
    with socket.create_server((HOST, 0)) as listener:
        port = listener.getsockname()[1]
        left = await what_is_left(f"http://{HOST}:{port}", [this], {memory})
    assert left == [f"process {this.pid}", f"shared memory {memory}", f"port {port}"]


async def test_nothing_is_left_of_what_is_gone(tmp_path: Path) -> None:
    with socket.create_server((HOST, 0)) as listener:
        url = f"http://{HOST}:{listener.getsockname()[1]}"
    assert await what_is_left(url, [], {tmp_path / "psm_1"}) == []
