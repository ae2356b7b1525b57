"""What the routes ask of a request before they answer it."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Header, Request

from serve.config import IngressConfig
from serve.errors import InvalidRequest, WrongContentType
from serve.ingress import Ingress, this_ingress


async def require_json(request: Request) -> None:
    """A body must say that it is JSON. Raises WrongContentType."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise WrongContentType("send content-type: application/json")


@dataclass(frozen=True, slots=True)
class AskedOf:
    """What a request's headers ask for. Times are of `time.monotonic`; the region is two letters, as ISO 3166 has them."""

    began_s: float
    deadline_s: float
    region: str | None


def asked_of(
    request: Request,
    x_request_timeout_ms: Annotated[int | None, Header(ge=1, description="the answer is given up after that time")] = None,
    x_region: Annotated[str | None, Header(pattern="^[A-Za-z]{2}$", description="whose helplines are named, if any are")] = None,
) -> AskedOf:
    """The time counts from the request's first byte. Raises InvalidRequest."""
    limits: IngressConfig = request.app.state.limits
    timeout_ms = x_request_timeout_ms or limits.default_timeout_ms
    if timeout_ms > limits.max_timeout_ms:
        raise InvalidRequest(f"x-request-timeout-ms may be {limits.max_timeout_ms} at most")
    began_s: float = request.state.began_s
    return AskedOf(began_s, began_s + timeout_ms / 1000, x_region or limits.region)


Asked = Annotated[AskedOf, Depends(asked_of)]
TheIngress = Annotated[Ingress, Depends(this_ingress)]
