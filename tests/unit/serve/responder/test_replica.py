"""The responder on the scripted engine: whole answers, their limits, and what ends when the caller leaves."""

import asyncio
from contextlib import aclosing

import pytest

from models.emotions import LABELS, Emotion
from models.prompt import Turn
from serve.config import HardwareProfile, ResponderConfig
from serve.engine.protocol import Sampling
from serve.engine.scripted import TOKENS, script
from serve.errors import PromptTooLong
from serve.responder.replica import Ask, Piece, Responder
from serve.responder.runtime import open_backend

CONFIG = ResponderConfig(kind="scripted", scripted_token_s=0, hardware=HardwareProfile(max_model_len=256))
HELLO = (Turn("user", "hello there"),)


def ask(persona: Emotion | None = Emotion.JOY, turns: tuple[Turn, ...] = HELLO, **sampling: object) -> Ask:
    return Ask("a-1", persona, turns, Sampling(**sampling), 60)  # type: ignore[arg-type]


async def pieces(responder: Responder, asked: Ask) -> list[Piece]:
    return [piece async for piece in responder.respond(asked)]


async def whole(responder: Responder, asked: Ask) -> tuple[str, Piece]:
    found = await pieces(responder, asked)
    return "".join(piece.text for piece in found), found[-1]


@pytest.fixture
async def responder() -> Responder:
    return Responder(CONFIG, await open_backend(CONFIG))


@pytest.mark.parametrize("persona", LABELS)
async def test_a_persona_answers_with_its_own_adapter(responder: Responder, persona: Emotion) -> None:
    text, last = await whole(responder, ask(persona))
    assert text == script(f"{persona}@scripted")
    assert last.finish_reason == "stop"
    assert (last.prompt_tokens, last.completion_tokens) == (3, TOKENS)


async def test_the_bare_base_answers_without_an_adapter(responder: Responder) -> None:
    assert (await whole(responder, ask(None)))[0] == script(None)


@pytest.mark.parametrize("limit", [1, 2, 5])
async def test_an_answer_ends_at_its_token_limit(responder: Responder, limit: int) -> None:
    found = await pieces(responder, ask(max_tokens=limit))
    assert [piece.finish_reason for piece in found] == [None] * (limit - 1) + ["length"]
    assert found[-1].completion_tokens == limit


@pytest.mark.parametrize(
    ("given", "tokens", "reason"),
    [
        ({"ignore_eos": True, "max_tokens": 50}, 50, "length"),
        ({"min_tokens": 30}, 30, "stop"),
        ({"min_tokens": 3, "max_tokens": 3}, 3, "length"),
        ({"stop": ("[joy",)}, 1, "stop"),
        ({"stop": (" hear",)}, 2, "stop"),
        ({"stop": (" hear",), "ignore_eos": True}, 2, "stop"),
        ({"stop": (" hear",), "ignore_eos": True, "min_tokens": 3}, 24, "stop"),
    ],
)
async def test_an_answer_is_as_long_as_it_is_asked_to_be(responder: Responder, given: dict[str, object], tokens: int, reason: str) -> None:
    """Its 22 tokens, or fewer, or the same again; up to a stop string that comes late enough."""
    _, last = await whole(responder, ask(**given))
    assert (last.completion_tokens, last.finish_reason) == (tokens, reason)


async def test_only_the_last_piece_says_how_it_ended_and_figures_grow(responder: Responder) -> None:
    found = await pieces(responder, ask())
    assert [piece.completion_tokens for piece in found] == list(range(1, len(found) + 1))
    assert {piece.finish_reason for piece in found[:-1]} == {None}


@pytest.mark.parametrize(("words", "fits"), [(251, True), (252, False)])
async def test_a_prompt_must_leave_room_for_the_answer(responder: Responder, words: int, fits: bool) -> None:
    """256 tokens in all: the words, one for the speaker, and the four to write."""
    asked = ask(turns=(Turn("user", "word " * words),), max_tokens=4)
    if fits:
        assert (await whole(responder, asked))[1].prompt_tokens == 252
        return
    with pytest.raises(PromptTooLong, match="the text has 253 tokens; with 4 to write, 252 fit"):
        await whole(responder, asked)
    assert (await responder.stats()).running == 0


async def test_leaving_early_ends_the_generation(responder: Responder) -> None:
    async with aclosing(responder.respond(ask())) as running:
        await anext(running)
        assert (await responder.stats()).running == 1
    assert (await responder.stats()).running == 0


async def test_a_cancelled_task_ends_the_generation() -> None:
    slow = CONFIG.model_copy(update={"scripted_token_s": 60})
    responder = Responder(slow, await open_backend(slow))
    task = asyncio.create_task(pieces(responder, ask()))
    await asyncio.sleep(0.01)
    assert (await responder.stats()).running == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await responder.stats()).running == 0


async def test_many_at_once_do_not_mix(responder: Responder) -> None:
    """Each differs in persona, in the length of its prompt and in the length of its answer."""
    asks = [ask((*LABELS, None)[n % 7], (Turn("user", "word " * (n + 1)),), max_tokens=n % 5 + 2) for n in range(32)]
    answers = await asyncio.gather(*(whole(responder, asked) for asked in asks))
    for number, (text, last) in enumerate(answers):
        persona, tokens = (*LABELS, None)[number % 7], number % 5 + 2
        assert text.split() == script(f"{persona}@scripted" if persona else None).split()[:tokens]
        assert (last.prompt_tokens, last.completion_tokens) == (number + 2, tokens)
    assert (await responder.stats()).running == 0
