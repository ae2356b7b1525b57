"""Operations with load of their own: an adapter release, and as many requests as fit.

Each returns when the graph is healthy again, and describes the effect.
"""

import asyncio
import tempfile
from collections import Counter
from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path

from load.chaos.cluster import DEPLOYMENTS, Cluster
from load.chaos.modified_adapters import write_scaled_joy
from load.chaos.release import AdapterReleases
from load.chaos.verdict import FaultMissed
from load.harness.arrivals import Send, client_session, closed_loop, repeat_until
from load.harness.client import send_request
from load.harness.outcomes import Outcome, count_ends
from load.harness.reply_checks import check_scripted_reply
from load.harness.workload import Request, synthetic_requests
from models.emotions import Emotion
from serve.capacity import derive_gates
from support.fakes import SCRIPTED_TOKENS

FLOOD_S = 16.0  # longer than the ten seconds after which a health check counts as missed
FLOOD_SEED = 7
SPARE_SLOTS = 40  # left free for the load that goes on during the flood
RELEASE_USERS = 8
RELEASE_TIMEOUT_S = 40.0
RELEASE_FACTOR = 0.5


async def release_adapter(cluster: Cluster) -> str:
    """Publish, promote and roll back a version of joy while only joy is requested.

    Exactly one version must write the whole of each reply.
    """
    with tempfile.TemporaryDirectory() as folder:
        adapter = Path(folder) / "joy"
        write_scaled_joy(adapter, RELEASE_FACTOR)
        async with client_session() as session:
            releases = AdapterReleases(session, cluster.url)
            send = partial(
                send_request,
                session,
                cluster.url,
                timeout_s=RELEASE_TIMEOUT_S,
                check=check_scripted_reply,
            )
            return await _release_under_load(releases, send, adapter)


async def _release_under_load(releases: AdapterReleases, send: Send, adapter: Path) -> str:
    old = await releases.promoted()
    stop = asyncio.Event()
    users = [
        asyncio.create_task(repeat_until(stop, send, request))
        for request in islice(joy_requests(3), RELEASE_USERS)
    ]
    try:
        new, replied = await _release(releases, send, adapter)
    finally:
        stop.set()
    outcomes = [outcome for user in users for outcome in await user]
    if replied != [old, new, old, old]:
        raise FaultMissed(f"published, promoted and rolled back {new}, but found {replied}")
    return _check_versions(outcomes, old, new)


async def _release(
    releases: AdapterReleases, send: Send, adapter: Path
) -> tuple[str, list[str | None]]:
    """Release a version.

    Returns:
        Its name; and the versions that replied after publishing and promotion, that the rollback
        reported, and that replied after it.
    """
    new = await releases.publish(adapter)
    published = await send(next(joy_requests(4)))
    await releases.promote(new)
    promoted = await send(next(joy_requests(5)))
    reported = await releases.roll_back()
    rolled_back = await send(next(joy_requests(6)))
    return new, [published.adapter, promoted.adapter, reported, rolled_back.adapter]


def _check_versions(outcomes: list[Outcome], old: str, new: str) -> str:
    versions = Counter(outcome.adapter for outcome in outcomes)
    ends = count_ends(outcomes)
    if ends["ok"] < len(outcomes) or versions.keys() != {old, new}:
        raise FaultMissed(f"not every reply is from one version: {ends}, {dict(versions)}")
    return f"{len(outcomes)} replies: {versions[old]} from {old}, {versions[new]} from {new}"


def joy_requests(seed: int) -> Iterator[Request]:
    """Generate requests for whole replies of joy, which name their version at both ends."""
    requests = synthetic_requests(seed, max_tokens=(SCRIPTED_TOKENS, SCRIPTED_TOKENS))
    return (request for request in requests if request.emotion == Emotion.JOY)


async def fill_all_slots(cluster: Cluster) -> str:
    """Send as many requests as the graph admits: no replica may miss a health check."""
    before = {name: cluster.replicas(name).keys() for name in DEPLOYMENTS}
    missed_before = cluster.missed_health_checks()
    responders = cluster.config.responder.replicas.minimum
    users = derive_gates(cluster.config).answers.admitted * responders - SPARE_SLOTS
    ends = await _flood(cluster, users)
    missed = cluster.missed_health_checks() - missed_before
    if missed or before != {name: cluster.replicas(name).keys() for name in DEPLOYMENTS}:
        raise FaultMissed(f"replicas were replaced, or missed {missed} health checks")
    if ends.keys() - {"ok", "rejected"} or ends.get("ok", 0) < users:
        raise FaultMissed(f"not all of the {users} users got a reply: {ends}")
    return f"{users} users got {ends}; no health check was missed"


async def _flood(cluster: Cluster, users: int) -> dict[str, int]:
    async with client_session() as session:
        send = partial(
            send_request,
            session,
            cluster.url,
            timeout_s=2 * FLOOD_S,
            check=check_scripted_reply,
        )
        outcomes = await closed_loop(send, synthetic_requests(FLOOD_SEED), users, FLOOD_S)
    return {end: count for end, count in count_ends(outcomes).items() if count}
