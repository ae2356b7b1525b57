"""Routes for operators' tools."""

from importlib.metadata import version as version_of
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.security import HTTPAuthorizationCredentials

from serve.api.auth import KeyRing
from serve.api.dependencies import BEARER, ResponderDep, find_admin
from serve.api.requests import METRICS_PATH

DISTRIBUTION = "face-your-emotions"
PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"
METRICS: dict[int | str, dict[str, Any]] = {200: {"content": {PROMETHEUS: {}}}}

router = APIRouter()


@router.get("/healthz")
@router.get("/health", include_in_schema=False)  # where tools made for vLLM look
async def alive() -> dict[str, str]:
    """Return that this process runs."""
    return {"status": "alive"}


@router.get("/readyz")
async def ready(responder: ResponderDep) -> dict[str, Any]:
    """Return that the engine and a detector have answered, and the state of this replica.

    A persona that answers by a fallback does not make a replica unready.
    """
    operators = await responder.probe()
    return {"status": "ready", "operators": operators, "adapters": responder.adapters}


@router.get("/version")
async def version() -> dict[str, str]:
    """Return the version of this server."""
    return {"version": version_of(DISTRIBUTION)}


async def require_admin_if_keys(
    request: Request, bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(BEARER)]
) -> None:
    """Raise Unauthenticated or Forbidden unless the client may read metrics.

    A server without keys shows them to everyone who reaches it.
    """
    keys: KeyRing | None = request.app.state.keys
    if keys is not None:
        find_admin(keys, bearer.credentials if bearer else "")


@router.get(
    METRICS_PATH,
    response_class=Response,
    responses=METRICS,
    dependencies=[Depends(require_admin_if_keys)],
)
async def metrics(responder: ResponderDep) -> Response:
    """Return the metrics of this machine in Prometheus' format."""
    return Response(await responder.metrics(), headers={"content-type": PROMETHEUS})
