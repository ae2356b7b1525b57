"""Request that kills each replica that works on it."""

import asyncio

import aiohttp

from load.chaos.cluster import POLL_S, Cluster, wait_until
from load.chaos.verdict import FaultMissed, PromiseBroken
from load.harness.arrivals import client_session
from load.harness.deployments import RESPONDER

POISON = "poison"  # the scripted engine kills its process for this stop string
BODY = {
    "model": "joy",
    "messages": [{"role": "user", "content": "Much joy."}],
    "stop": [POISON],
}
TIMEOUT_MS = 100_000
MOST_DEATHS = 2
REPLICA_FAILED = "replica-failed"
EXPECTED = (502, REPLICA_FAILED)


async def send_poison(cluster: Cluster) -> str:
    """Send the request once: it fails after two replicas have died, and no third one dies."""
    before = cluster.replicas(RESPONDER)
    seen = set(before)
    request = asyncio.create_task(_ask(cluster.url))
    while not request.done():
        await asyncio.sleep(POLL_S)
        seen |= cluster.replicas(RESPONDER).keys()
    found = await request
    died = seen - cluster.replicas(RESPONDER).keys()
    if not died:
        raise FaultMissed(f"no replica died, and the request ended with {found}")
    await _wait_for_replicas(cluster, len(before))
    if len(died) > MOST_DEATHS or found != EXPECTED:
        raise PromiseBroken(f"{len(died)} replicas died, and the request ended with {found}")
    return f"{len(died)} replicas died, and the request ended with {found}"


async def _wait_for_replicas(cluster: Cluster, count: int) -> None:
    async def are_there() -> bool:
        return len(cluster.replicas(RESPONDER)) >= count

    await wait_until(are_there)
    await cluster.wait_healthy()


async def _ask(url: str) -> tuple[int, str]:
    """Return the status and the code of the error."""
    headers = {"x-request-timeout-ms": str(TIMEOUT_MS)}
    async with client_session() as session:
        try:
            async with session.post(
                f"{url}/v1/chat/completions", json=BODY, headers=headers
            ) as response:
                problem = await response.json(content_type=None)
                return response.status, str(problem.get("error", {}).get("code"))
        except aiohttp.ClientError as error:
            return 0, type(error).__name__
