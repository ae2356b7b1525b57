"""The vLLM engine with the shipped adapters: each changes the output, and mixed in one batch each row gets what it gets alone."""

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

from load.chaos.modified_adapters import changed_adapter, fear_as_joy, scaled_joy
from models.emotions import LABELS, Emotion
from models.errors import ArtifactError, ManifestError
from models.lora_layout import base_layers
from models.manifest import ADAPTER_WEIGHTS, ARTIFACTS, Adapter, load_adapter
from models.prompt import PROMPT_VERSION, PromptEncoder, Turn
from models.weights.cache import materialize
from serve.config import ResponderConfig, TracingConfig
from serve.engine.protocol import Sampling
from serve.engine.vllm_args import CPU_BLOCK_TOKENS
from serve.engine.vllm_engine import VllmEngine
from serve.responder.replica import Ask, Responder
from serve.adapters.validation import admit
from serve.responder.runtime import Backend, open_backend
from support.engine_probes import (
    GreedyOutput,
    generate_greedy,
    generate_greedy_tokens,
    generate_without_adapter,
)
from support.otlp_collector import Collector, run_collector

pytestmark = pytest.mark.asyncio(loop_scope="module")
MESSAGES = ("My flatmate used my toothbrush.", "They moved the meeting to Friday.", "I found a letter in the attic.")
CONFIG = ResponderConfig()
CLOSE = 0.06  # total variation; bf16 sums in another order when the batch is larger, by one or two steps of 0.125 in a logit


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    """Gets the engine's traces. The engine leaves its traces' settings in this process."""
    with run_collector() as collector, patch.dict(os.environ):
        yield collector


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def backend(collector: Collector) -> AsyncIterator[Backend]:
    opened = await open_backend(CONFIG, TracingConfig(endpoint=collector.endpoint))
    yield opened
    await opened.engine.stop()
    trace.get_tracer_provider().shutdown()  # type: ignore[attr-defined]


async def test_the_limits_leave_a_slot_for_the_bare_base(backend: Backend) -> None:
    assert backend.limits.max_loras == len(LABELS) + 3
    assert set(backend.aliases) == set(LABELS)


@pytest.mark.parametrize("persona", LABELS)
async def test_each_adapter_changes_logits_and_greedy_output(backend: Backend, persona: Emotion) -> None:
    for message in MESSAGES:
        tokens, logprobs = await generate_greedy(backend, persona, message)
        base_tokens, base_logprobs = await generate_without_adapter(backend, persona, message)
        assert total_variation(logprobs[0], base_logprobs[0]) > 4 * CLOSE
        assert tokens != base_tokens


async def test_a_mixed_batch_gives_each_row_what_it_gets_alone(backend: Backend) -> None:
    rows = [(persona, message) for message in MESSAGES for persona in (*LABELS, None)]
    alone = [await generate_greedy(backend, persona, message) for persona, message in rows]
    mixed = await asyncio.gather(*(generate_greedy(backend, persona, message) for persona, message in rows))
    for row, expected, found in zip(rows, alone, mixed, strict=True):
        assert same_answer(expected, found), row


async def test_rows_without_an_adapter_are_the_base_s_when_every_place_is_taken(backend: Backend, tmp_path: Path) -> None:
    """Stock vLLM on a CPU gives them the last slot's adapter, so this shows that our LoRA operator is active."""
    free = backend.limits.max_loras - len(backend.engine.stats().adapters)
    added = [changed_joy(tmp_path / str(number), factor=1 + number / 8) for number in range(1, free + 1)]
    for adapter in added:
        await backend.engine.load(adapter)
    alone = [await generate_greedy(backend, None, message) for message in MESSAGES]
    personas = (generate_greedy(backend, persona, message) for persona in LABELS for message in MESSAGES)
    mixed = await asyncio.gather(*(generate_greedy(backend, None, message) for message in MESSAGES), *personas)
    for adapter in added:
        await backend.engine.unload(adapter.manifest.versioned_name)
    for message, expected, found in zip(MESSAGES, alone, mixed, strict=False):
        assert same_answer(expected, found), message


