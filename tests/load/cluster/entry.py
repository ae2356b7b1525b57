"""Entry of the clients, as a Service and a gateway make it: requests go to pods that are ready.

A pod is ready by the readiness probe of its manifest. A request whose connection cannot be opened
goes to another pod, twice at most, as Istio's gateway does. Nothing else is repeated.
"""

import asyncio
import random
import time
from dataclasses import dataclass

import aiohttp

from load.cluster.kuberay import Probe
from load.cluster.overrides import HEADERS
from load.harness.client import send_request
from load.harness.outcomes import Outcome
from load.harness.reply_checks import check_scripted_reply
from load.harness.workload import Request

RETRIES = 2
CONNECT_S = 10
TIMEOUT_S = 100.0
NOT_CONNECTED = {"ClientConnectorError", "ConnectionTimeoutError"}
NO_POD = "no pod is ready"


@dataclass(frozen=True)
class Sent:
    """A request, the pod whose HAProxy had it, and how often it was sent again."""

    outcome: Outcome
    pod: str | None
    retries: int


class Entry:
    """Pods that get requests. Use it within a running event loop."""

    def __init__(self, seed: int) -> None:
        connector = aiohttp.TCPConnector(limit=0, force_close=True)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S)
        self._session = aiohttp.ClientSession(connector=connector, timeout=timeout, headers=HEADERS)
        self._rng = random.Random(seed)
        self._probes: dict[str, asyncio.Task[None]] = {}
        self._addresses: dict[str, str] = {}
        self._ready: set[str] = set()
        self._unready_since_s: float | None = time.monotonic()
        self._unready_s = 0.0
        self.sent: list[Sent] = []

    def add(self, pod: str, address: str, probe: Probe) -> None:
        """Send requests to a pod while its probe succeeds."""
        self._addresses[pod] = f"http://{address}:{probe.port}"
        self._probes[pod] = asyncio.create_task(self._watch(pod, probe))

    def remove(self, pod: str) -> None:
        """Forget a pod, as the Service does when the pod is gone."""
        self._probes.pop(pod).cancel()
        self._mark(pod, False)
        del self._addresses[pod]

    async def close(self) -> None:
        """Stop all probes and close all connections."""
        for pod in list(self._probes):
            self.remove(pod)
        await self._session.close()

    def begin(self) -> None:
        """Forget what was sent, and the time without a pod."""
        self.sent = []
        self._unready_s = 0.0

    @property
    def unready_s(self) -> float:
        """For how long no pod was ready, in seconds."""
        since_s = self._unready_since_s
        return self._unready_s + (0 if since_s is None else time.monotonic() - since_s)

    def are_ready(self, count: int) -> bool:
        """Return whether that many pods are ready."""
        return len(self._ready) >= count

    async def send(self, request: Request) -> Outcome:
        """Send a request to a pod that is ready, and remember how it ended."""
        started_s = time.monotonic()
        tried: set[str] = set()
        while True:
            pod = self._choose(tried)
            outcome = await self._send_to(pod, request, started_s)
            if outcome.error not in NOT_CONNECTED or len(tried) == RETRIES or pod is None:
                self.sent.append(Sent(outcome, pod, len(tried)))
                return outcome
            tried.add(pod)

    def _choose(self, tried: set[str]) -> str | None:
        pods = sorted(self._ready - tried) or sorted(self._ready)
        return self._rng.choice(pods) if pods else None

    async def _send_to(self, pod: str | None, request: Request, started_s: float) -> Outcome:
        if pod is None:
            now_s = time.monotonic()
            return Outcome(
                emotion=request.emotion,
                end="rejected",
                started_s=started_s,
                ended_s=now_s,
                status=503,
                error=NO_POD,
            )
        url = self._addresses[pod]
        return await send_request(self._session, url, request, TIMEOUT_S, check_scripted_reply)

    async def _watch(self, pod: str, probe: Probe) -> None:
        failures = 0
        while True:
            is_good = await self._probe(f"{self._addresses[pod]}{probe.path}", probe.timeout_s)
            failures = 0 if is_good else failures + 1
            if is_good or failures >= probe.failures:
                self._mark(pod, is_good)
            await asyncio.sleep(probe.period_s)

    async def _probe(self, url: str, timeout_s: float) -> bool:
        timeout = aiohttp.ClientTimeout(total=timeout_s)
        try:
            async with self._session.get(url, timeout=timeout) as response:
                return response.status < 400
        except (aiohttp.ClientError, TimeoutError):
            return False

    def _mark(self, pod: str, is_ready: bool) -> None:
        (self._ready.add if is_ready else self._ready.discard)(pod)
        if self._ready:
            self._unready_s = self.unready_s
            self._unready_since_s = None
        elif self._unready_since_s is None:
            self._unready_since_s = time.monotonic()
