"""Candidates: how many there are, which one is picked, and what is done without the critic."""

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from ray.serve import metrics

from models.prompt import Turn
from models.safety.levels import CONCERN
from serve.capacity import GateLimits
from serve.engine.protocol import Sampling, TextChunk
from serve.errors import NotReady, Overloaded
from serve.pipeline import candidates
from serve.pipeline.admission import Gate
from serve.pipeline.answer import Answer, Candidates
from serve.pipeline.candidates import UNFINISHED_PENALTY, CandidateSlots, Picker
from serve.responder.generator import Generation
from serve.responder.protocol import GenerationRequest
from serve.telemetry.tracing import Carrier
from support.fakes import context, message

ANSWERS = (
    TextChunk("I am cut off in the", 6, "length"),
    TextChunk("Oh no! You must be so scared of it.", 9, "stop"),
    TextChunk("A third one.", 3, "stop"),
)
TEXTS = [one.text for one in ANSWERS]
Recorded = list[tuple[str, float, dict[str, str]]]


@dataclass
class FakeGenerator:
    """Generator that returns fixed candidates, or one text where one is asked for."""

    requests: list[GenerationRequest] = field(default_factory=list)
    hangs: bool = False
    closed: bool = False
    started: asyncio.Event = field(default_factory=asyncio.Event)

    async def generate(self, request: GenerationRequest) -> Generation:
        self.requests.append(request)
        return Generation("fear@fake", 5, self._chunks(request.sampling.n), request.mix)

    async def _chunks(self, number: int) -> AsyncGenerator[TextChunk]:
        self.started.set()
        try:
            if self.hangs:
                await asyncio.Event().wait()
            for chunk in ANSWERS[:number]:
                yield chunk
        finally:
            self.closed = True


@dataclass
class FakeCritic:
    """Critic with fixed logits, that fails or hangs if it is told to."""

    logits: Sequence[float] = (3.0, 1.0, 0.5)
    error: Exception | None = None
    hangs: bool = False
    calls: list[tuple[tuple[Turn, ...], list[str]]] = field(default_factory=list)

    async def score(
        self, turns: tuple[Turn, ...], answers: Sequence[str], trace: Carrier
    ) -> list[float]:
        self.calls.append((turns, list(answers)))
        if self.hangs:
            await asyncio.Event().wait()
        if self.error:
            raise self.error
        return list(self.logits[: len(answers)])


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> Recorded:
    """Name, value and tags of everything that is counted or observed."""
    found: Recorded = []

    def record(self: Any, value: float = 1.0, tags: dict[str, str] | None = None) -> None:
        found.append((self.info["name"], value, tags or {}))

    monkeypatch.setattr(metrics.Counter, "inc", record)
    monkeypatch.setattr(metrics.Histogram, "observe", record)
    return found


def make_gate(admitted: int = 0) -> Gate:
    gate = Gate(GateLimits(96, 32))
    gate.admitted = admitted
    return gate


def make_answer(sampling: Sampling | None = None, timeout_s: float = 60) -> Answer:
    asked = message("Who is there?", request=context(timeout_s))
    answer = Answer(replace(asked, sampling=sampling or Sampling()))
    answer.persona = "fear"
    return answer


def make_picker(
    critic: FakeCritic, generator: FakeGenerator | None = None, slots: int = 32, admitted: int = 1
) -> Picker:
    generation: Any = generator or FakeGenerator()
    return Picker(CandidateSlots(3, slots, make_gate(admitted)), generation, critic.score)


async def write(picker: Picker, answer: Answer) -> list[TextChunk]:
    sampling = answer.message.sampling
    request = GenerationRequest("m-1", answer.persona, answer.message.turns, sampling)
    return [chunk async for chunk in (await picker.generate(answer, request)).chunks]


def text_of(chunks: Sequence[TextChunk]) -> str:
    return "".join(chunk.text for chunk in chunks)


async def test_critic_picks_the_best_of_the_answers_that_ended(recorded: Recorded) -> None:
    critic, generator, answer = FakeCritic(), FakeGenerator(), make_answer()
    chunks = await write(make_picker(critic, generator), answer)
    assert text_of(chunks) == ANSWERS[1].text
    assert critic.calls == [(answer.message.turns, TEXTS)]
    assert [request.sampling.n for request in generator.requests] == [3]
    # 1 / (1 + exp(-1)); the other two have 6 and 3 tokens.
    assert answer.candidates == Candidates(3, 0.7311, 9)
    assert ("fye_candidates", 3, {"persona": "fear"}) in recorded
    assert ("fye_critic_score", 0.7311, {"persona": "fear"}) in recorded
    assert [name for name, *_ in recorded].count("fye_critic_ms") == 1
    assert "fye_candidate_fallbacks" not in {name for name, *_ in recorded}


async def test_an_answer_that_was_cut_is_picked_if_it_is_far_better() -> None:
    critic = FakeCritic(logits=(UNFINISHED_PENALTY + 1.1, 1.0, 0.5))
    assert text_of(await write(make_picker(critic), make_answer())) == ANSWERS[0].text


