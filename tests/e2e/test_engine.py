"""vLLM engine with the shipped adapters on the real base weights.

Each adapter changes the output, and in a mixed batch each row gets what it gets alone.
"""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import aclosing
from math import exp, inf, nan
from pathlib import Path
from unittest.mock import patch
from uuid import uuid4

import pytest
import pytest_asyncio
import torch
from opentelemetry import trace

from load.chaos.modified_adapters import (
    write_changed_adapter,
    write_fear_as_joy,
    write_scaled_joy,
)
from models.emotions import LABELS, Emotion
from models.errors import ArtifactError, ManifestError
from models.lora_layout import base_layers
from models.machine.precision import fastest_dtype
from models.manifest import ADAPTER_WEIGHTS, ARTIFACTS, Adapter, load_adapter
from models.prompt import PROMPT_VERSION, PromptEncoder, Turn
from models.weights.cache import materialize
from serve.adapters.registry import Releases, ReplicaReport
from serve.config import ResponderConfig, TracingConfig
from serve.engine.protocol import Sampling, TextChunk
from serve.engine.vllm_args import CPU_BLOCK_TOKENS
from serve.engine.vllm_cpu.compat import has_int8_dot_product
from serve.engine.vllm_engine import VllmEngine
from serve.responder.adapter_sync import AdapterSync
from serve.responder.generator import Generator
from serve.responder.mix import Mix, mix_of
from serve.responder.protocol import GenerationRequest
from serve.responder.runtime import Runtime, start_runtime
from serve.responder.validation import admit
from serve.telemetry.tracing import Tracing
from support.engine_probes import (
    GreedyOutput,
    generate_greedy,
    generate_greedy_tokens,
    generate_without_adapter,
)
from support.otlp_collector import Collector, run_collector

pytestmark = pytest.mark.asyncio(loop_scope="module")
MESSAGES = (
    "My flatmate used my toothbrush.",
    "They moved the meeting to Friday.",
    "I found a letter in the attic.",
)
CONFIG = ResponderConfig()
# Total variation. In a larger batch bf16 sums in another order, which moves a logit by one or two
# steps of 0.125; float32 moves it by much less.
CLOSE = 0.06 if fastest_dtype("cpu") is torch.bfloat16 else 0.02


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    """Collector of the engine's traces. The engine sets environment variables for them."""
    with run_collector() as collector, patch.dict(os.environ):
        yield collector


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def runtime(collector: Collector) -> AsyncIterator[Runtime]:
    started = await start_runtime(CONFIG, TracingConfig(endpoint=collector.endpoint))
    yield started
    await started.engine.stop()
    trace.get_tracer_provider().shutdown()  # type: ignore[attr-defined]


@pytest.fixture
def engine(runtime: Runtime) -> VllmEngine:
    assert isinstance(runtime.engine, VllmEngine)
    return runtime.engine


def make_generator(runtime: Runtime, tracing: TracingConfig | None = None) -> Generator:
    async def no_controller(_: ReplicaReport) -> Releases:
        raise NotImplementedError

    sync = AdapterSync(runtime, "replica", no_controller)
    return Generator(CONFIG, runtime, sync, Tracing(tracing or TracingConfig(), "responder"))


async def test_there_is_a_slot_for_every_persona_three_more_and_the_blends(
    runtime: Runtime,
) -> None:
    assert runtime.limits.max_loras == len(LABELS) + 3 + CONFIG.blends.resident
    assert set(runtime.aliases) == set(LABELS)


async def test_the_worker_reports_its_cpu_operators(engine: VllmEngine) -> None:
    states = engine.operators
    int8 = states.pop("lm_head")
    assert states == dict.fromkeys(("lora", "lora_kernel", "sampling"), "active")
    assert (int8 == "active") is has_int8_dot_product()


async def test_a_model_with_lora_is_compiled(engine: VllmEngine) -> None:
    from vllm.config import CompilationMode

    mode = engine._engine.vllm_config.compilation_config.mode
    assert mode == CompilationMode.DYNAMO_TRACE_ONCE


@pytest.mark.parametrize("persona", LABELS)
async def test_each_adapter_changes_logits_and_greedy_output(
    runtime: Runtime, persona: Emotion
) -> None:
    for message in MESSAGES:
        tokens, logprobs = await generate_greedy(runtime, persona, message)
        base_tokens, base_logprobs = await generate_without_adapter(runtime, persona, message)
        assert total_variation(logprobs[0], base_logprobs[0]) > 4 * CLOSE
        assert tokens != base_tokens


