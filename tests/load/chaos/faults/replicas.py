"""Faults of replicas and nodes. Each returns after the recovery and describes the effect.

The load goes on meanwhile. Processes die by a signal, without any notice to the rest of the graph.
"""

import asyncio
import signal
import time

import psutil

from load.chaos.cluster import DEPLOYMENTS, Cluster, wait_until
from load.chaos.verdict import FaultMissed
from load.harness.deployments import RESPONDER

PAUSE_S = 14.0  # longer than the detector client waits before its hedge


async def kill_replica(cluster: Cluster, deployment: str) -> str:
    """Kill one replica and wait for its replacement."""
    before = cluster.replicas(deployment)
    victim = min(before)
    before[victim].kill()
    await wait_replaced(cluster, deployment, {victim})
    new = new_replicas(cluster, deployment, before)
    return f"{deployment} {victim}, one of {len(before)}, died; {new} replaced it"


async def remove_node(cluster: Cluster) -> str:
    """Remove a node with all its replicas; add a new one after the recovery."""
    node = cluster.worker_with(RESPONDER)
    before = {name: cluster.replicas(name) for name in DEPLOYMENTS}
    await cluster.remove(node)
    lost = [
        name for name in DEPLOYMENTS for _ in before[name].keys() - cluster.replicas(name).keys()
    ]
    if RESPONDER not in lost:
        raise FaultMissed(f"the node's replicas still run; only these were lost: {lost}")
    await cluster.wait_healthy()
    cluster.add_worker()
    return f"lost with the node: {', '.join(sorted(lost))}"


async def pause_replica(cluster: Cluster, deployment: str) -> str:
    """Stop a replica for longer than its callers wait, then let it continue."""
    victim = first_replica(cluster, deployment)
    victim.send_signal(signal.SIGSTOP)
    try:
        await asyncio.sleep(PAUSE_S)
        if victim.status() != psutil.STATUS_STOPPED:
            raise FaultMissed(f"process {victim.pid} was not stopped for the whole time")
    finally:
        victim.send_signal(signal.SIGCONT)
    await cluster.wait_healthy()
    return f"{deployment} {victim.pid} was stopped for {PAUSE_S:.0f} s"


async def hang_replica(cluster: Cluster, deployment: str) -> str:
    """Stop a replica for good and wait until missed health checks have it replaced."""
    victim = first_replica(cluster, deployment)
    victim.send_signal(signal.SIGSTOP)
    started_s = time.monotonic()
    await wait_replaced(cluster, deployment, {victim.pid})
    took_s = time.monotonic() - started_s
    return f"{deployment} {victim.pid} was stopped, and replaced after {took_s:.0f} s"


async def kill_engine_core(cluster: Cluster) -> str:
    """Kill the process in which vLLM computes; its replica survives and has to be replaced."""
    [responder] = cluster.replicas(RESPONDER).values()
    [core] = [
        child
        for child in responder.children(recursive=True)
        if "EngineCore" in " ".join(child.cmdline())
    ]
    core.kill()
    await wait_replaced(cluster, RESPONDER, {responder.pid})
    new = new_replicas(cluster, RESPONDER, {responder.pid: responder})
    return f"the engine of {RESPONDER} {responder.pid} died; {new} replaced the replica"


async def wait_replaced(cluster: Cluster, deployment: str, victims: set[int]) -> None:
    """Wait until the victims are gone and the graph is healthy without them."""
    count = len(cluster.replicas(deployment).keys() | victims)

    async def are_replaced() -> bool:
        pids = cluster.replicas(deployment).keys()
        return not victims & pids and len(pids) >= count

    await wait_until(are_replaced)
    await cluster.wait_healthy()


def first_replica(cluster: Cluster, deployment: str) -> psutil.Process:
    """Return the replica with the lowest process id."""
    return min(cluster.replicas(deployment).values(), key=lambda process: process.pid)


def new_replicas(cluster: Cluster, deployment: str, before: dict[int, psutil.Process]) -> str:
    """List the process ids of new replicas. Raises FaultMissed if there are none."""
    pids = cluster.replicas(deployment).keys() - before.keys()
    if not pids:
        raise FaultMissed(f"no new replica of {deployment} started")
    return ", ".join(map(str, sorted(pids)))
