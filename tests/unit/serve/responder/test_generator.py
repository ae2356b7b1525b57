"""Generator: voice, prompt, length check, and the end of a generation."""

import asyncio
import threading
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

import pytest

from models.emotions import LABELS, Emotion
from models.personas import builtin_personas
from models.prompt import BASE_STOP, PERSONA_STOP, Turn
from serve.adapters.registry import Releases, ReplicaReport
from serve.adapters.trial import Trial
from serve.capacity import derive_limits
from serve.config import NO_TRACES, BlendConfig, HardwareProfile, ResponderConfig
from serve.engine.protocol import BlendParts, Sampling
from serve.engine.scripted import ScriptedEncoder, ScriptedEngine, script
from serve.errors import EngineError, InvalidRequest, PromptTooLong
from serve.responder.adapter_sync import AdapterSync
from serve.responder.generator import Generator
from serve.responder.mix import Mix
from serve.responder.protocol import GenerationRequest
from serve.responder.runtime import Runtime
from serve.responder.voice import blend_name
from serve.telemetry.tracing import Tracing
from support.adapter_fleet import INITIAL
from support.fakes import SCRIPTED_TOKENS

CONFIG = ResponderConfig(kind="scripted", hardware=HardwareProfile(max_model_len=256))
HELLO = (Turn("user", "hello there"),)


class RecordingEngine(ScriptedEngine):
    """Engine that records how it was asked."""

    def generate(self, request_id: str, prompt: list[int], *arguments: Any) -> Any:
        """Record the sampling and generate."""
        self.request_id = request_id
        self.sampling = arguments[1]
        return super().generate(request_id, prompt, *arguments)


class RecordingEncoder(ScriptedEncoder):
    """Encoder that records how it was asked, and in which thread."""

    fewest = 0
    threads: list[int]

    def __init__(self) -> None:
        self.threads = []

    def fewest_tokens(self, turns: Any) -> int:
        """Return what the test has set."""
        return self.fewest

    def prompt(self, speaker: str, turns: Any, instruction: str | None = None) -> list[int]:
        """Record the arguments and encode."""
        self.prompted = (speaker, turns, instruction)
        self.threads.append(threading.get_ident())
        return super().prompt(speaker, turns, instruction)


@dataclass
class Parts:
    """A generator and what it was made of."""

    generator: Generator
    engine: RecordingEngine
    encoder: RecordingEncoder
    sync: AdapterSync

    async def answer(self, request: GenerationRequest) -> tuple[str, int, str | None]:
        """Return text, number of tokens and finish reason of a whole answer."""
        chunks = [chunk async for chunk in (await self.generator.generate(request)).chunks]
        text = "".join(chunk.text for chunk in chunks)
        assert {chunk.finish_reason for chunk in chunks[:-1]} <= {None}
        return text, sum(chunk.tokens for chunk in chunks), chunks[-1].finish_reason


def make(
    aliases: dict[str, str] | None = None,
    token_s: float = 0,
    blends: BlendConfig = BlendConfig(),  # noqa: B008 (frozen)
) -> Parts:
    config = CONFIG.model_copy(update={"blends": blends})
    promoted = dict(INITIAL.aliases) if aliases is None else aliases
    engine = RecordingEngine(tuple(promoted.values()), token_s)
    encoder = RecordingEncoder()
    runtime = Runtime(engine, encoder, promoted, derive_limits(config, []))

    async def reconcile(report: ReplicaReport) -> Releases:
        return Releases()

    sync = AdapterSync(runtime, "one", reconcile)
    generator = Generator(config, runtime, sync, Tracing(NO_TRACES, "responder"))
    return Parts(generator, engine, encoder, sync)


def request(
    persona: str | None = Emotion.JOY, turns: tuple[Turn, ...] = HELLO, **sampling: Any
) -> GenerationRequest:
    return GenerationRequest("a-1", persona, turns, Sampling(**sampling))


@pytest.fixture
def parts() -> Parts:
    return make()


