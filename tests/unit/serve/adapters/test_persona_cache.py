"""Cache of selectable personas: when it asks the controller, and its fallback without one."""

import asyncio
import tomllib

import pytest

from models.emotions import LABELS
from models.personas import Persona
from serve.adapters import persona_cache
from serve.adapters.persona_cache import PersonaCache
from serve.adapters.registry import ControllerStatus, Releases, Version
from serve.errors import NotReady
from support.adapters import PERSONA_TOML

CALM = Version(
    name="calm@1",
    persona="calm",
    added_persona=Persona.model_validate(tomllib.loads(PERSONA_TOML.format("Calm"))),
)
WITH_CALM = Releases().publish(CALM, 1).promote("calm@1")


class FakeController:
    """Controller that counts its calls, and hangs if told to."""

    def __init__(self) -> None:
        self.releases = Releases()
        self.calls = 0
        self.hangs = False

    async def status(self) -> ControllerStatus:
        self.calls += 1
        await asyncio.sleep(600 if self.hangs else 0)
        return ControllerStatus(self.releases)


@pytest.fixture
def controller(monkeypatch: pytest.MonkeyPatch) -> FakeController:
    monkeypatch.setattr(persona_cache, "TIMEOUT_S", 60)  # a busy machine is slow
    return FakeController()


@pytest.fixture
def cache(controller: FakeController) -> PersonaCache:
    return PersonaCache(controller.status)


async def test_built_in_personas_need_no_call(
    controller: FakeController, cache: PersonaCache
) -> None:
    assert all([await cache.has(label.value) for label in LABELS])
    assert (list(cache.known), controller.calls) == (list(LABELS), 0)


async def test_promoted_persona_is_available_at_once_and_then_cached(
    controller: FakeController, cache: PersonaCache
) -> None:
    assert not await cache.has("calm")
    controller.releases = WITH_CALM
    assert [await cache.has("calm") for _ in range(5)] == [True] * 5
    assert controller.calls == 2
    assert list(await cache.all()) == [*LABELS, "calm"]


async def test_rolled_back_persona_disappears_after_the_ttl(
    controller: FakeController, cache: PersonaCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    controller.releases = WITH_CALM
    assert await cache.has("calm")
    controller.releases = Releases()
    monkeypatch.setattr(persona_cache, "TTL_S", 0)
    assert not await cache.has("calm")
    assert list(await cache.all()) == list(LABELS)


async def test_concurrent_unknown_names_share_one_call(
    controller: FakeController, cache: PersonaCache
) -> None:
    names = [f"unknown{number}" for number in range(500)]
    assert not any(await asyncio.gather(*(cache.has(name) for name in names)))
    assert controller.calls <= 2


async def test_known_personas_stay_available_without_the_controller(
    controller: FakeController, cache: PersonaCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    controller.releases = WITH_CALM
    assert await cache.has("calm")
    controller.hangs = True
    monkeypatch.setattr(persona_cache, "TIMEOUT_S", 0.05)
    monkeypatch.setattr(persona_cache, "TTL_S", 0)
    assert await cache.has("calm")
    assert await cache.has("joy")
    assert list(await cache.all()) == [*LABELS, "calm"]
    with pytest.raises(NotReady):
        await cache.has("pride")
