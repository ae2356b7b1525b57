"""Whether there is a place for one more answer, as far as a proxy can tell: what the ingress would only refuse need not get there.

A refusal by the ingress passes through the proxy, a call between processes and all of the HTTP API (some 10 ms of a core), and where the
engine computes on the same cores, that is taken from the answers of the others.
"""

import time
from collections.abc import Callable, MutableMapping
from typing import Any

from starlette.datastructures import Headers

from serve.api.middleware import call_of
from serve.errors import TOO_MANY, NotReady, Overloaded
from serve.metrics import RESPOND

SERVES_OWN = "text/plain"  # what Serve itself says is that, and nothing of ours
BELIEVED_S = 1.0  # a place may be free again of which this proxy has not heard, for there may be others


class Places:
    """After an ingress has said that none is free, that holds until an answer ends here, but not for long.

    It is not held for texts to detect: a call brings any number of them, and where one finds no place, another may.
    """

    def __init__(self, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._clock_s, self._full_until_s, self._retry_after_s = clock_s, 0.0, 1

    def look(self, path: str) -> None:
        """Raises Overloaded where none is free."""
        if call_of(path) == RESPOND and self._clock_s() < self._full_until_s:
            raise Overloaded(TOO_MANY, self._retry_after_s)

    def note(self, path: str, refusal: Overloaded | None) -> None:
        """An attempt has ended: it found no place, or it held one until now."""
        if call_of(path) != RESPOND:
            return
        self._full_until_s = self._clock_s() + BELIEVED_S if refusal else 0.0
        self._retry_after_s = refusal.retry_after_s if refusal else 1


def refused_by_serve(head: MutableMapping[str, Any]) -> Overloaded | NotReady | None:
    """What Serve says where the ingress has no place left, or no replica; in our words."""
    if not Headers(raw=list(head["headers"])).get("content-type", "").startswith(SERVES_OWN):
        return None
    if head["status"] == Overloaded.status:
        return Overloaded(TOO_MANY, _retry_after_s(head))
    return NotReady("no replica can answer") if head["status"] == NotReady.status else None


def refused_by_ingress(head: MutableMapping[str, Any], body: bytes) -> Overloaded | None:
    """What the ingress says where its gate is full. A key that has used up what it may is told otherwise."""
    full = head["status"] == Overloaded.status and Overloaded.type.encode() in body
    return Overloaded(TOO_MANY, _retry_after_s(head)) if full else None


def _retry_after_s(head: MutableMapping[str, Any]) -> int:
    return int(Headers(raw=list(head["headers"])).get("retry-after", 1))
