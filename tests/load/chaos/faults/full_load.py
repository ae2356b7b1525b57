"""Full load: as many requests as the graph admits, in addition to the usual load."""

from functools import partial

from load.chaos.cluster import DEPLOYMENTS, Cluster
from load.chaos.verdict import FaultMissed
from load.harness.arrivals import client_session, closed_loop
from load.harness.client import send_request
from load.harness.outcomes import count_ends
from load.harness.reply_checks import check_scripted_reply
from load.harness.workload import synthetic_requests
from serve.capacity import derive_gates

FLOOD_S = 16.0  # longer than the ten seconds after which a health check counts as missed
FLOOD_SEED = 7
SPARE_SLOTS = 40  # left free for the load that goes on during the flood


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
