"""Bodies that are too large or too slow, many at once."""

import gzip

from load.chaos.cluster import Cluster
from load.chaos.faults.raw_http import PART, Attack, attack, dribbled, endless, whole
from load.chaos.verdict import PromiseBroken
from load.harness.deployments import RESPONDER

CONNECTIONS = 8  # of each attack; all their bytes are less than `http.max_bytes_in_flight`
HUGE = 10 * 2**30
TOO_LARGE, INVALID, TOO_SLOW = 413, 422, 408


async def send_giant_bodies(cluster: Cluster) -> str:
    """Send many bodies around and above the limit at once; no replica may die of them."""
    before = cluster.replicas(RESPONDER).keys()
    effect = await attack(
        cluster.url, giant_bodies(cluster.config.http.max_body_bytes), CONNECTIONS
    )
    if cluster.replicas(RESPONDER).keys() != before:
        raise PromiseBroken("a responder died of giant bodies")
    return effect


def giant_bodies(limit: int) -> dict[str, Attack]:
    """Build the attacks for a limit of so many bytes."""
    too_large, too_slow = frozenset({TOO_LARGE}), frozenset({TOO_SLOW})
    zeros = b"0" * PART
    above = b"0" * (limit + 1)
    chunk = f"{PART:x}\r\n".encode() + zeros + b"\r\n"
    packed = gzip.compress(b"0" * 8 * limit)
    return {
        "above the limit": Attack(
            lambda: whole(_head(f"content-length: {len(above)}"), above), too_large
        ),
        "huge": Attack(lambda: endless(_head(f"content-length: {HUGE}"), zeros), too_large),
        "endless chunks": Attack(
            lambda: endless(_head("transfer-encoding: chunked"), chunk), too_large
        ),
        "at the limit": Attack(
            lambda: whole(_head(f"content-length: {limit}"), _json(limit)),
            frozenset({TOO_LARGE, INVALID}),
        ),
        "packed": Attack(
            lambda: whole(
                _head("content-encoding: gzip", f"content-length: {len(packed)}"), packed
            ),
            too_large,
        ),
        "slow": Attack(lambda: dribbled(_head(f"content-length: {PART}"), b"0"), too_slow),
        "large and slow": Attack(
            lambda: dribbled(_head(f"content-length: {limit}") + zeros, b"0"), too_slow
        ),
    }


def _head(*headers: str) -> bytes:
    lines = ("POST /v1/respond HTTP/1.1", "host: 127.0.0.1", "content-type: application/json")
    return "\r\n".join([*lines, *headers, "", ""]).encode()


def _json(size: int) -> bytes:
    """Return a valid body of so many bytes whose text is far too long."""
    start, end = b'{"text": "', b'"}'
    return start + b"a " * ((size - len(start) - len(end)) // 2) + b" " * (size % 2) + end