@pytest.mark.parametrize("persona", LABELS)
async def test_persona_answers_with_its_adapter(parts: Parts, persona: Emotion) -> None:
    generation = await parts.generator.generate(request(persona))
    assert (generation.adapter, generation.prompt_tokens) == (f"{persona}@scripted", 3)
    await generation.chunks.aclose()
    expected = (script(f"{persona}@scripted"), SCRIPTED_TOKENS, "stop")
    assert await parts.answer(request(persona)) == expected


async def test_base_model_answers_without_an_adapter(parts: Parts) -> None:
    assert (await parts.generator.generate(request(None))).adapter is None
    assert (await parts.answer(request(None)))[0] == script(None)


async def test_request_id_reaches_the_engine(parts: Parts) -> None:
    await parts.answer(request())
    assert parts.engine.request_id == "a-1"


@pytest.mark.parametrize("limit", [1, 2, 5])
async def test_answer_ends_at_its_token_limit(parts: Parts, limit: int) -> None:
    _, tokens, reason = await parts.answer(request(max_tokens=limit))
    assert (tokens, reason) == (limit, "length")


@pytest.mark.parametrize(("persona", "stop"), [(Emotion.JOY, PERSONA_STOP), (None, BASE_STOP)])
async def test_stop_string_of_the_voice_is_added(
    parts: Parts, persona: Emotion | None, stop: str
) -> None:
    sampling: dict[str, Any] = {"max_tokens": 3, "temperature": 0.25, "top_p": 0.5, "seed": 11}
    await parts.answer(request(persona, stop=("THE END",), **sampling))
    assert parts.engine.sampling == Sampling(stop=(stop, "THE END"), **sampling)


async def test_answer_of_fixed_length_is_not_ended_by_the_voice(parts: Parts) -> None:
    await parts.answer(request(stop=("THE END",), max_tokens=3, ignore_eos=True))
    assert parts.engine.sampling.stop == ("THE END",)


async def test_persona_without_an_adapter_answers_by_instruction() -> None:
    parts = make({Emotion.FEAR: "fear@1"})
    text, _, _ = await parts.answer(request(Emotion.JOY))
    assert text == script(None)
    instruction = builtin_personas()[Emotion.JOY].instruction
    assert parts.encoder.prompted == ("Joy", HELLO, instruction)


async def test_persona_with_an_adapter_needs_no_instruction(parts: Parts) -> None:
    await parts.answer(request(Emotion.JOY))
    assert parts.encoder.prompted == ("Joy", HELLO, None)


async def test_added_persona_that_was_rolled_back_is_an_error(parts: Parts) -> None:
    with pytest.raises(InvalidRequest, match="calm"):
        await parts.generator.generate(request("calm"))


async def test_newly_promoted_version_is_used_at_once(parts: Parts) -> None:
    parts.sync.aliases = {Emotion.JOY: "fear@scripted"}
    assert (await parts.generator.generate(request(Emotion.JOY))).adapter == "fear@scripted"


async def test_a_version_on_trial_answers_its_conversations() -> None:
    parts = make(dict(INITIAL.aliases) | {"calm": "joy@new"})
    parts.sync.trials = {"joy": Trial(name="joy@new", share=0.5)}
    found = set[str]()
    for number in range(20):
        turns = (Turn("user", f"hello {number}"), Turn("assistant", "Oh"), Turn("user", "bye"))
        asked = (
            request(turns=turns),
            request(turns=turns[:1]),
            replace(request(), user=f"user {number}"),
            replace(request(turns=turns), user=f"user {number}"),
        )
        versions = [(await parts.answer(one))[0].split()[0] for one in asked]
        assert (versions[0], versions[2]) == (versions[1], versions[3])
        found |= set(versions)
    assert found == {"[joy@scripted]", "[joy@new]"}


@pytest.mark.parametrize(("words", "fits"), [(251, True), (252, False)])
async def test_prompt_and_answer_must_fit_into_the_context(
    parts: Parts, words: int, fits: bool
) -> None:
    """The context has 256 tokens: the words, one for the speaker, and four for the answer."""
    asked = request(turns=(Turn("user", "word " * words),), max_tokens=4)
    if fits:
        assert (await parts.generator.generate(asked)).prompt_tokens == 252
    else:
        with pytest.raises(PromptTooLong, match=r"length is 256 .* has 253 .* is 4"):
            await parts.generator.generate(asked)
    assert parts.generator.stats().running == 0


