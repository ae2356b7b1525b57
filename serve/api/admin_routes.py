"""Releases of adapters over HTTP, for whoever holds a key with the scope `admin`. Without keys it answers on loopback alone."""

from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.security import HTTPAuthorizationCredentials
from pydantic import BaseModel, ConfigDict, Field

from models.personas import PersonaName
from serve.adapters.registry import ControllerStatus
from serve.api.auth import KeyRing, Scope
from serve.api.dependencies import BEARER, TheIngress
from serve.errors import Forbidden


def administrator(request: Request, bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(BEARER)]) -> None:
    """Raises Unauthenticated or Forbidden."""
    keys: KeyRing | None = request.app.state.keys
    if keys is not None:
        keys.find(bearer.credentials if bearer else "", Scope.ADMIN)
    elif not request.app.state.on_loopback:
        raise Forbidden("releases need an API key with the scope admin, and this server has no keys")


router = APIRouter(prefix="/v1/admin/adapters", dependencies=[Depends(administrator)])


class _Body(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Publish(_Body):
    """`folder` is one that every responder replica can read."""

    folder: Path


class Promote(_Body):
    name: Annotated[str, Field(min_length=1, max_length=128)]


class Rollback(_Body):
    persona: PersonaName


class VersionOut(BaseModel):
    """A version, whether it answers, and how many of the replicas have it."""

    name: str
    persona: str
    answers: bool
    resident: int
    replicas: int


@router.get("")
async def list_adapters(ingress: TheIngress) -> list[VersionOut]:
    """Every version that is published, oldest first."""
    return _shown(await ingress.directory.status.remote())


@router.post("")
async def publish(body: Publish, ingress: TheIngress) -> list[VersionOut]:
    """Checks an adapter and makes it resident on every replica. It answers nobody yet."""
    return _shown(await ingress.directory.publish.remote(str(body.folder)))


@router.post("/promote")
async def promote(body: Promote, ingress: TheIngress) -> list[VersionOut]:
    """From when this answers, every new answer of the persona is that version's."""
    return _shown(await ingress.directory.promote.remote(body.name))


@router.post("/rollback")
async def rollback(body: Rollback, ingress: TheIngress) -> list[VersionOut]:
    """The version before answers again; a persona beside the six that has none before is gone."""
    return _shown(await ingress.directory.rollback.remote(body.persona))


def _shown(status: ControllerStatus | Any) -> list[VersionOut]:
    answering = set(status.releases.aliases.values())
    reports = status.replicas.values()
    return [
        VersionOut(
            name=version.name,
            persona=version.persona,
            answers=version.name in answering,
            resident=sum(version.name in report.resident for report in reports),
            replicas=len(reports),
        )
        for version in status.releases.versions
    ]