async def test_a_mixed_batch_gives_each_row_what_it_gets_alone(runtime: Runtime) -> None:
    rows = [(persona, message) for message in MESSAGES for persona in (*LABELS, None)]
    alone = [await generate_greedy(runtime, persona, message) for persona, message in rows]
    mixed = await asyncio.gather(*(generate_greedy(runtime, *row) for row in rows))
    for row, expected, found in zip(rows, alone, mixed, strict=True):
        assert is_same_output(expected, found), row


async def test_rows_without_an_adapter_get_the_base_model_when_every_slot_is_used(
    runtime: Runtime, engine: VllmEngine, tmp_path: Path
) -> None:
    """Stock vLLM gives them the last slot's adapter on a CPU, so our LoRA operator is active."""
    free = runtime.limits.max_loras - len(engine.stats().adapters)
    added = [
        load_scaled_joy(tmp_path / str(slot), factor=1 + slot / 8) for slot in range(1, free + 1)
    ]
    for adapter in added:
        await engine.load(adapter)
    alone = [await generate_greedy(runtime, None, message) for message in MESSAGES]
    without = [generate_greedy(runtime, None, message) for message in MESSAGES]
    others = [generate_greedy(runtime, name, text) for name in LABELS for text in MESSAGES]
    mixed = await asyncio.gather(*without, *others)
    for adapter in added:
        await engine.unload(adapter.manifest.versioned_name)
    for message, expected, found in zip(MESSAGES, alone, mixed, strict=False):
        assert is_same_output(expected, found), message


async def test_the_comparison_distinguishes_personas(runtime: Runtime) -> None:
    """Otherwise the tests that use it would pass with any output."""
    personas = (*LABELS, None)
    outputs = [await generate_greedy(runtime, persona, MESSAGES[0]) for persona in personas]
    pairs = [(one, other) for one in outputs for other in outputs if one is not other]
    assert not any(is_same_output(one, other) for one, other in pairs)


@pytest.mark.parametrize("persona", [Emotion.JOY, None])
@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(
            80,
            ignore_eos=True,
            top_k=40,
            min_p=0.01,
            frequency_penalty=0.1,
            presence_penalty=0.1,
            repetition_penalty=1.1,
            seed=1,
        ),
        Sampling(80, min_tokens=80),
    ],
    ids=["ignore_eos", "min_tokens"],
)
async def test_an_answer_can_be_given_an_exact_length(
    runtime: Runtime, persona: Emotion | None, sampling: Sampling
) -> None:
    """Load tests need it: neither `<eos>` nor the end of the line ends the answer."""
    request = GenerationRequest(uuid4().hex, persona, (Turn("user", "Hm."),), sampling)
    async with aclosing((await make_generator(runtime).generate(request)).chunks) as chunks:
        found = [chunk async for chunk in chunks]
    assert sum(chunk.tokens for chunk in found) == 80
    assert found[-1].finish_reason == "length"


async def candidates(runtime: Runtime, sampling: Sampling) -> list[TextChunk]:
    turns = (Turn("user", MESSAGES[0]),)
    request = GenerationRequest(uuid4().hex, Emotion.ANGER, turns, sampling)
    async with aclosing((await make_generator(runtime).generate(request)).chunks) as chunks:
        return [chunk async for chunk in chunks]


async def test_candidates_are_whole_answers_that_differ_and_a_seed_repeats_them(
    runtime: Runtime,
) -> None:
    sampling = Sampling(max_tokens=24, temperature=1, seed=7, n=4)
    first = await candidates(runtime, sampling)
    assert len({one.text for one in first}) == len(first) == 4
    assert all(one.text.strip() and one.finish_reason for one in first)
    again = await candidates(runtime, sampling)
    # A rounding error may turn a token that is nearly as likely as another.
    same = [one.text[:12] == other.text[:12] for one, other in zip(first, again, strict=True)]
    assert sum(same) >= 3


async def test_cancelling_candidates_aborts_them_all(runtime: Runtime, engine: VllmEngine) -> None:
    task = asyncio.create_task(candidates(runtime, Sampling(max_tokens=200, min_tokens=200, n=4)))
    processor = engine._engine.output_processor
    while processor.get_num_unfinished_requests() < 4:  # noqa: ASYNC110 (vLLM has no event)
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert processor.get_num_unfinished_requests() == 0
    assert engine.stats().running == 0