async def test_adapter_that_is_not_resident_is_an_error(parts: Parts) -> None:
    parts.sync.aliases = {Emotion.JOY: "joy@2"}
    with pytest.raises(EngineError, match="joy@2"):
        await parts.answer(request(Emotion.JOY))


async def test_adapter_is_in_use_until_the_answer_ends() -> None:
    parts = make(token_s=0.001)
    async with aclosing((await parts.generator.generate(request())).chunks) as chunks:
        await anext(chunks)
        await parts.sync.step()  # no version is desired any more
        assert parts.engine.stats().adapters == ("joy@scripted",)
        async for _ in chunks:
            pass
    await parts.sync.step()
    assert parts.engine.stats().adapters == ()


@pytest.mark.parametrize("mix", [None, Mix((("joy", 0.7), ("fear", 0.3)))])
async def test_adapters_are_in_use_before_the_first_chunk_is_read(
    parts: Parts, mix: Mix | None
) -> None:
    generation = await parts.generator.generate(replace(request(), mix=mix))
    await parts.sync.step()  # no version is desired any more
    assert "joy@scripted" in parts.engine.stats().adapters
    await generation.close()
    await parts.sync.step()
    assert parts.engine.stats().adapters == ()


async def test_a_text_that_cannot_start_keeps_nothing(parts: Parts) -> None:
    with pytest.raises(PromptTooLong):
        await parts.generator.generate(request(max_tokens=1000))
    await parts.sync.step()
    assert parts.engine.stats().adapters == ()


async def test_closing_early_ends_the_generation() -> None:
    parts = make(token_s=0.001)
    async with aclosing((await parts.generator.generate(request())).chunks) as chunks:
        await anext(chunks)
        assert parts.generator.stats().running == 1
    assert parts.generator.stats().running == 0


async def test_cancelled_task_ends_the_generation() -> None:
    parts = make(token_s=60)
    task = asyncio.create_task(parts.answer(request()))
    await asyncio.sleep(0.01)
    assert parts.generator.stats().running == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert parts.generator.stats().running == 0


async def test_concurrent_answers_do_not_mix() -> None:
    """Each differs in its persona, in the length of its prompt and of its answer."""
    parts = make(token_s=0.0005)
    personas = (*LABELS, None)
    requests = [
        request(
            personas[number % 7],
            (Turn("user", "word " * (number + 1)),),
            max_tokens=number % 5 + 2,
        )
        for number in range(32)
    ]
    answers = await asyncio.gather(*(parts.answer(asked) for asked in requests))
    for asked, (text, tokens, _) in zip(requests, answers, strict=True):
        adapter = f"{asked.persona}@scripted" if asked.persona else None
        expected = script(adapter).split()[: asked.sampling.max_tokens]
        assert text.split() == expected
        assert tokens == asked.sampling.max_tokens
    assert parts.generator.stats().running == 0


async def test_a_text_that_is_far_too_long_is_never_encoded(parts: Parts) -> None:
    parts.encoder.fewest = 253
    with pytest.raises(PromptTooLong, match="more than 253 tokens"):
        await parts.generator.generate(request(max_tokens=4))
    assert parts.encoder.threads == []


@pytest.mark.parametrize(("characters", "inline"), [(2000, True), (2001, False)])
async def test_a_long_text_is_encoded_in_a_thread(
    parts: Parts, characters: int, inline: bool
) -> None:
    """The event loop of a replica sends every stream, so nothing may hold it."""
    turns = (Turn("user", "a" * (characters - 1)), Turn("assistant", "b"))
    await parts.generator.generate(request(turns=turns))
    assert (parts.encoder.threads == [threading.get_ident()]) is inline


def mixed(**weights: float) -> GenerationRequest:
    return replace(request(max(weights, key=weights.__getitem__)), mix=Mix(tuple(weights.items())))


