"""Client of the admin API that releases versions of one persona's adapter."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from models.emotions import Emotion
from models.manifest import AdapterManifest
from support.admin_key import ADMIN_SECRET

ADMIN_PATH = "/v1/admin/adapters"


@dataclass(frozen=True)
class AdapterReleases:
    """Versions of a persona's adapter on a running graph.

    `secret` is a key with the scope admin.
    """

    session: aiohttp.ClientSession
    url: str
    persona: Emotion = Emotion.JOY
    secret: str = ADMIN_SECRET

    @property
    def _headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.secret}"}

    async def promoted(self) -> str:
        """Return the name of the promoted version."""
        return self._promoted_in(await self._list())

    async def residency(self, name: str) -> tuple[int, int]:
        """Return how many replicas have loaded a version, and how many there are."""
        row = next(row for row in await self._list() if row["name"] == name)
        return row["resident"], row["replicas"]

    async def _list(self) -> list[dict[str, Any]]:
        async with self.session.get(self.url + ADMIN_PATH, headers=self._headers) as response:
            versions: list[dict[str, Any]] = await response.json()
            assert response.status == 200, versions
            return versions

    async def publish(self, folder: Path) -> str:
        """Publish the version in a folder and return its name; every replica must have it."""
        name = AdapterManifest.read(folder).versioned_name
        versions = await self._post("", folder=str(folder))
        resident = [row["resident"] for row in versions if row["name"] == name]
        assert resident == [versions[0]["replicas"]]
        return name

    async def promote(self, name: str) -> None:
        """Promote a published version."""
        assert self._promoted_in(await self._post("/promote", name=name)) == name

    async def roll_back(self) -> str:
        """Roll back to the previous version and return its name."""
        return self._promoted_in(await self._post("/rollback", persona=str(self.persona)))

    async def _post(self, path: str, **body: str) -> list[dict[str, Any]]:
        url = self.url + ADMIN_PATH + path
        async with self.session.post(url, json=body, headers=self._headers) as response:
            versions: list[dict[str, Any]] = await response.json()
            assert response.status == 200, versions
            return versions

    def _promoted_in(self, versions: list[dict[str, Any]]) -> str:
        return next(
            str(row["name"])
            for row in versions
            if row["persona"] == self.persona and row["promoted"]
        )
