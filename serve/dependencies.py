"""What the routes ask of a request before they answer it."""

from typing import Annotated

from fastapi import Depends, Header, Request

from serve.config import IngressConfig
from serve.errors import InvalidRequest, WrongContentType
from serve.ingress import Ingress, this_ingress


async def require_json(request: Request) -> None:
    """A body must say that it is JSON. Raises WrongContentType."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise WrongContentType("send content-type: application/json")


def deadline_s(
    request: Request, x_request_timeout_ms: Annotated[int | None, Header(ge=1, description="the answer is given up after that time")] = None
) -> float:
    """Of `time.monotonic`, counted from the request's first byte. Raises InvalidRequest."""
    limits: IngressConfig = request.app.state.limits
    asked = x_request_timeout_ms or limits.default_timeout_ms
    if asked > limits.max_timeout_ms:
        raise InvalidRequest(f"x-request-timeout-ms may be {limits.max_timeout_ms} at most")
    began_s: float = request.state.began_s
    return began_s + asked / 1000


Deadline = Annotated[float, Depends(deadline_s)]
TheIngress = Annotated[Ingress, Depends(this_ingress)]
