"""The responder on the scripted engine: whole answers, what reaches the engine, and what ends when the caller leaves."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from models.emotions import LABELS, Emotion
from models.personas import personas
from models.prompt import BASE_STOP, PERSONA_STOP, Turn
from serve.backend import Backend, ScriptedEncoder, open_backend
from serve.config import HardwareProfile, ResponderConfig
from serve.engine import Delta, Sampling
from serve.errors import EngineError, PromptTooLong
from serve.limits import derive_limits
from serve.responder import Ask, Piece, Responder
from serve.scripted_engine import SENTENCE, WORDS, ScriptedEngine

CONFIG = ResponderConfig(kind="scripted", scripted_token_s=0, hardware=HardwareProfile(max_model_len=256))
HELLO = (Turn("user", "hello there"),)


class Recording(ScriptedEngine):
    """Keeps what it was asked."""

    prompt: list[int]
    sampling: Sampling

    def generate(self, request_id: str, prompt: list[int], adapter: str | None, sampling: Sampling) -> AsyncGenerator[Delta]:
        self.prompt, self.sampling = prompt, sampling
        return super().generate(request_id, prompt, adapter, sampling)


class Spelling(ScriptedEncoder):
    """Keeps what it was asked."""

    def prompt(self, speaker: str, turns: tuple[Turn, ...], instruction: str | None = None) -> list[int]:  # type: ignore[override]
        self.asked = (speaker, turns, instruction)
        return super().prompt(speaker, turns, instruction)


def ask(persona: Emotion | None = Emotion.JOY, turns: tuple[Turn, ...] = HELLO, **sampling: object) -> Ask:
    return Ask("a-1", persona, turns, Sampling(**sampling))  # type: ignore[arg-type]


def backend(engine: ScriptedEngine, aliases: dict[Emotion, str] | None = None) -> Backend:
    return Backend(engine, Spelling(), aliases or {}, derive_limits(CONFIG, []))


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
    assert text == f"[{persona}@scripted] {SENTENCE}"
    assert last.finish_reason == "stop"
    assert (last.prompt_tokens, last.completion_tokens) == (3, len(WORDS) + 1)


async def test_the_bare_base_answers_without_an_adapter(responder: Responder) -> None:
    assert (await whole(responder, ask(None)))[0] == f"[base] {SENTENCE}"


@pytest.mark.parametrize("limit", [1, 2, 5])
async def test_an_answer_ends_at_its_token_limit(responder: Responder, limit: int) -> None:
    found = await pieces(responder, ask(max_tokens=limit))
    assert [piece.finish_reason for piece in found] == [None] * (limit - 1) + ["length"]
    assert found[-1].completion_tokens == limit


async def test_only_the_last_piece_says_how_it_ended_and_figures_grow(responder: Responder) -> None:
    found = await pieces(responder, ask())
    assert [piece.completion_tokens for piece in found] == list(range(1, len(found) + 1))
    assert {piece.finish_reason for piece in found[:-1]} == {None}


@pytest.mark.parametrize(("persona", "stop"), [(Emotion.JOY, PERSONA_STOP), (None, BASE_STOP)])
async def test_the_voices_own_stop_string_is_added_to_the_askers(persona: Emotion | None, stop: str) -> None:
    engine = Recording()
    asked = ask(persona, stop=("THE END",), max_tokens=3, temperature=0.25, top_p=0.5, seed=11)
    await whole(Responder(CONFIG, backend(engine)), asked)
    assert engine.sampling == Sampling(3, 0.25, 0.5, 11, (stop, "THE END"))


async def test_a_persona_without_an_adapter_is_the_base_with_an_instruction() -> None:
    parts = backend(ScriptedEngine((), 0), {Emotion.FEAR: "fear@1"})
    text, _ = await whole(Responder(CONFIG, parts), ask(Emotion.JOY))
    assert text.startswith("[base] ")
    assert parts.encoder.asked == ("Joy", HELLO, personas()[Emotion.JOY].instruction)  # type: ignore[attr-defined]


async def test_an_adapter_that_is_not_resident_is_an_error() -> None:
    parts = backend(ScriptedEngine(("joy@1",), 0), {Emotion.JOY: "joy@2"})
    with pytest.raises(EngineError, match="joy@2"):
        await whole(Responder(CONFIG, parts), ask(Emotion.JOY))


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
        assert text.split() == [f"[{persona}@scripted]" if persona else "[base]", *WORDS[: tokens - 1]]
        assert (last.prompt_tokens, last.completion_tokens) == (number + 2, tokens)
    assert (await responder.stats()).running == 0


async def test_a_dead_engine_fails_the_health_check_and_closing_stops_it() -> None:
    class Mortal(ScriptedEngine):
        alive = True

        async def health(self) -> None:
            if not self.alive:
                raise EngineError("the engine is dead")

        async def stop(self) -> None:
            self.alive = False

    responder = Responder(CONFIG, backend(Mortal()))
    await responder.check_health()
    await responder.close()
    with pytest.raises(EngineError, match="dead"):
        await responder.check_health()
