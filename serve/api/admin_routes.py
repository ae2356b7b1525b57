"""Administration of adapter versions, for keys with the scope `admin`. Every change is audited."""

from collections.abc import Awaitable
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.security import HTTPAuthorizationCredentials
from pydantic import BaseModel, Field

from models.errors import FyeError
from models.personas import PersonaName
from models.schema import FrozenModel
from serve.adapters.registry import ControllerStatus, TrialStatus
from serve.api.dependencies import BEARER, ResponderDep, find_admin
from serve.api.requests import ADMIN_PATH
from serve.telemetry.json_log import json_log


class Administrator:
    """Client that administrates, and the audit log of its changes."""

    def __init__(self, key: str, x_request_id: str) -> None:
        """Act for the key of that name."""
        self._ids = {"key": key, "x_request_id": x_request_id}
        self._log = json_log()

    async def change(
        self, action: str, subject: str, changing: Awaitable[ControllerStatus]
    ) -> "list[VersionOut]":
        """Wait for a change, and log who made it, what it was and how it ended."""
        outcome = "failed"
        versions = list[VersionOut]()
        try:
            versions = _versions(await changing)
            outcome = "ok"
        except Exception as error:
            cause = getattr(error, "cause", error)  # Ray wraps errors of other processes
            outcome = cause.type if isinstance(cause, FyeError) else outcome
            raise
        finally:
            used = [version.name for version in versions if version.promoted]
            tried = {one.name: one.share for one in versions if one.share and not one.promoted}
            ids = {"action": action, "subject": subject, "outcome": outcome, "promoted": used}
            self._log.info("admin", **self._ids, **ids, **({"tried": tried} if tried else {}))
        return versions


async def require_admin(
    request: Request, bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(BEARER)]
) -> Administrator:
    """Raise Unauthenticated or Forbidden unless the client may administrate."""
    key = find_admin(request.app.state.admin_keys, bearer.credentials if bearer else "")
    return Administrator(key, request.state.request_id)


AdminDep = Annotated[Administrator, Depends(require_admin)]
router = APIRouter(prefix=f"{ADMIN_PATH}/adapters", dependencies=[Depends(require_admin)])


class Publish(FrozenModel):
    """Adapter to publish."""

    folder: Path = Field(description="below one of `responder.publish_roots`")


class Promote(FrozenModel):
    """Version to promote."""

    name: Annotated[str, Field(min_length=1, max_length=128)]
    share: float = Field(
        default=1, gt=0, le=1, description="of conversations; below 1 the version is on trial"
    )


class Rollback(FrozenModel):
    """Persona to roll back."""

    persona: PersonaName


class VersionOut(BaseModel):
    """An adapter version."""

    name: str
    persona: str
    promoted: bool
    share: float = Field(description="part of its persona's conversations that it answers")
    resident: int = Field(description="replicas that have loaded it")
    replicas: int


@router.get("")
async def list_adapters(responder: ResponderDep) -> list[VersionOut]:
    """Return every published version, oldest first."""
    return _versions(await responder.adapter_status())


@router.get("/status")
async def trials(responder: ResponderDep) -> list[TrialStatus]:
    """Return the versions that are compared, and the trials that the guard has ended."""
    return list((await responder.adapter_status()).trials)


@router.post("")
async def publish(body: Publish, responder: ResponderDep, admin: AdminDep) -> list[VersionOut]:
    """Validate an adapter and load it on every replica. It is not promoted yet."""
    folder = str(body.folder)
    return await admin.change("publish", folder, responder.publish_adapter(folder))


@router.post("/promote")
async def promote(body: Promote, responder: ResponderDep, admin: AdminDep) -> list[VersionOut]:
    """Promote a version. Every request, or its share of them, is answered by it after this."""
    changing = responder.promote_adapter(body.name, body.share)
    return await admin.change("promote", body.name, changing)


@router.post("/rollback")
async def rollback(body: Rollback, responder: ResponderDep, admin: AdminDep) -> list[VersionOut]:
    """End a trial, or promote the version before. An added persona without one is removed."""
    persona = body.persona
    return await admin.change("rollback", persona, responder.roll_back_adapter(persona))


def _versions(status: ControllerStatus) -> list[VersionOut]:
    promoted = set(status.releases.aliases.values())
    reports = status.replicas.values()
    return [
        VersionOut(
            name=version.name,
            persona=version.persona,
            promoted=version.name in promoted,
            share=status.releases.share_of(version),
            resident=sum(version.name in report.resident for report in reports),
            replicas=len(reports),
        )
        for version in status.releases.versions
    ]
