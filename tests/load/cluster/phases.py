"""What is killed: the head, a replica, a pod of each group. Each returns after the recovery."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace

from load.chaos.cluster import wait_until
from load.cluster.cluster import LocalCluster
from load.cluster.kuberay import HEAD
from load.cluster.namespaces import ClusterError
from load.cluster.result import Struck
from load.harness.deployments import RESPONDER

Strike = Callable[[LocalCluster], Awaitable[Struck]]
STEADY_S = 15.0
HEAD_AWAY_S = 15.0  # until the operator has a new head, whose start comes on top


async def strike_nothing(cluster: LocalCluster) -> Struck:
    """Do nothing for a while: what the cluster does by itself."""
    struck = Struck(time.monotonic(), "nothing")
    await asyncio.sleep(STEADY_S)
    return struck


async def kill_head(cluster: LocalCluster) -> Struck:
    """Kill the head, and start another one with another address. No replica may die."""
    before = set(cluster.replicas())
    struck = Struck(time.monotonic(), "")
    await cluster.kill(cluster.pod_of(HEAD))
    await asyncio.sleep(HEAD_AWAY_S)
    await cluster.add(HEAD)
    await wait_until(cluster.is_head_up)
    up_s = time.monotonic() - struck.at_s
    await wait_until(cluster.is_healthy)
    healthy_s = time.monotonic() - struck.at_s
    kept = before & set(cluster.replicas())
    if kept != before:
        raise ClusterError(f"only {len(kept)} of {len(before)} replicas outlived the head")
    times = f"head back after {up_s:.0f} s, healthy after {healthy_s:.0f} s"
    effect = f"{times}, all {len(kept)} replicas kept"
    return replace(struck, effect=effect)


async def kill_responder(cluster: LocalCluster) -> Struck:
    """Kill a responder replica."""
    before = cluster.replicas(RESPONDER)
    struck = Struck(time.monotonic(), "", has_replies=True, may_refuse=len(before) == 1)
    before[min(before)].kill()

    async def is_replaced() -> bool:
        return len(cluster.replicas(RESPONDER)) >= len(before) and await cluster.is_healthy()

    await asyncio.sleep(1)
    await wait_until(is_replaced)
    return _recovered(struck, f"one of {len(before)} responders")


def kill_pod(group: str) -> Strike:
    """Return a strike that kills a worker pod, and starts another one as the operator does."""

    async def strike(cluster: LocalCluster) -> Struck:
        victim = cluster.pod_of(group)
        responders = cluster.replicas(RESPONDER)
        everything = cluster.replicas()
        struck = Struck(time.monotonic(), "", pod=victim)
        await cluster.kill(victim)
        died = everything.keys() - cluster.replicas().keys()
        answering = died & responders.keys()
        struck = replace(
            struck,
            has_replies=bool(answering),
            may_refuse=answering == responders.keys(),
        )
        await cluster.add(group)
        await wait_until(cluster.is_healthy)
        return _recovered(
            struck, f"{len(died)} replicas with it, {len(answering)} of them responders"
        )

    return strike


def _recovered(struck: Struck, what: str) -> Struck:
    took_s = time.monotonic() - struck.at_s
    return replace(struck, effect=f"{what}; healthy after {took_s:.0f} s")
