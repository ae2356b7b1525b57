"""Administration of adapter versions, for keys with the scope `admin`.

Without keys it is reachable on loopback only.
"""

from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.security import HTTPAuthorizationCredentials
from pydantic import BaseModel, Field

from models.personas import PersonaName
from models.schema import FrozenModel
from serve.adapters.registry import ControllerStatus
from serve.api.auth import KeyRing, Scope
from serve.api.dependencies import BEARER, ResponderDep
from serve.api.requests import ADMIN_PATH
from serve.errors import Forbidden


async def require_admin(
    request: Request, bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(BEARER)]
) -> None:
    """Raise Unauthenticated or Forbidden unless the client may administrate."""
    keys: KeyRing | None = request.app.state.keys
    if keys is not None:
        keys.find(bearer.credentials if bearer else "", Scope.ADMIN)
    elif not request.app.state.on_loopback:
        raise Forbidden("administration needs an API key with the scope admin; configure api_keys")


router = APIRouter(prefix=f"{ADMIN_PATH}/adapters", dependencies=[Depends(require_admin)])


class Publish(FrozenModel):
    """Adapter to publish."""

    folder: Path = Field(description="readable by every responder replica")


class Promote(FrozenModel):
    """Version to promote."""

    name: Annotated[str, Field(min_length=1, max_length=128)]


class Rollback(FrozenModel):
    """Persona to roll back."""

    persona: PersonaName


class VersionOut(BaseModel):
    """An adapter version."""

    name: str
    persona: str
    promoted: bool
    resident: int = Field(description="replicas that have loaded it")
    replicas: int


@router.get("")
async def list_adapters(responder: ResponderDep) -> list[VersionOut]:
    """Return every published version, oldest first."""
    return _versions(await responder.adapter_status())


@router.post("")
async def publish(body: Publish, responder: ResponderDep) -> list[VersionOut]:
    """Validate an adapter and load it on every replica. It is not promoted yet."""
    return _versions(await responder.publish_adapter(str(body.folder)))


@router.post("/promote")
async def promote(body: Promote, responder: ResponderDep) -> list[VersionOut]:
    """Promote a version. Every request after this response is answered by it."""
    return _versions(await responder.promote_adapter(body.name))


@router.post("/rollback")
async def rollback(body: Rollback, responder: ResponderDep) -> list[VersionOut]:
    """Promote the version before. An added persona without one is removed."""
    return _versions(await responder.roll_back_adapter(body.persona))


def _versions(status: ControllerStatus) -> list[VersionOut]:
    promoted = set(status.releases.aliases.values())
    reports = status.replicas.values()
    return [
        VersionOut(
            name=version.name,
            persona=version.persona,
            promoted=version.name in promoted,
            resident=sum(version.name in report.resident for report in reports),
            replicas=len(reports),
        )
        for version in status.releases.versions
    ]
