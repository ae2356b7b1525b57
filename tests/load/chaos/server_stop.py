"""SIGTERM to the process group of `serve run` while it streams, as a terminal or systemd sends it.

The server is one of its own, not the cluster of the other faults. What runs ends within the drain,
or explicitly; then no process, port or shared memory of the server is left.
"""

import asyncio
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from load.chaos.cluster import HOST, wait_until
from load.chaos.trial import Trial
from load.chaos.verdict import Fault, count_in_flight, judge
from load.harness.arrivals import client_session
from load.harness.client import send_request
from load.harness.outcomes import Outcome
from load.harness.reply_checks import check_scripted_reply
from load.harness.workload import Request, synthetic_requests
from serve.proxy.drain import running_requests
from support.fakes import SCRIPTED_TOKENS
from support.server_process import Server, end_server, start_server

NAME = "group SIGTERM while streaming"
TOKEN_S = 1.0
DRAIN_S = 10.0
SHORT, LONG = 5, SCRIPTED_TOKENS  # tokens of a reply; only the first ends within the drain
REQUESTS = 6  # of each length, streams and documents in turn
START_S = 120.0  # for all replies to begin
STOP_S = 240.0  # for the command to end
LEFT_S = 15.0  # for what belongs to it to be gone
REQUEST_S = 110.0
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 (it is only read)
CONFIG = f"""
applications:
  - name: face-your-emotions
    route_prefix: /
    import_path: serve.app:build
    args:
      detector: {{kind: scripted}}
      responder: {{kind: scripted, scripted: {{token_s: {TOKEN_S}}}}}
      http: {{drain_s: {DRAIN_S}}}
"""


async def stop_while_streaming() -> Trial:
    """Start a server, stop it by a signal to its group while it replies, and look what is left."""
    async with running_server() as server, client_session() as session:
        send = partial(
            send_request, session, server.url, timeout_s=REQUEST_S, check=check_scripted_reply
        )
        requests = [asyncio.create_task(send(request)) for request in requests_of_two_lengths()]
        await _wait_busy(server, requests)
        used = footprint(server)
        struck_s = time.monotonic()
        os.killpg(server.process.pid, signal.SIGTERM)
        outcomes = list(await asyncio.gather(*requests))
        problems = await _wait_ended(server)
        took_s = time.monotonic() - struck_s
        left = await what_is_left(server.url, *used)
    problems += [f"left after {LEFT_S:.0f} s: {one}" for one in left]
    problems += check_ends(outcomes, struck_s)
    observation = f"the command ended {took_s:.0f} s after the signal, and left nothing"
    in_flight = count_in_flight(outcomes, struck_s)
    return Trial(NAME, outcomes, "" if problems else observation, in_flight, problems)


def check_ends(outcomes: list[Outcome], struck_s: float) -> Iterator[str]:
    """Yield what is wrong with the ends; some requests must end well, and some must be ended."""
    fault = Fault(NAME, _no_injection, may_reject=True)
    yield from judge(fault, outcomes, struck_s, lateness_s=0)
    ends = {outcome.end for outcome in outcomes if outcome.chunks_at_s}
    if ends != {"ok", "failed_explicitly"}:
        yield f"the fault had no effect: the streams ended as {sorted(ends)}, not in both ways"


async def _no_injection(_: object) -> str:
    return ""


@asynccontextmanager
async def running_server() -> AsyncIterator[Server]:
    """Run the command with a scripted engine; it is killed if it is still there at the end."""
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "slow.yaml"
        config.write_text(CONFIG, "utf-8")
        start = partial(start_server, Path(folder) / "log.txt", "--config", str(config))
        server = await asyncio.to_thread(start, own_group=True)
        try:
            yield server
        finally:
            end_server(server.process)


def requests_of_two_lengths() -> Iterator[Request]:
    """Build streams and documents that end within the drain, and others that do not."""
    for number, request in enumerate(islice(synthetic_requests(11), 2 * REQUESTS)):
        tokens = (SHORT, LONG)[number % 2]
        yield replace(request, max_tokens=tokens, stream=number % 4 < 2)


async def _wait_busy(server: Server, requests: list[asyncio.Task[Outcome]]) -> None:
    """Wait until HAProxy has every request, and replies have begun."""
    folder = haproxy_folder(server)

    async def is_busy() -> bool:
        running = await asyncio.to_thread(running_requests, folder)
        return running + sum(request.done() for request in requests) >= len(requests)

    async with asyncio.timeout(START_S):
        await wait_until(is_busy)
    await asyncio.sleep(2 * TOKEN_S)


def haproxy_folder(server: Server) -> Path:
    """Return the folder with HAProxy's configuration and its admin socket."""
    processes = psutil.Process(server.process.pid).children(recursive=True)
    commands = (process.cmdline() for process in processes if process.name() == "haproxy")
    return next(Path(words[words.index("-f") + 1]).parent for words in commands)


async def _wait_ended(server: Server) -> list[str]:
    try:
        await asyncio.to_thread(server.process.wait, STOP_S)
    except subprocess.TimeoutExpired:
        return [f"the command still runs {STOP_S:.0f} s after the signal"]
    status = server.process.returncode
    return [f"the command ended with status {status}"] if status else []


def footprint(server: Server) -> tuple[list[psutil.Process], set[Path]]:
    """Return the server's processes, and the files of shared memory that they have mapped."""
    command = psutil.Process(server.process.pid)
    processes = [command, *command.children(recursive=True)]
    return processes, {file for process in processes for file in _shared_memory(process)}


def _shared_memory(process: psutil.Process) -> Iterable[Path]:
    with suppress(psutil.Error):
        files = [Path(region.path) for region in process.memory_maps()]
        return [file for file in files if file.parent == SHARED_MEMORY and file.exists()]
    return []


async def what_is_left(url: str, processes: list[psutil.Process], memory: set[Path]) -> list[str]:
    """Wait for a while until nothing is left, and return what is."""
    left = list[str]()

    async def is_gone() -> bool:
        left[:] = [
            *(f"process {process.pid}" for process in processes if is_running(process)),
            *(f"shared memory {file}" for file in memory if file.exists()),
            *taken_port(urlsplit(url).port or 0),
        ]
        return not left

    with suppress(TimeoutError):
        async with asyncio.timeout(LEFT_S):
            await wait_until(is_gone)
    return left


def is_running(process: psutil.Process) -> bool:
    """Return whether a process runs; one that is not reaped yet does not."""
    try:
        status: str = process.status()
    except psutil.NoSuchProcess:
        return False
    return bool(process.is_running()) and status != psutil.STATUS_ZOMBIE


def taken_port(port: int) -> Iterator[str]:
    """Yield the port if nothing can listen on it."""
    try:
        socket.create_server((HOST, port)).close()
    except OSError:
        yield f"port {port}"
