"""What an operator does to a running graph, and as much load as it lets in: nobody may be harmed by either.

Each returns when the graph is whole again, and what it has seen happen.
"""

import asyncio
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path

from load.chaos.cluster import STAGES, Cluster
from load.chaos.modified_adapters import scaled_joy
from load.chaos.release import Joy
from load.chaos.trial import Missed
from load.harness.arrivals import asked_until, closed_loop, session
from load.harness.client import as_scripted, ask
from load.harness.outcomes import counted
from load.harness.workload import Asked, mixed
from models.emotions import Emotion
from serve.capacity import derive_gates
from serve.config import Replicas, ResponderConfig, ServeConfig
from serve.engine.scripted import TOKENS

SHORT_TOKEN_S = 0.12  # an answer takes between two and three seconds
LONG_STREAM_S = 26.0  # Serve's own graceful shutdown is 20 s
FLOOD_S = 16.0  # a health check is missed after ten
RELEASE_USERS = 8
RELEASE_TIMEOUT_S = 40.0
SPARE_PLACES = 40  # for the load that goes on beside the flood


async def update(cluster: Cluster) -> str:
    """A changed configuration, which is also a new version of all code: each replica is replaced by one that has it."""
    before = {stage: cluster.replicas(stage) for stage in STAGES}
    slower = cluster.config.responder.model_copy(update={"scripted_token_s": cluster.config.responder.scripted_token_s + 0.01})
    await cluster.deploy(cluster.config.model_copy(update={"responder": slower}))
    same = [stage for stage in STAGES if before[stage].keys() & cluster.replicas(stage).keys()]
    if same:
        raise Missed(f"some replicas were not replaced: {same}")
    return f"all {sum(map(len, before.values()))} replicas were replaced"


async def have_long_streams(cluster: Cluster) -> None:
    """From now on answers take longer than Serve would wait by itself."""
    slow = cluster.config.responder.model_copy(update={"scripted_token_s": LONG_STREAM_S / TOKENS})
    await cluster.deploy(cluster.config.model_copy(update={"responder": slow}))


async def update_of_long_streams(cluster: Cluster) -> str:
    """An update in the middle of streams that last longer than Serve's own patience: the drain waits for the longest."""
    before = cluster.config
    fast = before.responder.model_copy(update={"scripted_token_s": SHORT_TOKEN_S})
    began_s = time.monotonic()
    await cluster.deploy(before.model_copy(update={"responder": fast}))
    took_s = time.monotonic() - began_s
    if took_s < LONG_STREAM_S / 2:
        raise Missed(f"the update was done after {took_s:.0f} s, and waited for nobody")
    return f"an update took {took_s:.0f} s, with streams of {LONG_STREAM_S:.0f} s"


async def scaled(cluster: Cluster) -> str:
    """Twice as many responders, then as many as before."""
    before = cluster.config
    many = 2 * before.responder.replicas.minimum
    await cluster.deploy(with_responders(before, many))
    if len(cluster.replicas("Responder")) != many:
        raise Missed("it did not scale up")
    await cluster.deploy(before)
    return f"{before.responder.replicas.minimum} responders became {many} and then {len(cluster.replicas('Responder'))}"


def with_responders(config: ServeConfig, count: int) -> ServeConfig:
    replicas = Replicas(minimum=count, maximum=count, cpus=config.responder.replicas.cpus)
    responder: ResponderConfig = config.responder.model_copy(update={"replicas": replicas})
    return config.model_copy(update={"responder": responder})


async def released(cluster: Cluster) -> str:
    """A version of joy comes, answers and goes while joy alone is asked, of every replica: one version writes the whole of each answer."""
    ended = asyncio.Event()
    with tempfile.TemporaryDirectory() as folder:
        scaled_joy(Path(folder) / "joy", factor=0.5)
        async with session() as http:
            joy, send = Joy(http, cluster.url), partial(ask, http, cluster.url, timeout_s=RELEASE_TIMEOUT_S, check=as_scripted)
            old = await joy.answers()
            asking = [asyncio.create_task(asked_until(ended, send, asked)) for asked in islice(joys(3), RELEASE_USERS)]
            try:
                new = await joy.publish(Path(folder) / "joy")
                published = await send(next(joys(4)))
                await joy.promote(new)
                promoted = await send(next(joys(5)))
                back = await joy.roll_back()
                after = await send(next(joys(6)))
            finally:
                ended.set()
            outcomes = [outcome for task in asking for outcome in await task]
    if [published.adapter, promoted.adapter, back, after.adapter] != [old, new, old, old]:
        raise Missed(f"{old} became {promoted.adapter}, not {new}, and then {after.adapter}")
    versions = Counter(outcome.adapter for outcome in outcomes)
    if counted(outcomes)["ok"] < len(outcomes) or versions.keys() != {old, new}:
        raise Missed(f"not every answer was one version's: {counted(outcomes)}, {dict(versions)}")
    return f"{len(outcomes)} answers beside the load: {versions[old]} of {old}, {versions[new]} of {new}"


def joys(seed: int) -> Iterator[Asked]:
    """Whole answers of joy, which name their version at both ends."""
    return (asked for asked in mixed(seed, max_tokens=(TOKENS, TOKENS)) if asked.emotion == Emotion.JOY)


async def full_load(cluster: Cluster) -> str:
    """No fault but the load itself: as many users as there are places. No replica may miss a health check, let alone be replaced."""
    before, missed_before = {stage: cluster.replicas(stage).keys() for stage in STAGES}, cluster.missed_health_checks()
    places = derive_gates(cluster.config).answers[0] * cluster.config.ingress.replicas.minimum
    async with session() as http:
        users = places - SPARE_PLACES
        outcomes = await closed_loop(partial(ask, http, cluster.url, timeout_s=2 * FLOOD_S, check=as_scripted), mixed(7), users, FLOOD_S)
    ends = {end: count for end, count in counted(outcomes).items() if count}
    missed = cluster.missed_health_checks() - missed_before
    if missed or before != {stage: cluster.replicas(stage).keys() for stage in STAGES}:
        raise Missed(f"replicas were taken for dead under load: {missed} missed health checks")
    if ends.keys() - {"ok", "refused"} or ends.get("ok", 0) < users:
        raise Missed(f"{users} users were not all answered: {ends}")
    return f"{users} users got {ends}; no health check was missed"
