"""Arms of the load test: graph, detector, `vllm serve`, and a graph without work."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import aiohttp

from load.bench.vllm_server import vllm_server
from load.harness.arrivals import Send
from load.harness.client import REJECTED, end_of_error, send_request
from load.harness.graph import PORT, running_graph
from load.harness.openai_client import send_completion, vllm_body
from load.harness.outcomes import Outcome
from load.harness.workload import Request
from serve.config import SCRIPTED, ResponderConfig, ScriptedConfig, ServeConfig

ArmName = Literal["graph", "detector", "vllm", "no-op"]
ARMS: tuple[ArmName, ...] = ("graph", "detector", "vllm", "no-op")
TIMEOUT_S = 60.0
NO_OP_TOKEN_S = 0.001  # with 0, all tokens are due at once and an answer is one chunk
NO_OP = SCRIPTED.model_copy(
    update={
        "responder": ResponderConfig(
            kind="scripted", scripted=ScriptedConfig(token_s=NO_OP_TOKEN_S)
        )
    }
)


@dataclass(frozen=True)
class Arm:
    """Server to measure and the way to send it a request."""

    name: ArmName
    url: str
    make_send: Callable[[aiohttp.ClientSession], Send]
    duration_share: float = 1.0  # of the plan's durations; a fast arm needs less time


def respond_arm(name: ArmName, url: str, duration_share: float = 1.0) -> Arm:
    """Build an arm that uses `/v1/respond`, whose replies report the phases of each request."""

    def make_send(session: aiohttp.ClientSession) -> Send:
        async def send(request: Request) -> Outcome:
            return await send_request(session, url, request, TIMEOUT_S)

        return send

    return Arm(name, url, make_send, duration_share)


def detector_arm(url: str, duration_share: float) -> Arm:
    """Build an arm that uses `/v1/detect`."""

    def make_send(session: aiohttp.ClientSession) -> Send:
        async def send(request: Request) -> Outcome:
            return await send_detection(session, url, request)

        return send

    return Arm("detector", url, make_send, duration_share)


def vllm_arm(url: str) -> Arm:
    """Build an arm that uses `vllm serve`; the client chooses the persona."""

    def make_send(session: aiohttp.ClientSession) -> Send:
        async def send(request: Request) -> Outcome:
            return await send_completion(session, url, request, vllm_body)

        return send

    return Arm("vllm", url, make_send)


async def send_detection(session: aiohttp.ClientSession, url: str, request: Request) -> Outcome:
    """Classify one text; the detection counts as its first token."""
    outcome = Outcome(
        emotion=request.emotion,
        end="lost",
        started_s=time.monotonic(),
        ended_s=0,
        message=request.text,
    )
    status: int | None = None
    try:
        async with (
            asyncio.timeout(TIMEOUT_S),
            session.post(f"{url}/v1/detect", json={"text": request.text}) as response,
        ):
            status = response.status
            body = await response.json(content_type=None)
            found = _detection_fields(status, body)
    except TimeoutError as error:
        found = {"error": type(error).__name__}
    except aiohttp.ClientError as error:
        found = {"end": end_of_error(error, status), "error": type(error).__name__}
    now_s = time.monotonic()
    if found.get("end") == "ok":
        found["chunks_at_s"] = (now_s,)
    return outcome.model_copy(update={"ended_s": now_s, "status": status} | found)


def _detection_fields(status: int, body: dict[str, list[dict[str, str]]]) -> dict[str, object]:
    if status == 200:
        return {"end": "ok", "detected": body["results"][0]["label"]}
    end = "rejected" if status in REJECTED else "failed_explicitly"
    return {"end": end, "error": str(body)[:200]}


@contextmanager
def running_arms(
    names: tuple[ArmName, ...],
    config: ServeConfig,
    fast_share: float,
    log: Path,
    port: int = PORT,
) -> Iterator[list[Arm]]:
    """Run one server and yield its arms.

    Args:
        names: One group of `server_groups`.
        config: Configuration of the graph.
        fast_share: `duration_share` of the arms that reply within milliseconds.
        log: Log file of `vllm serve`.
        port: Port of the graph; `vllm serve` takes the next one.
    """
    if names == ("vllm",):
        with vllm_server(config.responder, port + 1, log) as server:
            yield [vllm_arm(server.url)]
        return
    with running_graph(NO_OP if names == ("no-op",) else config, port) as graph:
        arms = {
            "graph": respond_arm("graph", graph.url),
            "detector": detector_arm(graph.url, fast_share),
            "no-op": respond_arm("no-op", graph.url, fast_share),
        }
        yield [arms[name] for name in names]


def server_groups(names: tuple[ArmName, ...]) -> list[tuple[ArmName, ...]]:
    """Group the arms by server, in the order in which the servers start."""
    shared: tuple[ArmName, ...] = tuple(name for name in ("graph", "detector") if name in names)
    own_server: tuple[ArmName, ...] = ("vllm", "no-op")
    groups = [shared, *((name,) for name in own_server if name in names)]
    return [group for group in groups if group]
