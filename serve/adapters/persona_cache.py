"""Who can be asked for by name: the six, always, and whoever else is promoted, as the directory says. One for each ingress replica."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

from ray.exceptions import RayError
from ray.serve.exceptions import RayServeException

from models.emotions import LABELS
from models.personas import Persona, builtin_personas
from serve.adapters.controller import ControllerStatus
from serve.errors import NotReady

FRESH_S = 1.0  # for so long a name that was there is taken to be there still
TIMEOUT_S = 2.0


class PersonaCache:
    """`status` asks the directory. The six never need it; without it the others are those of its last answer."""

    def __init__(self, status: Callable[[], Awaitable[ControllerStatus]]) -> None:
        self._status, self._asking = status, asyncio.Lock()
        self._asked_s, self._others = -math.inf, dict[str, Persona]()

    @property
    def known(self) -> dict[str, Persona]:
        """By name, the six first, without asking."""
        return {str(label): persona for label, persona in builtin_personas().items()} | self._others

    async def everyone(self) -> dict[str, Persona]:
        """By name, the six first."""
        with suppress(NotReady):
            await self._ask(time.monotonic())
        return self.known

    async def has(self, persona: str) -> bool:
        """A name that was not there is asked for anew: what is promoted answers at once. Raises NotReady where nobody can tell."""
        if persona in LABELS:
            return True
        try:
            await self._ask(time.monotonic() - (FRESH_S if persona in self._others else 0))
        except NotReady:
            if persona not in self._others:
                raise
        return persona in self._others

    async def _ask(self, since_s: float) -> None:
        """Asks unless it has since then. One question answers all who wait, so that unknown names are no load. Raises NotReady."""
        try:
            async with asyncio.timeout(TIMEOUT_S), self._asking:
                now_s = time.monotonic()
                if self._asked_s < since_s:
                    self._others = (await self._status()).releases.characters
                    self._asked_s = now_s
        except (TimeoutError, RayError, RayServeException) as error:
            raise NotReady("the directory, which knows the personas beside the six, has not answered") from error