async def test_a_blend_is_made_on_first_use_and_answers(parts: Parts) -> None:
    generation = await parts.generator.generate(mixed(joy=0.7, fear=0.3))
    name = blend_name((("joy@scripted", 0.7), ("fear@scripted", 0.3)))
    assert (generation.adapter, generation.mix) == (name, mixed(joy=0.7, fear=0.3).mix)
    assert parts.engine.stats().blends == ()
    assert (await parts.answer(mixed(joy=0.7, fear=0.3)))[0] == script(name)
    assert parts.engine.stats().blends == (name,)
    assert name not in parts.engine.stats().adapters


async def test_intensity_0_makes_no_blend(parts: Parts) -> None:
    assert (await parts.answer(mixed(joy=0.0)))[0] == script(None)
    assert parts.encoder.prompted[2] == builtin_personas()[Emotion.JOY].instruction
    assert parts.engine.stats().blends == ()


async def test_versions_of_a_blend_stay_resident_until_it_has_answered() -> None:
    parts = make(token_s=0.001)
    async with aclosing((await parts.generator.generate(mixed(joy=0.7, fear=0.3))).chunks) as all_:
        await anext(all_)
        await parts.sync.step()  # no version is desired any more
        assert parts.engine.stats().adapters == ("fear@scripted", "joy@scripted")
    await parts.sync.step()
    assert parts.engine.stats().adapters == ()
    assert len(parts.engine.stats().blends) == 1


@pytest.mark.parametrize(
    ("blends", "sentence"),
    [(BlendConfig(resident=0), "mixes no adapters"), (BlendConfig(), "mixes up to 2")],
)
async def test_a_mix_beyond_the_configuration_is_an_error(
    blends: BlendConfig, sentence: str
) -> None:
    parts = make(blends=blends)
    asked = mixed(joy=0.4, fear=0.3, love=0.3)
    with pytest.raises(InvalidRequest, match=sentence):
        await parts.generator.generate(asked)
    assert (await parts.answer(request()))[0] == script("joy@scripted")


async def test_each_candidate_is_a_whole_text_without_its_leading_space() -> None:
    parts = make()
    request = GenerationRequest("r", "joy", HELLO, Sampling(n=3))
    chunks = [chunk async for chunk in (await parts.generator.generate(request)).chunks]
    assert [chunk.text for chunk in chunks] == [script("joy@scripted", n) for n in range(3)]
    assert {chunk.finish_reason for chunk in chunks} == {"stop"}
    assert parts.engine.sampling.n == 3


def automatic(**weights: float) -> GenerationRequest:
    """Return a request of a mix that the client has not asked for."""
    asked = mixed(**weights)
    assert asked.persona
    return replace(asked, fallback=Mix(((asked.persona, 1.0),)))


@pytest.mark.parametrize(
    ("aliases", "adapter"),
    [({"joy": "joy@1"}, "joy@1"), ({"fear": "fear@1"}, None)],
    ids=["the second has no adapter", "the first has no adapter"],
)
async def test_an_automatic_mix_without_its_adapters_leaves_the_likeliest_persona_alone(
    aliases: dict[str, str], adapter: str | None
) -> None:
    parts = make(aliases)
    asked = automatic(joy=0.55, fear=0.45)
    assert (await parts.generator.generate(asked)).adapter == adapter
    with pytest.raises(InvalidRequest, match="cannot be blended"):
        await parts.generator.generate(replace(asked, fallback=None))


async def test_ranks_that_are_too_high_together_are_an_error_before_the_stream_begins(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    def check_blend(_: BlendParts) -> None:
        raise InvalidRequest("these adapters have rank 24 together")

    monkeypatch.setattr(parts.engine, "check_blend", check_blend)
    with pytest.raises(InvalidRequest, match="rank 24"):
        await parts.generator.generate(mixed(joy=0.5, fear=0.5))
    generation = await parts.generator.generate(automatic(joy=0.55, fear=0.45))
    assert (generation.adapter, generation.mix) == ("joy@scripted", mixed(joy=1.0).mix)
