"""Cache of selectable personas: the built-in ones and those promoted in the controller."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

from ray.exceptions import RayError
from ray.serve.exceptions import RayServeException

from models.emotions import LABELS
from models.personas import Persona, builtin_personas
from serve.adapters.registry import ControllerStatus
from serve.errors import NotReady

TTL_S = 1.0  # for this long a known persona is assumed to exist still
TIMEOUT_S = 2.0


class PersonaCache:
    """Personas by name. The built-in ones never need the controller.

    While the controller does not reply, the added personas of its last reply stay selectable.
    """

    def __init__(self, status: Callable[[], Awaitable[ControllerStatus]]) -> None:
        """Create a cache that is filled on first use.

        Args:
            status: asks the adapter controller for its status.
        """
        self._status = status
        self._refreshing = asyncio.Lock()
        self._refreshed_at_s = -math.inf
        self._added: dict[str, Persona] = {}

    @property
    def known(self) -> dict[str, Persona]:
        """Cached personas by name, the built-in ones first."""
        return {str(label): persona for label, persona in builtin_personas().items()} | self._added

    async def all(self) -> dict[str, Persona]:
        """Return the personas by name, the built-in ones first, refreshed if possible."""
        with suppress(NotReady):
            await self._refresh(time.monotonic())
        return self.known

    async def has(self, persona: str) -> bool:
        """Return whether a persona can be selected.

        The controller is asked about unknown names every time, so that a promoted persona is
        selectable at once.

        Raises:
            NotReady: the name is unknown, and the controller does not reply.
        """
        if persona in LABELS:
            return True
        max_age_s = TTL_S if persona in self._added else 0
        try:
            await self._refresh(time.monotonic() - max_age_s)
        except NotReady:
            if persona not in self._added:
                raise
        return persona in self._added

    async def _refresh(self, since_s: float) -> None:
        """Ask the controller, unless the cache was refreshed after `since_s`.

        Concurrent callers share one refresh, so unknown names cannot flood the controller.
        """
        try:
            async with asyncio.timeout(TIMEOUT_S), self._refreshing:
                now_s = time.monotonic()
                if self._refreshed_at_s < since_s:
                    self._added = (await self._status()).releases.added_personas
                    self._refreshed_at_s = now_s
        except (TimeoutError, RayError, RayServeException) as error:
            raise NotReady(
                "cannot look up added personas: no reply from the adapter controller; retry later"
            ) from error