async def generate_text(
    runtime: Runtime, prompt: list[int], sampling: Sampling
) -> tuple[str, str | None]:
    adapter = runtime.aliases[Emotion.JOY]
    chunks = runtime.engine.generate(uuid4().hex, prompt, adapter, sampling)
    found = [chunk async for chunk in chunks]
    return "".join(chunk.text for chunk in found), found[-1].finish_reason


async def test_the_text_is_that_of_the_tokens_and_ends_before_a_stop_string(
    runtime: Runtime,
) -> None:
    """vLLM detokenizes with our tokenizer."""
    assert isinstance(runtime.encoder, PromptEncoder)
    prompt = runtime.encoder.prompt("Joy", [Turn("user", "I found a letter in the attic 💌.")])
    ids, _ = await generate_greedy_tokens(runtime, prompt, runtime.aliases[Emotion.JOY], 24)
    text = runtime.encoder.text(ids)
    assert len(text.split()) > 8
    assert (await generate_text(runtime, prompt, Sampling(24, temperature=0)))[0] == text
    stop = text[len(text) // 2 :][:6]
    stopped = await generate_text(runtime, prompt, Sampling(24, temperature=0, stop=(stop,)))
    assert stopped == (text[: text.index(stop)], "stop")


async def test_unread_tokens_are_joined(runtime: Runtime) -> None:
    prompt = runtime.encoder.prompt("Joy", [Turn("user", "Hm.")])
    sampling = Sampling(24, temperature=0, ignore_eos=True)
    found: list[TextChunk] = []
    async for chunk in runtime.engine.generate(uuid4().hex, prompt, None, sampling):
        found.append(chunk)
        await asyncio.sleep(0.5)
    assert sum(chunk.tokens for chunk in found) == 24
    assert max(chunk.tokens for chunk in found) > 1


async def test_closing_the_chunks_aborts_the_generation(
    runtime: Runtime, engine: VllmEngine
) -> None:
    sampling = Sampling(max_tokens=2000, temperature=2.0, ignore_eos=True)
    turns = (Turn("user", "Tell me everything."),)
    request = GenerationRequest("closed", Emotion.JOY, turns, sampling)
    async with aclosing((await make_generator(runtime).generate(request)).chunks) as chunks:
        await anext(chunks)
    await asyncio.sleep(0.5)
    assert engine.stats().running == 0
    assert engine._engine.get_num_unfinished_requests() == 0


async def test_the_engines_span_belongs_to_the_trace_of_the_request(
    runtime: Runtime, collector: Collector
) -> None:
    generator = make_generator(runtime, TracingConfig(endpoint=collector.endpoint))
    incoming = {"traceparent": f"00-{'a' * 32}-{'b' * 16}-01"}
    turns = (Turn("user", "A secret of mine."),)
    sampling = Sampling(max_tokens=8)
    request = GenerationRequest("traced", Emotion.JOY, turns, sampling, incoming)
    found = [chunk async for chunk in (await generator.generate(request)).chunks]
    names = ("generate", "llm_request")
    spans = await asyncio.to_thread(collector.wait_for, *names, trace="a" * 32)
    engine_span = spans["llm_request"]
    assert spans["generate"].parent == "b" * 16
    assert engine_span.parent == spans["generate"].id
    tokens = sum(chunk.tokens for chunk in found)
    assert engine_span.attributes["gen_ai.usage.completion_tokens"] == tokens
    sent = b"".join(collector.bodies)
    assert b"A secret of mine." not in sent
    assert "".join(chunk.text for chunk in found).encode() not in sent


async def test_an_adapter_without_effect_is_rejected(runtime: Runtime, tmp_path: Path) -> None:
    """vLLM loads an adapter with a wrong prefix without an error and answers as the base model."""
    adapter = load_scaled_joy(tmp_path / "joy", factor=0.0)
    name = adapter.manifest.versioned_name
    with pytest.raises(ArtifactError, match=name):
        await admit(runtime.engine, runtime.encoder, adapter, runtime.limits)
    assert name not in runtime.engine.stats().adapters


async def test_an_adapter_with_nan_is_rejected_and_changes_no_other_output(
    runtime: Runtime, engine: VllmEngine, tmp_path: Path
) -> None:
    """Its prefix cache holds NaN too, and other requests get those blocks afterwards."""
    requests = [(persona, MESSAGES[0]) for persona in (*LABELS, None)]
    before = await asyncio.gather(*(generate_greedy(runtime, *one) for one in requests))
    adapter = load_scaled_joy(tmp_path / "joy", factor=nan)
    running = [asyncio.create_task(generate_greedy(runtime, *one)) for one in requests]
    with pytest.raises(ArtifactError, match="NaN"):
        await admit(engine, runtime.encoder, adapter, runtime.limits)
    assert adapter.manifest.versioned_name not in engine.stats().adapters
    during = await asyncio.gather(*running)
    await engine._engine.reset_prefix_cache()
    after = await asyncio.gather(*(generate_greedy(runtime, *one) for one in requests))
    for one, first, second, third in zip(requests, before, during, after, strict=True):
        assert is_same_output(first, second), one
        assert is_same_output(first, third), one


async def test_an_adapter_that_vllm_rejects_is_named_and_takes_no_slot(
    runtime: Runtime, engine: VllmEngine, tmp_path: Path
) -> None:
    """An adapter for a wider base that skipped the file checks; vLLM raises a bare Exception."""

    def widen(name: str, tensor: torch.Tensor) -> torch.Tensor:
        return torch.cat([tensor, tensor], int("lora_A" in name))

    manifest = write_changed_adapter(tmp_path / "joy", Emotion.JOY, widen)
    adapter = Adapter(manifest, tmp_path / "joy")
    base = materialize(CONFIG.base)
    with pytest.raises(ManifestError, match="joy"):
        load_adapter(adapter.folder, base.sha256, PROMPT_VERSION, base_layers(base.folder))
    before = engine.stats().adapters
    for _ in range(runtime.limits.max_loras):
        with pytest.raises(ArtifactError, match=f"{manifest.versioned_name}.*size of tensor"):
            await engine.load(adapter)
    assert engine.stats().adapters == before
    resident = {request.lora_int_id for request in engine._adapters.values()}
    assert set(await engine._engine.list_loras()) == resident
    assert (await generate_greedy(runtime, Emotion.JOY, MESSAGES[0]))[0]


async def test_two_halves_of_a_persona_are_the_persona(
    runtime: Runtime, engine: VllmEngine
) -> None:
    """The sum is exact: halving is exact in bf16."""
    joy = runtime.aliases[Emotion.JOY]
    await engine.load_blend("blend@halves", ((joy, 0.5), (joy, 0.5)))
    try:
        for message in MESSAGES:
            expected = await generate_greedy(runtime, Emotion.JOY, message)
            prompt = runtime.encoder.prompt("Joy", [Turn("user", message)])
            found = await generate_greedy_tokens(runtime, prompt, "blend@halves", 16)
            assert is_same_output(expected, found), message
    finally:
        await engine.unload("blend@halves")


async def test_blends_answer_in_one_batch_and_leave_the_versions_resident(
    runtime: Runtime, engine: VllmEngine
) -> None:
    """More blends than slots: each answers, the last ones stay, and no version is evicted."""
    generator = make_generator(runtime)
    versions = engine.stats().adapters
    mixes = [mix_of({"joy": share, "fear": 10 - share}, 0.1 + 0.15 * share) for share in range(10)]

    async def answer(mix: Mix) -> tuple[str, str | None]:
        sampling = Sampling(12, temperature=0)
        turns = (Turn("user", MESSAGES[0]),)
        request = GenerationRequest(uuid4().hex, "joy", turns, sampling, mix=mix)
        generation = await generator.generate(request)
        text = "".join([chunk.text async for chunk in generation.chunks])
        return text, generation.adapter

    answers = await asyncio.gather(*map(answer, mixes))
    assert len({adapter for _, adapter in answers}) == len(mixes) > CONFIG.blends.resident
    assert len({text for text, _ in answers}) > 1
    assert engine.stats().adapters == versions
    assert len(engine.stats().blends) == CONFIG.blends.resident
    for blend in engine.stats().blends:
        await engine.unload(blend)


async def test_two_versions_of_a_persona_can_be_resident(runtime: Runtime, tmp_path: Path) -> None:
    engine = runtime.engine
    adapter = load_scaled_joy(tmp_path / "joy", factor=0.5)
    await admit(engine, runtime.encoder, adapter, runtime.limits)
    versions = {adapter.manifest.versioned_name, runtime.aliases[Emotion.JOY]}
    assert versions <= set(engine.stats().adapters)
    await engine.unload(adapter.manifest.versioned_name)


async def test_a_new_version_does_not_use_cached_prefixes_of_the_old_one(
    runtime: Runtime, tmp_path: Path
) -> None:
    """Fear's weights become joy's next version. Its output must be fear's for that prompt."""
    old = runtime.aliases[Emotion.JOY]
    fear = runtime.aliases[Emotion.FEAR]
    prompt = runtime.encoder.prompt("Joy", [Turn("user", " ".join(MESSAGES * 24))])
    write_fear_as_joy(tmp_path / "joy")
    adapter = load_joy(tmp_path / "joy")
    await admit(runtime.engine, runtime.encoder, adapter, runtime.limits)
    new = adapter.manifest.versioned_name
    try:
        assert await cached_tokens(runtime, prompt, old) == 0
        assert await cached_tokens(runtime, prompt, old) > len(prompt) / 2, "expected a warm cache"
        assert await cached_tokens(runtime, prompt, new) == 0
        before = await generate_greedy_tokens(runtime, prompt, old, 8)
        after = await generate_greedy_tokens(runtime, prompt, new, 8)
        expected = await generate_greedy_tokens(runtime, prompt, fear, 8)
        assert is_same_output(expected, after)
        assert not is_same_output(before, after)
        assert total_variation(before[1][0], after[1][0]) > 2 * CLOSE
    finally:
        await runtime.engine.unload(new)


async def test_a_short_conversation_is_found_in_the_prefix_cache(runtime: Runtime) -> None:
    """vLLM's default block of 128 tokens is longer than this conversation."""
    joy = runtime.aliases[Emotion.JOY]
    turns = [
        Turn("user", " ".join(MESSAGES)),
        Turn("assistant", "And what did she say, when she saw you there?"),
        Turn("user", "Nothing, she only laughed."),
    ]
    first = runtime.encoder.prompt("Joy", turns[:1])
    assert len(first) < 128
    assert await cached_tokens(runtime, first, joy) == 0
    cached = await cached_tokens(runtime, runtime.encoder.prompt("Joy", turns), joy)
    assert len(first) - CPU_BLOCK_TOKENS < cached <= len(first)


async def test_a_shipped_adapter_with_one_changed_byte_is_rejected(tmp_path: Path) -> None:
    folder = shutil.copytree(ARTIFACTS / "adapters" / "joy", tmp_path / "joy")
    weights = bytearray((folder / ADAPTER_WEIGHTS).read_bytes())
    weights[-1] ^= 1
    (folder / ADAPTER_WEIGHTS).write_bytes(weights)
    with pytest.raises(ManifestError, match="content hash"):
        load_joy(folder)


async def cached_tokens(runtime: Runtime, prompt: list[int], adapter: str) -> int:
    """Tokens of the prompt that the engine took from its prefix cache."""
    from vllm import SamplingParams

    engine = runtime.engine
    assert isinstance(engine, VllmEngine)
    outputs = engine._engine.generate(
        {"prompt_token_ids": prompt},
        SamplingParams(max_tokens=1),
        uuid4().hex,
        lora_request=engine._lora(adapter),
    )
    return [output async for output in outputs][-1].num_cached_tokens or 0


def is_same_output(expected: GreedyOutput, found: GreedyOutput) -> bool:
    """Compare the distributions up to the first different token, which must be a near-tie.

    Without a different token the outputs must be equally long.
    """
    for token, other, here, there in zip(
        expected[0], found[0], expected[1], found[1], strict=False
    ):
        if total_variation(here, there) >= CLOSE:
            return False
        if token != other:
            return other in here and exp(here[token]) - exp(here[other]) < CLOSE
    return len(expected[0]) == len(found[0]) > 0


def total_variation(left: Mapping[int, float], right: Mapping[int, float]) -> float:
    """Total variation of two distributions, from 0 to 1.

    Differences of log-probabilities would not do: for a token of 1e-5 they are rounding only.
    """
    tokens = left.keys() | right.keys()
    return sum(abs(exp(left.get(one, -inf)) - exp(right.get(one, -inf))) for one in tokens) / 2


def load_joy(folder: Path) -> Adapter:
    return load_adapter(folder, materialize(CONFIG.base).sha256, PROMPT_VERSION)


def load_scaled_joy(folder: Path, factor: float) -> Adapter:
    """The joy adapter with its B matrices scaled and a matching manifest."""
    write_scaled_joy(folder, factor)
    return load_joy(folder)
