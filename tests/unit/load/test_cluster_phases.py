"""Failover test: the entry chooses pods that are ready, and strikes say what died."""

import asyncio
from itertools import count
from types import SimpleNamespace
from typing import Any, cast

from aiohttp import web

from load.cluster.cluster import LocalCluster
from load.cluster.entry import NO_POD, Entry
from load.cluster.kuberay import HEAD, Probe
from load.cluster.phases import kill_pod
from load.harness.deployments import RESPONDER
from load.harness.ports import free_port
from load.harness.workload import synthetic_requests

TIMEOUT_S = 30
REQUEST = next(synthetic_requests(1))


async def overloaded(_: web.Request) -> web.Response:
    return web.json_response(
        {"type": "urn:face-your-emotions:overloaded"},
        status=429,
        content_type="application/problem+json",
    )


async def ready(_: web.Request) -> web.Response:
    return web.json_response({})


async def until_ready(entry: Entry, pods: int) -> None:
    async with asyncio.timeout(TIMEOUT_S):
        while not entry.are_ready(pods):  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_requests_go_to_another_pod_if_one_is_gone() -> None:
    app = web.Application()
    app.add_routes([web.get("/readyz", ready), web.post("/v1/respond", overloaded)])
    runner = web.AppRunner(app)
    await runner.setup()
    alive, gone = free_port(), free_port()
    doomed = web.TCPSite(runner, "127.0.0.1", gone)
    await web.TCPSite(runner, "127.0.0.1", alive).start()
    await doomed.start()
    entry = Entry(seed=1)
    for name, port in (("alive", alive), ("gone", gone)):
        entry.add(name, "127.0.0.1", Probe("/readyz", port, TIMEOUT_S, TIMEOUT_S, 1))
    await until_ready(entry, 2)
    entry.begin()
    await doomed.stop()
    for _ in range(8):
        assert (await entry.send(REQUEST)).error == "overloaded"
    assert {each.pod for each in entry.sent} == {"alive"}
    assert any(each.retries for each in entry.sent)
    assert entry.unready_s == 0
    for name in ("alive", "gone"):
        entry.remove(name)
    assert (await entry.send(REQUEST)).error == NO_POD
    assert entry.unready_s > 0
    await entry.close()
    await runner.cleanup()


class FakeCluster:
    """A pod of each group, and a responder in the `gpu` pod."""

    def __init__(self) -> None:
        self._number = count(1)
        self.pods = {HEAD: "head-0", "cpu": "cpu-0", "gpu": "gpu-0"}
        self._replicas = {10: ("cpu-0", "Detector"), 11: ("gpu-0", RESPONDER)}

    def pod_of(self, group: str) -> str:
        return self.pods[group]

    def replicas(self, deployment: str = "") -> dict[int, Any]:
        found = self._replicas.items()
        return {pid: SimpleNamespace() for pid, (_, name) in found if name.startswith(deployment)}

    async def kill(self, name: str) -> None:
        self._replicas = {pid: one for pid, one in self._replicas.items() if one[0] != name}

    async def add(self, group: str) -> str:
        self.pods[group] = f"{group}-{next(self._number)}"
        return self.pods[group]

    async def is_healthy(self) -> bool:
        return True


async def test_a_killed_pod_takes_its_own_requests_along() -> None:
    cluster = FakeCluster()
    struck = await kill_pod("cpu")(cast(LocalCluster, cluster))
    assert (struck.pod, struck.has_replies, struck.may_refuse) == ("cpu-0", False, False)
    assert cluster.pods["cpu"] == "cpu-1"


async def test_without_a_responder_requests_may_be_refused() -> None:
    struck = await kill_pod("gpu")(cast(LocalCluster, FakeCluster()))
    assert (struck.pod, struck.has_replies, struck.may_refuse) == ("gpu-0", True, True)
