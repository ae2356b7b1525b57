"""Reads an engine's own numbers, which the serving path does not need."""

import uuid

from models.emotions import Emotion
from models.personas import builtin_personas
from models.prompt import Turn
from serve.engine.vllm_engine import VllmEngine
from serve.responder.runtime import Backend
from serve.responder.voice import BASE_VOICE, voice_of

TOP = 20
Greedy = tuple[list[int], list[dict[int, float]]]  # token ids, and the `TOP` log-probabilities at each of their positions


async def greedy(backend: Backend, persona: Emotion | None, text: str, max_tokens: int = 16) -> Greedy:
    """Token ids of a greedy answer, and the `TOP` log-probabilities at each of its positions."""
    voice = voice_of(persona, backend.aliases) if persona else BASE_VOICE
    prompt = backend.encoder.prompt(voice.speaker, [Turn("user", text)])
    return await greedy_tokens(backend, prompt, voice.adapter, max_tokens)


async def bare(backend: Backend, persona: Emotion, text: str) -> Greedy:
    """The same prompt as the persona's, without its adapter."""
    prompt = backend.encoder.prompt(builtin_personas()[persona].name, [Turn("user", text)])
    return await greedy_tokens(backend, prompt, None, 16)


async def greedy_tokens(backend: Backend, prompt: list[int], adapter: str | None, max_tokens: int) -> Greedy:
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    engine = backend.engine
    assert isinstance(engine, VllmEngine)
    params = SamplingParams(max_tokens=max_tokens, temperature=0, logprobs=TOP, detokenize=False, output_kind=RequestOutputKind.FINAL_ONLY)
    request = {"prompt_token_ids": prompt}
    outputs = engine._engine.generate(request, params, uuid.uuid4().hex, lora_request=engine._lora(adapter))
    answer = [output async for output in outputs][-1].outputs[0]
    positions = [{token: entry.logprob for token, entry in position.items()} for position in answer.logprobs or []]
    return list(answer.token_ids), positions
