"""Releases of adapter versions during which only joy is requested.

An ordinary one, one from a folder that vanishes, and one while a replica does not reply. Each
returns when the version before is used again, and describes the effect.
"""

import asyncio
import signal
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

from load.chaos.cluster import Cluster, wait_until
from load.chaos.faults.replicas import first_replica, kill_replica
from load.chaos.modified_adapters import write_scaled_joy
from load.chaos.release import AdapterReleases
from load.chaos.verdict import FaultMissed, PromiseBroken
from load.harness.arrivals import Send, client_session, repeat_until
from load.harness.client import send_request
from load.harness.deployments import RESPONDER
from load.harness.outcomes import Outcome, count_ends
from load.harness.reply_checks import check_scripted_reply
from load.harness.workload import Request, synthetic_requests
from models.emotions import Emotion
from support.fakes import SCRIPTED_TOKENS

USERS = 8
PROBES = 12
TIMEOUT_S = 40.0
# Factors of the weights. Each fault has its own, since a version is named by its content.
RELEASE_FACTOR, VANISH_FACTOR, PAUSE_FACTOR = 0.5, 0.25, 0.75
PAUSE_S = 6.0  # shorter than the 10 s after which a silent replica is taken to be gone
LOUD = {"ok", "failed_explicitly"}  # ends of requests whose replica was killed
AFTER_S = 4.0  # of load after the promotion; a replica that missed it would follow within 1 s


@dataclass(frozen=True)
class Client:
    """Client of the admin API, and of the API itself."""

    releases: AdapterReleases
    send: Send

    async def publish(self, factor: float) -> str:
        """Publish a version of joy from a folder that is deleted afterwards; return its name."""
        with tempfile.TemporaryDirectory() as folder:
            adapter = Path(folder) / "joy"
            write_scaled_joy(adapter, factor)
            return await self.releases.publish(adapter)

    async def probe(self, seed: int) -> str | None:
        """Return the version that replies to a message of joy."""
        return (await self.send(next(joy_requests(seed)))).adapter


@asynccontextmanager
async def connect(cluster: Cluster) -> AsyncIterator[Client]:
    """Open a session."""
    async with client_session() as session:
        send = partial(
            send_request, session, cluster.url, timeout_s=TIMEOUT_S, check=check_scripted_reply
        )
        yield Client(AdapterReleases(session, cluster.url), send)


@asynccontextmanager
async def joy_users(send: Send) -> AsyncIterator[list[Outcome]]:
    """Simulate users who request joy until the block ends; the list is filled then."""
    stop = asyncio.Event()
    users = [
        asyncio.create_task(repeat_until(stop, send, request))
        for request in islice(joy_requests(3), USERS)
    ]
    outcomes = list[Outcome]()
    try:
        yield outcomes
    finally:
        stop.set()
        for user in users:
            outcomes += await user


def joy_requests(seed: int) -> Iterator[Request]:
    """Generate requests for whole replies of joy, which name their version at both ends."""
    requests = synthetic_requests(seed, max_tokens=(SCRIPTED_TOKENS, SCRIPTED_TOKENS))
    return (request for request in requests if request.emotion == Emotion.JOY)


async def release_adapter(cluster: Cluster) -> str:
    """Publish, promote and roll back a version of joy.

    Exactly one version must write the whole of each reply.
    """
    async with connect(cluster) as client:
        old = await client.releases.promoted()
        async with joy_users(client.send) as outcomes:
            new = await client.publish(RELEASE_FACTOR)
            replied = [await client.probe(4)]
            await client.releases.promote(new)
            replied.append(await client.probe(5))
            replied += [await client.releases.roll_back(), await client.probe(6)]
    if replied != [old, new, old, old]:
        raise FaultMissed(f"published, promoted and rolled back {new}, but found {replied}")
    versions = Counter(outcome.adapter for outcome in outcomes)
    ends = count_ends(outcomes)
    if ends["ok"] < len(outcomes) or versions.keys() != {old, new}:
        raise PromiseBroken(f"not every reply is from one version: {ends}, {dict(versions)}")
    return f"{len(outcomes)} replies: {versions[old]} from {old}, {versions[new]} from {new}"


async def vanish_folder(cluster: Cluster) -> str:
    """Promote a version whose folder is deleted, and replace a replica, which has to load it."""
    async with connect(cluster) as client:
        new = await client.publish(VANISH_FACTOR)
        await client.releases.promote(new)
        try:
            async with joy_users(client.send) as outcomes:
                effect = await kill_replica(cluster, RESPONDER)
                resident = await _residency(client, new, len(cluster.replicas(RESPONDER)))
            outcomes += await asyncio.gather(*map(client.send, islice(joy_requests(8), PROBES)))
        finally:
            await client.releases.roll_back()
    silent = [outcome.end for outcome in outcomes if outcome.end not in LOUD]
    if silent:
        raise PromiseBroken(f"requests of joy ended with {dict(Counter(silent))}")
    versions = Counter(outcome.adapter for outcome in outcomes if outcome.end == "ok")
    if versions.keys() != {new}:
        raise PromiseBroken(f"{new} is promoted, but these replied: {dict(versions)}")
    if resident < len(cluster.replicas(RESPONDER)):
        raise PromiseBroken(f"only {resident} replicas have loaded {new}")
    return f"{effect}; {versions[new]} replies from {new}, whose folder was deleted"


async def _residency(client: Client, name: str, replicas: int) -> int:
    """Return how many replicas have loaded a version, once dead ones are not counted any more."""
    resident = 0

    async def is_settled() -> bool:
        nonlocal resident
        resident, found = await client.releases.residency(name)
        return found == replicas

    await wait_until(is_settled)
    return resident


async def promote_while_paused(cluster: Cluster) -> str:
    """Promote a version while a replica is stopped: every later request gets the new version."""
    async with connect(cluster) as client:
        old = await client.releases.promoted()
        new = await client.publish(PAUSE_FACTOR)
        try:
            async with joy_users(client.send) as outcomes:
                took_s = await _promote_with_pause(cluster, new)
                promoted_s = time.monotonic()
                await asyncio.sleep(AFTER_S)
        finally:
            await client.releases.roll_back()
    versions = Counter(outcome.adapter for outcome in outcomes if outcome.started_s > promoted_s)
    ends = count_ends(outcomes)
    if ends["ok"] < len(outcomes):
        raise PromiseBroken(f"not every request was answered: {ends}")
    if versions.keys() != {new}:
        raise PromiseBroken(f"after the promotion of {new} these replied: {dict(versions)}")
    if old not in {outcome.adapter for outcome in outcomes}:
        raise FaultMissed(f"no request reached {old} before the promotion of {new}")
    return f"the promotion took {took_s:.1f} s; all {versions[new]} later replies are from {new}"


async def _promote_with_pause(cluster: Cluster, name: str) -> float:
    """Promote a version while a replica is stopped for a while, and return how long it took."""
    victim = first_replica(cluster, RESPONDER)
    started_s = time.monotonic()
    victim.send_signal(signal.SIGSTOP)
    try:
        promotion = asyncio.create_task(cluster.promote(name))
        await asyncio.wait({promotion}, timeout=PAUSE_S)
        is_early = promotion.done()
    finally:
        victim.send_signal(signal.SIGCONT)
    await promotion
    if is_early:
        raise PromiseBroken(f"the promotion did not wait for {RESPONDER} {victim.pid}")
    return time.monotonic() - started_s