async def test_the_comparison_tells_personas_apart(backend: Backend) -> None:
    """Otherwise agreeing by it would show nothing."""
    answers = [await generate_greedy(backend, persona, MESSAGES[0]) for persona in (*LABELS, None)]
    assert not any(same_answer(one, other) for one in answers for other in answers if one is not other)


@pytest.mark.parametrize("persona", [Emotion.JOY, None])
async def test_an_answer_has_the_length_that_a_load_test_asks_for(backend: Backend, persona: Emotion | None) -> None:
    """Neither `<eos>` nor the end of the line ends it, nor does anything before `min_tokens`."""
    drawing = {"top_k": 40, "min_p": 0.01, "frequency_penalty": 0.1, "presence_penalty": 0.1, "repetition_penalty": 1.1, "seed": 1}
    for sampling in (Sampling(80, ignore_eos=True, **drawing), Sampling(80, min_tokens=80)):  # type: ignore[arg-type]
        ask = Ask(f"long-{persona}-{sampling.ignore_eos}", persona, (Turn("user", "Hm."),), sampling, 60)
        pieces = [piece async for piece in Responder(CONFIG, backend).respond(ask)]
        assert (pieces[-1].completion_tokens, pieces[-1].finish_reason) == (80, "length")


async def written(backend: Backend, prompt: list[int], sampling: Sampling) -> tuple[str, str | None]:
    deltas = [delta async for delta in backend.engine.generate(uuid4().hex, prompt, backend.aliases[Emotion.JOY], sampling)]
    return "".join(delta.text for delta in deltas), deltas[-1].finish_reason


