"""What is asked: the graph, its detector alone, a bare `vllm serve`, and the graph with nothing in it."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import aiohttp

from load.bench.vllm_server import bare
from load.harness.arrivals import Send
from load.harness.client import ask
from load.harness.graph import PORT, running
from load.harness.openai_client import complete, of_bare
from load.harness.outcomes import Outcome
from load.harness.workload import Asked
from serve.config import SCRIPTED, ResponderConfig, ServeConfig

ArmName = Literal["graph", "detector", "bare", "no-op"]
ARMS: tuple[ArmName, ...] = ("graph", "detector", "bare", "no-op")
TIMEOUT_S = 60.0
NO_OP = SCRIPTED.model_copy(update={"responder": ResponderConfig(kind="scripted", scripted_token_s=0)})


@dataclass(frozen=True)
class Arm:
    """`sender` makes what sends over a session. `seconds` says how long its windows are, as a share of an answering arm's."""

    name: ArmName
    url: str
    sender: Callable[[aiohttp.ClientSession], Send]
    share: float = 1.0


def answering(name: ArmName, url: str, share: float = 1.0) -> Arm:
    """A graph, asked over its own API, which says how long each stage took."""

    def sender(client: aiohttp.ClientSession) -> Send:
        async def send(asked: Asked) -> Outcome:
            return await ask(client, url, asked, TIMEOUT_S)

        return send

    return Arm(name, url, sender, share)


def detecting(url: str, share: float) -> Arm:
    def sender(client: aiohttp.ClientSession) -> Send:
        async def send(asked: Asked) -> Outcome:
            return await detect(client, url, asked)

        return send

    return Arm("detector", url, sender, share)


def peer(url: str) -> Arm:
    """`vllm serve`, whose client chooses the persona and renders the prompt."""

    def sender(client: aiohttp.ClientSession) -> Send:
        async def send(asked: Asked) -> Outcome:
            return await complete(client, url, asked, of_bare)

        return send

    return Arm("bare", url, sender)


async def detect(client: aiohttp.ClientSession, url: str, asked: Asked) -> Outcome:
    """One text; its answer counts as its first token."""
    seen = Outcome(emotion=asked.emotion, end="lost", began_s=time.monotonic(), ended_s=0, asked=asked.text)
    try:
        async with asyncio.timeout(TIMEOUT_S), client.post(f"{url}/v1/detect", json={"text": asked.text}) as reply:
            body, now_s = await reply.json(content_type=None), time.monotonic()
            if reply.status != 200:
                end = "refused" if reply.status in {429, 503} else "failed_explicitly"
                return seen.model_copy(update={"end": end, "ended_s": now_s, "status": reply.status, "problem": str(body)[:200]})
    except (TimeoutError, aiohttp.ClientError) as error:
        return seen.model_copy(update={"ended_s": time.monotonic(), "problem": type(error).__name__})
    label = body["results"][0]["label"]
    return seen.model_copy(update={"end": "ok", "ended_s": now_s, "status": 200, "tokens_at_s": (now_s,), "detected": label})


@contextmanager
def started(names: tuple[ArmName, ...], config: ServeConfig, fast_share: float, log: Path, port: int = PORT) -> Iterator[list[Arm]]:
    """The arms of one server: the graph and its detector, or one of the others."""
    if names == ("bare",):
        with bare(config.responder, port + 1, log) as found:
            yield [peer(found.url)]
        return
    with running(NO_OP if names == ("no-op",) else config, port) as graph:
        made = {
            "graph": answering("graph", graph.url),
            "detector": detecting(graph.url, fast_share),
            "no-op": answering("no-op", graph.url, fast_share),
        }
        yield [made[name] for name in names]


def servers(names: tuple[ArmName, ...]) -> list[tuple[ArmName, ...]]:
    """Which arms run on which server, in the order in which they are started."""
    together: tuple[ArmName, ...] = tuple(name for name in ("graph", "detector") if name in names)
    alone: tuple[ArmName, ...] = ("bare", "no-op")
    return [group for group in (together, *((name,) for name in alone if name in names)) if group]
