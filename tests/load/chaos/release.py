"""A release of an adapter on a running graph: published, promoted and rolled back while its persona is asked."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from models.manifest import AdapterManifest

ADMIN = "/v1/admin/adapters"


@dataclass(frozen=True)
class Joy:
    """The versions of joy that a graph has, changed over the admin API."""

    http: aiohttp.ClientSession
    url: str

    async def answers(self) -> str:
        async with self.http.get(self.url + ADMIN) as reply:
            return _answering(await reply.json())

    async def publish(self, folder: Path) -> str:
        """The version in a folder; its name."""
        name = AdapterManifest.read(folder).versioned_name
        versions = await self._post("", folder=str(folder))
        assert [row["resident"] for row in versions if row["name"] == name] == [versions[0]["replicas"]]
        return name

    async def promote(self, name: str) -> None:
        assert _answering(await self._post("/promote", name=name)) == name

    async def roll_back(self) -> str:
        return _answering(await self._post("/rollback", persona="joy"))

    async def _post(self, path: str, **body: str) -> list[dict[str, Any]]:
        async with self.http.post(self.url + ADMIN + path, json=body) as reply:
            found: list[dict[str, Any]] = await reply.json()
            assert reply.status == 200, found
            return found


def _answering(versions: list[dict[str, Any]]) -> str:
    return next(str(row["name"]) for row in versions if row["persona"] == "joy" and row["answers"])
