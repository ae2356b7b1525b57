"""What a responder asks of its encoder and its engine, and what it makes of an engine's troubles."""

from collections.abc import AsyncGenerator

import pytest

from models.emotions import Emotion
from models.personas import builtin_personas
from models.prompt import BASE_STOP, PERSONA_STOP, Turn
from serve.capacity import derive_limits
from serve.config import HardwareProfile, ResponderConfig
from serve.engine.protocol import Sampling, TextChunk
from serve.engine.scripted import ScriptedEngine
from serve.errors import EngineDead, EngineError
from serve.responder import replica as responder_module
from serve.responder.replica import Ask, Responder
from serve.responder.runtime import Backend, ScriptedEncoder
from serve.tracing import Carrier

CONFIG = ResponderConfig(kind="scripted", scripted_token_s=0, hardware=HardwareProfile(max_model_len=256))
HELLO = (Turn("user", "hello there"),)


class Recording(ScriptedEngine):
    """Keeps what it was asked."""

    sampling: Sampling

    def generate(
        self, request_id: str, prompt: list[int], adapter: str | None, sampling: Sampling, trace: Carrier | None = None
    ) -> AsyncGenerator[TextChunk]:
        self.sampling = sampling
        return super().generate(request_id, prompt, adapter, sampling)


class Spelling(ScriptedEncoder):
    """Keeps what it was asked."""

    def prompt(self, speaker: str, turns: tuple[Turn, ...], instruction: str | None = None) -> list[int]:  # type: ignore[override]
        self.asked = (speaker, turns, instruction)
        return super().prompt(speaker, turns, instruction)


def ask(persona: Emotion | None = Emotion.JOY, turns: tuple[Turn, ...] = HELLO, **sampling: object) -> Ask:
    return Ask("a-1", persona, turns, Sampling(**sampling), 60)  # type: ignore[arg-type]


def backend(engine: ScriptedEngine, aliases: dict[Emotion, str] | None = None) -> Backend:
    return Backend(engine, Spelling(), aliases or {}, derive_limits(CONFIG, []))


async def text_of(responder: Responder, asked: Ask) -> str:
    return "".join([piece.text async for piece in responder.respond(asked)])


@pytest.mark.parametrize(("persona", "stop"), [(Emotion.JOY, PERSONA_STOP), (None, BASE_STOP)])
async def test_the_voices_own_stop_string_is_added_to_the_askers(persona: Emotion | None, stop: str) -> None:
    engine = Recording()
    asked = ask(persona, stop=("THE END",), max_tokens=3, temperature=0.25, top_p=0.5, seed=11)
    await text_of(Responder(CONFIG, backend(engine)), asked)
    assert engine.sampling == Sampling(3, 0.25, 0.5, 11, (stop, "THE END"))


async def test_an_answer_of_fixed_length_is_not_ended_by_the_voice() -> None:
    engine = Recording()
    await text_of(Responder(CONFIG, backend(engine)), ask(stop=("THE END",), max_tokens=3, ignore_eos=True))
    assert engine.sampling.stop == ("THE END",)


async def test_a_persona_without_an_adapter_is_the_base_with_an_instruction() -> None:
    parts = backend(ScriptedEngine((), 0), {Emotion.FEAR: "fear@1"})
    text = await text_of(Responder(CONFIG, parts), ask(Emotion.JOY))
    assert text.startswith("[base] ")
    assert parts.encoder.asked == ("Joy", HELLO, builtin_personas()[Emotion.JOY].instruction)  # type: ignore[attr-defined]


async def test_an_adapter_that_is_not_resident_is_an_error() -> None:
    parts = backend(ScriptedEngine(("joy@1",), 0), {Emotion.JOY: "joy@2"})
    with pytest.raises(EngineError, match="joy@2"):
        await text_of(Responder(CONFIG, parts), ask(Emotion.JOY))


async def test_an_adapter_that_is_unloaded_amid_an_answer_is_an_error() -> None:
    engine = ScriptedEngine(("joy@1",), 0)
    pieces = Responder(CONFIG, backend(engine, {Emotion.JOY: "joy@1"})).respond(ask(Emotion.JOY))
    await anext(pieces)
    await engine.unload("joy@1")
    with pytest.raises(EngineError, match="no adapter joy@1 is resident"):
        [piece async for piece in pieces]


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


async def test_a_replica_ends_itself_when_its_engine_is_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    class Dying(ScriptedEngine):
        checks = 0

        async def health(self) -> None:
            self.checks += 1
            if self.checks == 3:
                raise EngineDead("dead")

    class Ended(Exception):
        pass

    def end(status: int) -> None:
        raise Ended(status)

    monkeypatch.setattr(responder_module, "WATCH_S", 0.001)
    monkeypatch.setattr(responder_module.os, "_exit", end)
    engine = Dying()
    with pytest.raises(Ended, match="1"):
        await Responder(CONFIG, backend(engine)).end_with_the_engine()
    assert engine.checks == 3