async def test_an_answer_is_the_text_of_its_tokens_and_ends_before_a_stop_string(backend: Backend) -> None:
    """vLLM has no tokenizer of its own."""
    assert isinstance(backend.encoder, PromptEncoder)
    prompt = backend.encoder.prompt("Joy", [Turn("user", "I found a letter in the attic 💌.")])
    ids, _ = await generate_greedy_tokens(backend, prompt, backend.aliases[Emotion.JOY], 24)
    whole = backend.encoder.text(ids)
    assert len(whole.split()) > 8
    assert (await written(backend, prompt, Sampling(24, temperature=0)))[0] == whole
    stop = whole[len(whole) // 2 :][:6]
    assert await written(backend, prompt, Sampling(24, temperature=0, stop=(stop,))) == (whole[: whole.index(stop)], "stop")


async def test_closing_a_stream_ends_the_generation(backend: Backend) -> None:
    responder = Responder(CONFIG, backend)
    ask = Ask("left", Emotion.JOY, (Turn("user", "Tell me everything."),), Sampling(max_tokens=200, temperature=2.0), 60)
    async with aclosing(responder.respond(ask)) as pieces:
        await anext(pieces)
    await asyncio.sleep(0.5)
    assert backend.engine.stats().running == 0
    assert backend.engine._engine.get_num_unfinished_requests() == 0  # type: ignore[attr-defined]


async def test_the_engines_own_span_is_part_of_the_requests_trace(backend: Backend, collector: Collector) -> None:
    responder = Responder(CONFIG, backend, tracing=TracingConfig(endpoint=collector.endpoint))
    incoming = {"traceparent": f"00-{'a' * 32}-{'b' * 16}-01"}
    ask = Ask("traced", Emotion.JOY, (Turn("user", "A secret of mine."),), Sampling(max_tokens=8), 60, incoming)
    pieces = [piece async for piece in responder.respond(ask)]
    spans = await asyncio.to_thread(collector.wait_for, "generate", "llm_request", trace="a" * 32)
    assert (spans["generate"].parent, spans["llm_request"].parent) == ("b" * 16, spans["generate"].id)
    assert spans["llm_request"].attributes["gen_ai.usage.completion_tokens"] == pieces[-1].completion_tokens
    sent = b"".join(collector.bodies)
    assert b"A secret of mine." not in sent
    assert "".join(piece.text for piece in pieces).encode() not in sent


async def test_an_adapter_that_changes_nothing_is_refused(backend: Backend, tmp_path: Path) -> None:
    """As a mis-prefixed one does: the engine loads it and would answer as the base, without an error."""
    adapter = changed_joy(tmp_path, factor=0.0)
    with pytest.raises(ArtifactError, match=f"{adapter.manifest.versioned_name} changes nothing"):
        await admit(backend.engine, backend.encoder, adapter, backend.limits.max_lora_rank)
    assert adapter.manifest.versioned_name not in backend.engine.stats().adapters


async def test_an_adapter_of_nan_is_refused_and_spoils_no_answer(backend: Backend, tmp_path: Path) -> None:
    """What it left in the engine's cache is not a number either, and its place there goes to others."""
    asked = [(persona, MESSAGES[0]) for persona in (*LABELS, None)]
    before = await asyncio.gather(*(generate_greedy(backend, *one) for one in asked))
    adapter = changed_joy(tmp_path, factor=nan)
    answering = [asyncio.create_task(generate_greedy(backend, *one)) for one in asked]
    with pytest.raises(ArtifactError, match=f"{adapter.manifest.versioned_name} gives no numbers"):
        await admit(backend.engine, backend.encoder, adapter, backend.limits.max_lora_rank)
    assert adapter.manifest.versioned_name not in backend.engine.stats().adapters
    during = await asyncio.gather(*answering)
    await backend.engine._engine.reset_prefix_cache()  # type: ignore[attr-defined]
    after = await asyncio.gather(*(generate_greedy(backend, *one) for one in asked))
    for one, first, second, third in zip(asked, before, during, after, strict=True):
        assert same_answer(first, second), one
        assert same_answer(first, third), one


async def test_what_the_engine_itself_refuses_is_refused_by_name_and_takes_no_place(backend: Backend, tmp_path: Path) -> None:
    """An adapter for a wider base, past the checks of its files. vLLM says so with a plain Exception."""
    manifest = changed_adapter(tmp_path / "joy", Emotion.JOY, lambda name, tensor: torch.cat([tensor, tensor], int("lora_A" in name)))
    adapter, before, base = Adapter(manifest, tmp_path / "joy"), backend.engine.stats().adapters, materialize(CONFIG.base)
    with pytest.raises(ManifestError, match=r"joy: tensor .* has size 4096, expected 2048"):
        load_adapter(adapter.folder, base.sha256, PROMPT_VERSION, base_layers(base.folder))
    for _ in range(backend.limits.max_loras):
        with pytest.raises(ArtifactError, match=f"the engine refused {manifest.versioned_name}: .*size of tensor"):
            await backend.engine.load(adapter)
    assert backend.engine.stats().adapters == before
    assert set(await backend.engine._engine.list_loras()) == resident_ids(backend)  # type: ignore[attr-defined]
    assert (await generate_greedy(backend, Emotion.JOY, MESSAGES[0]))[0]


def resident_ids(backend: Backend) -> set[int]:
    assert isinstance(backend.engine, VllmEngine)
    return {request.lora_int_id for request in backend.engine._adapters.values()}


async def test_a_new_version_is_resident_beside_the_old_one(backend: Backend, tmp_path: Path) -> None:
    adapter = changed_joy(tmp_path, factor=0.5)
    await admit(backend.engine, backend.encoder, adapter, backend.limits.max_lora_rank)
    assert {adapter.manifest.versioned_name, backend.aliases[Emotion.JOY]} <= set(backend.engine.stats().adapters)
    await backend.engine.unload(adapter.manifest.versioned_name)


async def test_after_a_swap_no_cached_prefix_of_the_version_before_is_used(backend: Backend, tmp_path: Path) -> None:
    """Fear's weights are published as joy's next version. Its answer to a long prompt is that of fear, which never saw the prompt."""
    old, fear = backend.aliases[Emotion.JOY], backend.aliases[Emotion.FEAR]
    prompt = backend.encoder.prompt("Joy", [Turn("user", " ".join(MESSAGES * 24))])
    fear_as_joy(tmp_path / "joy")
    adapter = load_adapter(tmp_path / "joy", materialize(CONFIG.base).sha256, PROMPT_VERSION)
    await admit(backend.engine, backend.encoder, adapter, backend.limits.max_lora_rank)
    new = adapter.manifest.versioned_name
    try:
        assert await cached_tokens(backend, prompt, old) == 0
        assert await cached_tokens(backend, prompt, old) > len(prompt) / 2, "the cache was to be warm"
        assert await cached_tokens(backend, prompt, new) == 0
        before, after = [(await generate_greedy_tokens(backend, prompt, name, 8)) for name in (old, new)]
        cold = await generate_greedy_tokens(backend, prompt, fear, 8)
        assert same_answer(cold, after)
        assert not same_answer(before, after)
        assert total_variation(before[1][0], after[1][0]) > 2 * CLOSE
    finally:
        await backend.engine.unload(new)


async def test_the_next_message_of_a_short_conversation_finds_what_was_said_before(backend: Backend) -> None:
    """vLLM's own blocks for a CPU, of 128 tokens, are longer than this."""
    turns = [Turn("user", " ".join(MESSAGES)), Turn("assistant", "And what did she say, when she saw you there?")]
    earlier = backend.encoder.prompt("Joy", turns[:1])
    prompt = backend.encoder.prompt("Joy", [*turns, Turn("user", "Nothing, she only laughed.")])
    assert await cached_tokens(backend, earlier, backend.aliases[Emotion.JOY]) == 0
    assert len(earlier) - CPU_BLOCK_TOKENS < await cached_tokens(backend, prompt, backend.aliases[Emotion.JOY]) <= len(earlier) < 128


async def test_a_shipped_adapter_with_one_byte_changed_is_refused(tmp_path: Path) -> None:
    folder = shutil.copytree(ARTIFACTS / "adapters" / "joy", tmp_path / "joy")
    weights = bytearray((folder / ADAPTER_WEIGHTS).read_bytes())
    weights[-1] ^= 1
    (folder / ADAPTER_WEIGHTS).write_bytes(weights)
    with pytest.raises(ManifestError, match="joy: content hash"):
        load_adapter(folder, materialize(CONFIG.base).sha256, PROMPT_VERSION)


async def cached_tokens(backend: Backend, prompt: list[int], adapter: str) -> int:
    """How many of the prompt's tokens the engine did not compute."""
    from vllm import SamplingParams

    engine = backend.engine
    assert isinstance(engine, VllmEngine)
    lora, params = engine._lora(adapter), SamplingParams(max_tokens=1)
    request = engine._engine.generate({"prompt_token_ids": prompt}, params, uuid4().hex, lora_request=lora)
    return [output async for output in request][-1].num_cached_tokens or 0


def same_answer(expected: GreedyOutput, found: GreedyOutput) -> bool:
    """Distributions agree at every position up to the first other token, and that one is a near-tie."""
    for token, other, here, there in zip(expected[0], found[0], expected[1], found[1], strict=False):
        if total_variation(here, there) >= CLOSE:
            return False
        if token != other:
            return other in here and exp(here[token]) - exp(here[other]) < CLOSE
    return True


def total_variation(left: Mapping[int, float], right: Mapping[int, float]) -> float:
    """Of two distributions, between 0 and 1. Not a difference of log-probabilities: that of a token of 1e-5 is all rounding."""
    return sum(abs(exp(left.get(token, -inf)) - exp(right.get(token, -inf))) for token in left.keys() | right.keys()) / 2


def changed_joy(tmp_path: Path, factor: float) -> Adapter:
    """The joy adapter with its B matrices scaled, and a true manifest."""
    scaled_joy(tmp_path / "joy", factor)
    return load_adapter(tmp_path / "joy", materialize(CONFIG.base).sha256, PROMPT_VERSION)