async def test_picked_answer_is_sent_in_chunks_that_share_its_tokens() -> None:
    chunks = await write(make_picker(FakeCritic()), make_answer())
    assert [chunk.text for chunk in chunks] == ["Oh no! You must", " be so scared of", " it."]
    assert [chunk.tokens for chunk in chunks] == [3, 3, 3]
    assert [chunk.finish_reason for chunk in chunks] == [None, None, "stop"]


@pytest.mark.parametrize(
    ("critic", "reason"),
    [
        (FakeCritic(error=RuntimeError("Who is there?")), "critic_failed"),
        (FakeCritic(error=NotReady("down")), "critic_failed"),
        (FakeCritic(error=Overloaded("full")), "critic_full"),
        (FakeCritic(hangs=True), "critic_late"),
    ],
    ids=["failed", "down", "full", "late"],
)
async def test_without_the_critic_the_first_answer_that_ended_is_sent(
    critic: FakeCritic,
    reason: str,
    recorded: Recorded,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(candidates, "CRITIC_TIMEOUT_S", 0.01 if critic.hangs else 60)
    answer = make_answer()
    assert text_of(await write(make_picker(critic), answer)) == ANSWERS[1].text
    assert answer.candidates == Candidates(3, None, 9)
    assert ("fye_candidate_fallbacks", 1, {"reason": reason}) in recorded
    assert "the critic picks no answer" in caplog.text
    assert "Who is there?" not in caplog.text


async def test_critic_gets_half_of_the_time_that_is_left(recorded: Recorded) -> None:
    answer = make_answer(timeout_s=0.2)
    answer_s = time.monotonic()
    chunks = await write(make_picker(FakeCritic(hangs=True)), answer)
    assert text_of(chunks) == ANSWERS[1].text
    assert time.monotonic() - answer_s < candidates.CRITIC_TIMEOUT_S
    assert ("fye_candidate_fallbacks", 1, {"reason": "critic_late"}) in recorded


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(temperature=0),
        Sampling(logprobs=0),
        Sampling(min_tokens=4),
        Sampling(ignore_eos=True),
    ],
    ids=["greedy", "logprobs", "min_tokens", "ignore_eos"],
)
async def test_a_client_that_measures_the_model_gets_its_own_answer(sampling: Sampling) -> None:
    critic, generator = FakeCritic(), FakeGenerator()
    answer = make_answer(sampling)
    assert text_of(await write(make_picker(critic, generator), answer)) == ANSWERS[0].text
    assert [request.sampling.n for request in generator.requests] == [1]
    assert (critic.calls, answer.candidates) == ([], None)


@pytest.mark.parametrize("persona", [None, "sadness"], ids=["base model", "concern"])
async def test_base_model_and_concern_have_one_answer(persona: str | None) -> None:
    generator, answer = FakeGenerator(), make_answer()
    answer.persona, answer.safety = persona, CONCERN if persona else None
    await write(make_picker(FakeCritic(), generator), answer)
    assert [request.sampling.n for request in generator.requests] == [1]


@pytest.mark.parametrize(
    ("admitted", "expected"), [(1, 8), (17, 8), (19, 7), (29, 2), (31, 1), (32, 1), (96, 1)]
)
def test_candidates_take_half_of_the_free_slots(admitted: int, expected: int) -> None:
    assert CandidateSlots(8, 32, make_gate(admitted)).number() == expected


def test_slots_of_other_candidates_are_not_free() -> None:
    slots = CandidateSlots(8, 16, make_gate(admitted=2))
    with slots.take(8):
        assert slots.number() == 1 + (16 - 2 - 7) // 2
    assert slots.number() == 1 + (16 - 2) // 2


async def test_under_load_there_is_one_answer_and_no_call_of_the_critic(
    recorded: Recorded,
) -> None:
    critic, generator, answer = FakeCritic(), FakeGenerator(), make_answer()
    picker = make_picker(critic, generator, slots=4, admitted=4)
    assert text_of(await write(picker, answer)) == ANSWERS[0].text
    assert (critic.calls, answer.candidates) == ([], None)
    assert ("fye_candidates", 1, {"persona": "fear"}) in recorded
    assert ("fye_candidate_fallbacks", 1, {"reason": "load"}) in recorded


async def test_slots_are_taken_from_the_choice_on_until_the_answers_are_written() -> None:
    slots = CandidateSlots(3, 6, make_gate(admitted=1))
    generator: Any = FakeGenerator()
    picker = Picker(slots, generator, FakeCritic().score)
    answer = make_answer()
    request = GenerationRequest("m-1", "fear", answer.message.turns, Sampling())
    generation = await picker.generate(answer, request)
    assert slots.number() == 2
    await generation.close()  # the client has left before it was sent the emotion
    assert slots.number() == 3
    generation = await picker.generate(answer, request)
    await anext(generation.chunks)
    assert slots.number() == 3
    await generation.close()


async def test_cancelling_an_answer_ends_its_candidates_and_frees_their_slots() -> None:
    generator: Any = FakeGenerator(hangs=True)
    slots = CandidateSlots(3, 6, make_gate(admitted=1))
    picker = Picker(slots, generator, FakeCritic().score)
    writing = asyncio.create_task(write(picker, make_answer()))
    await generator.started.wait()
    assert slots.number() == 2
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    assert generator.closed
    assert slots.number() == 3
