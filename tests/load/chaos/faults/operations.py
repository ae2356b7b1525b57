"""Operations on a running graph during which every request must succeed.

Each returns when the graph is healthy again, and describes the effect.
"""

import time

from load.chaos.cluster import DEPLOYMENTS, Cluster
from load.chaos.verdict import FaultMissed
from load.harness.deployments import RESPONDER
from serve.config import ServeConfig
from support.fakes import SCRIPTED_TOKENS

SHORT_TOKEN_S = 0.12  # a reply takes two to three seconds
LONG_STREAM_S = 26.0  # longer than Serve's default graceful shutdown of 20 s
UPDATE_STEP_S = 0.01  # change of the token time in a rolling update


async def update_config(cluster: Cluster) -> str:
    """Deploy a changed configuration, which also replaces every replica with one of new code."""
    before = {name: cluster.replicas(name) for name in DEPLOYMENTS}
    token_s = cluster.config.responder.scripted.token_s + UPDATE_STEP_S
    await cluster.deploy(with_token_time(cluster.config, token_s))
    kept = [name for name in DEPLOYMENTS if before[name].keys() & cluster.replicas(name).keys()]
    if kept:
        raise FaultMissed(f"some replicas were not replaced: {kept}")
    return f"all {sum(map(len, before.values()))} replicas were replaced"


async def deploy_long_streams(cluster: Cluster) -> None:
    """Make replies take longer than Serve's default graceful shutdown."""
    await cluster.deploy(with_token_time(cluster.config, LONG_STREAM_S / SCRIPTED_TOKENS))


async def update_during_long_streams(cluster: Cluster) -> str:
    """Update the graph during long streams: the drain must wait for the longest one."""
    started_s = time.monotonic()
    await cluster.deploy(with_token_time(cluster.config, SHORT_TOKEN_S))
    took_s = time.monotonic() - started_s
    if took_s < LONG_STREAM_S / 2:
        raise FaultMissed(f"the update took only {took_s:.0f} s, so it did not wait for streams")
    return f"the update took {took_s:.0f} s, with streams of {LONG_STREAM_S:.0f} s"


async def scale_responders(cluster: Cluster) -> str:
    """Start one more responder replica, then go back to the previous number."""
    before = cluster.config
    few = before.responder.replicas.minimum
    many = few + 1
    await cluster.deploy(with_responders(before, many))
    found = len(cluster.replicas(RESPONDER))
    if found != many:
        raise FaultMissed(f"there are {found} responders after scaling up, expected {many}")
    await cluster.deploy(before)
    return f"{few} responders became {many} and then {len(cluster.replicas(RESPONDER))}"


def with_token_time(config: ServeConfig, token_s: float) -> ServeConfig:
    """Change the time that the scripted engine takes for a token."""
    scripted = config.responder.scripted.model_copy(update={"token_s": token_s})
    responder = config.responder.model_copy(update={"scripted": scripted})
    return config.model_copy(update={"responder": responder})


def with_responders(config: ServeConfig, count: int) -> ServeConfig:
    """Change the number of responder replicas."""
    bounds = {"minimum": count, "maximum": count}
    replicas = config.responder.replicas.model_copy(update=bounds)
    responder = config.responder.model_copy(update={"replicas": replicas})
    return config.model_copy(update={"responder": responder})
