"""Who can be asked for by name, as an ingress replica knows it: when it asks the directory, and what it does without."""

import asyncio
import tomllib

import pytest

from models.emotions import LABELS
from models.personas import Persona
from serve.adapters import persona_cache as characters_module
from serve.adapters.registry import ControllerStatus
from serve.adapters.persona_cache import PersonaCache
from serve.adapters.registry import Releases, Version
from serve.errors import NotReady
from support.fakes import PERSONA_TOML

CALM = Version(name="calm@1", persona="calm", character=Persona.model_validate(tomllib.loads(PERSONA_TOML.format("Calm"))))
WITH_CALM = Releases().publish(CALM, 1).promote("calm@1")


class Asked:
    """A directory that counts its questions."""

    def __init__(self) -> None:
        self.releases, self.questions, self.away = Releases(), 0, False

    async def status(self) -> ControllerStatus:
        self.questions += 1
        await asyncio.sleep(60 if self.away else 0)
        return ControllerStatus(self.releases)


@pytest.fixture
def directory(monkeypatch: pytest.MonkeyPatch) -> Asked:
    monkeypatch.setattr(characters_module, "TIMEOUT_S", 0.05)
    return Asked()


@pytest.fixture
def characters(directory: Asked) -> PersonaCache:
    return PersonaCache(directory.status)


async def test_the_six_are_there_without_a_question(directory: Asked, characters: PersonaCache) -> None:
    assert all([await characters.has(label.value) for label in LABELS])
    assert (list(characters.known), directory.questions) == (list(LABELS), 0)


async def test_what_is_promoted_is_there_at_once_and_then_for_a_while_without_a_question(directory: Asked, characters: PersonaCache) -> None:
    assert not await characters.has("calm")
    directory.releases = WITH_CALM
    assert [await characters.has("calm") for _ in range(5)] == [True] * 5
    assert directory.questions == 2
    assert list(await characters.all()) == [*LABELS, "calm"]


async def test_what_is_rolled_back_is_gone_soon(directory: Asked, characters: PersonaCache, monkeypatch: pytest.MonkeyPatch) -> None:
    directory.releases = WITH_CALM
    assert await characters.has("calm")
    directory.releases = Releases()
    monkeypatch.setattr(characters_module, "FRESH_S", 0)
    assert not await characters.has("calm")
    assert list(await characters.all()) == list(LABELS)


async def test_any_number_of_unknown_names_is_one_question_at_a_time(directory: Asked, characters: PersonaCache) -> None:
    assert not any(await asyncio.gather(*(characters.has(f"nobody{number}") for number in range(500))))
    assert directory.questions <= 2


async def test_without_the_directory_the_others_are_those_of_its_last_answer(
    directory: Asked, characters: PersonaCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory.releases = WITH_CALM
    assert await characters.has("calm")
    directory.away = True
    monkeypatch.setattr(characters_module, "FRESH_S", 0)
    assert await characters.has("calm")
    assert await characters.has("joy")
    assert list(await characters.all()) == [*LABELS, "calm"]
    with pytest.raises(NotReady):
        await characters.has("pride")
