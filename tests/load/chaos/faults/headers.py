"""Headers that are too long, too many or too slow, on many connections at once."""

from load.chaos.cluster import Cluster
from load.chaos.faults.raw_http import PART, Attack, attack, dribbled, endless, whole

CONNECTIONS = 50  # of each attack
MANY = 1000
BAD, TOO_SLOW = frozenset({400}), frozenset({408})
START = b"GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\n"
ATTACKS = {
    "one header of 1 MiB": Attack(
        lambda: whole(START, b"x-large: " + b"a" * 2**20 + b"\r\n\r\n"), BAD, may_close=True
    ),
    "endless headers": Attack(
        lambda: endless(START, b"x-more: " + b"a" * PART + b"\r\n"), BAD, may_close=True
    ),
    "endless path": Attack(lambda: endless(b"GET /", b"a" * PART), BAD, may_close=True),
    f"{MANY} headers": Attack(
        lambda: whole(START + b"".join(b"x-%d: a\r\n" % n for n in range(MANY)) + b"\r\n"), BAD
    ),
    "slow headers": Attack(lambda: dribbled(START, b"x-slow: a\r\n"), TOO_SLOW),
}


async def flood_headers(cluster: Cluster) -> str:
    """Open many connections with such headers: each is rejected or closed."""
    return await attack(cluster.url, ATTACKS, CONNECTIONS)
