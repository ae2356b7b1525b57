"""The ingress: what a key's limits and the gates hold for, and that who is refused by one has used up nothing of the other."""

from typing import Any
from unittest.mock import MagicMock

import pytest

from serve.api.auth import Key, Scope, sha256_of
from serve.config import NO_TRACES
from serve.errors import Overloaded, RateLimited
from serve.pipeline.admission import Gates
from serve.pipeline.ingress import Ingress
from serve.pipeline.messages import Event, Message, Texts
from support.fakes import FakeStages, message


def key(**limits: int) -> Key:
    return Key.model_validate({"name": "app", "sha256": sha256_of("s"), "scopes": [Scope.RESPOND, Scope.DETECT], **limits})


@pytest.fixture
def ingress() -> Ingress:
    """With one place for an answer, two for texts, and stages that are not there."""
    nobody: Any = MagicMock()
    ingress = Ingress(Gates((1, 1), (2, 1)), nobody, nobody, nobody, True, NO_TRACES)
    ingress._stages = FakeStages()
    return ingress


def asked(who: Key) -> Message:
    return Message(
        **{name: getattr(message("Hm."), name) for name in ("request_id", "turns", "sampling", "began_s", "deadline_s")}, key=who
    )


def texts(who: Key | None, count: int = 1) -> Texts:
    return Texts("d-1", ("Hm.",) * count, 0, message("Hm.").deadline_s, who)


async def read(ingress: Ingress, who: Key) -> list[Event]:
    return [event async for event in ingress.answer(asked(who))]


async def test_who_finds_no_place_has_used_up_nothing(ingress: Ingress) -> None:
    who = key(requests_per_minute=1, tokens_per_minute=9)
    with ingress._answers.enter():
        for _ in range(3):
            with pytest.raises(Overloaded):
                await read(ingress, who)
    assert await read(ingress, who)
    with pytest.raises(RateLimited):
        await read(ingress, who)


async def test_who_has_used_up_their_minute_holds_no_place(ingress: Ingress) -> None:
    who = key(requests_per_minute=1)
    await read(ingress, who)
    with pytest.raises(RateLimited):
        await read(ingress, who)
    assert ingress._answers.inside == 0


async def test_texts_to_detect_are_requests_of_their_key(ingress: Ingress) -> None:
    who = key(requests_per_minute=2, tokens_per_minute=9)
    with pytest.raises(Overloaded):
        await ingress.detect(texts(who, 3))
    assert len(await ingress.detect(texts(who, 2))) == 2
    await read(ingress, who)
    with pytest.raises(RateLimited):
        await ingress.detect(texts(who))
    assert await ingress.detect(texts(None))


async def test_a_key_that_has_its_requests_at_once_detects_nothing_beside_them(ingress: Ingress) -> None:
    who = key(concurrent=1)
    with ingress._quota.enter(who, 0), pytest.raises(RateLimited, match="1 requests at once"):
        await ingress.detect(texts(who))
    assert await ingress.detect(texts(who))
