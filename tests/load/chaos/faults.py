"""What may happen to a graph in production, one function each. It returns when the graph is whole again, and what it has seen happen.

The load goes on meanwhile. Processes die by signal, as they would: nobody is told.
"""

import asyncio
import signal
import time

import psutil

from load.chaos.cluster import STAGES, Cluster, until
from load.chaos.trial import Missed
from serve.heartbeats import SILENT_S

HANGS_S = SILENT_S + 4


async def killed(cluster: Cluster, stage: str) -> str:
    """One replica of the stage dies, and another takes its place."""
    before = cluster.replicas(stage)
    victim = min(before)
    before[victim].kill()
    await until_replaced(cluster, stage, {victim})
    return f"{stage} {victim} of {len(before)} died, {newcomers(cluster, stage, before)} came"


async def node_removed(cluster: Cluster) -> str:
    """A machine is lost with all that runs on it; later there is a new one."""
    node = cluster.worker_with("Responder")
    before = {stage: cluster.replicas(stage) for stage in STAGES}
    await cluster.remove(node)
    lost = [stage for stage in STAGES for pid in before[stage].keys() - cluster.replicas(stage).keys()]
    if "Responder" not in lost:
        raise Missed(f"the node's replicas are still there: {lost}")
    await cluster.whole()
    cluster.add_worker()
    return f"lost with it: {', '.join(sorted(lost))}"


async def hangs(cluster: Cluster, stage: str) -> str:
    """A replica is stopped for longer than anybody waits for a sign of it, and then goes on as if nothing had been."""
    victim = min(cluster.replicas(stage).values(), key=lambda process: process.pid)
    victim.send_signal(signal.SIGSTOP)
    try:
        await asyncio.sleep(HANGS_S)
        if victim.status() != psutil.STATUS_STOPPED:
            raise Missed(f"{victim.pid} did not hang")
    finally:
        victim.send_signal(signal.SIGCONT)
    await cluster.whole()
    return f"{stage} {victim.pid} was stopped for {HANGS_S:.0f} s"


async def hangs_for_good(cluster: Cluster, stage: str) -> str:
    """A replica that is stopped and stays so is replaced, since it misses its health checks."""
    victim = min(cluster.replicas(stage).values(), key=lambda process: process.pid)
    victim.send_signal(signal.SIGSTOP)
    began_s = time.monotonic()
    await until_replaced(cluster, stage, {victim.pid})
    return f"{stage} {victim.pid} was stopped, and replaced after {time.monotonic() - began_s:.0f} s"


async def engine_core_killed(cluster: Cluster) -> str:
    """The process in which vLLM computes dies; its replica lives on, and must be replaced with it."""
    [responder] = cluster.replicas("Responder").values()
    [core] = [child for child in responder.children(recursive=True) if "EngineCore" in " ".join(child.cmdline())]
    core.kill()
    await until_replaced(cluster, "Responder", {responder.pid})
    return f"the engine of Responder {responder.pid} died, {newcomers(cluster, 'Responder', {responder.pid: responder})} came"


async def until_replaced(cluster: Cluster, stage: str, victims: set[int]) -> None:
    """Returns when the victims are gone and the graph is whole without them."""

    async def others_are_there() -> bool:
        there = cluster.replicas(stage).keys()
        return not victims & there and len(there) >= wanted

    wanted = len(cluster.replicas(stage).keys() | victims)
    await until(others_are_there)
    await cluster.whole()


def newcomers(cluster: Cluster, stage: str, before: dict[int, psutil.Process]) -> str:
    found = cluster.replicas(stage).keys() - before.keys()
    if not found:
        raise Missed(f"no new {stage} came")
    return ", ".join(map(str, sorted(found)))
