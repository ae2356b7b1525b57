"""Token ids and log-probabilities of the real engine, which the serving path does not expose."""

import uuid

from models.emotions import Emotion
from models.personas import builtin_personas
from models.prompt import Turn
from serve.engine.vllm_engine import VllmEngine
from serve.responder.runtime import Runtime
from serve.responder.voice import BASE_VOICE, voice_of

TOP = 20  # log-probabilities per position
# Token ids of a reply, and the TOP log-probabilities by token id at each of its positions.
GreedyOutput = tuple[list[int], list[dict[int, float]]]


async def generate_greedy(
    runtime: Runtime, persona: Emotion | None, text: str, max_tokens: int = 16
) -> GreedyOutput:
    """Generate a persona's greedy reply, or that of the base model."""
    voice = voice_of(persona, runtime.aliases) if persona else BASE_VOICE
    prompt = runtime.encoder.prompt(voice.speaker, [Turn("user", text)])
    return await generate_greedy_tokens(runtime, prompt, voice.adapter, max_tokens)


async def generate_without_adapter(runtime: Runtime, persona: Emotion, text: str) -> GreedyOutput:
    """Generate from the persona's prompt without its adapter."""
    prompt = runtime.encoder.prompt(builtin_personas()[persona].name, [Turn("user", text)])
    return await generate_greedy_tokens(runtime, prompt, None, 16)


async def generate_greedy_tokens(
    runtime: Runtime, prompt: list[int], adapter: str | None, max_tokens: int
) -> GreedyOutput:
    """Generate greedily from the token ids of a prompt."""
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    engine = runtime.engine
    assert isinstance(engine, VllmEngine)
    params = SamplingParams(
        max_tokens=max_tokens,
        temperature=0,
        logprobs=TOP,
        detokenize=False,
        output_kind=RequestOutputKind.FINAL_ONLY,
    )
    outputs = engine._engine.generate(
        {"prompt_token_ids": prompt}, params, uuid.uuid4().hex, lora_request=engine._lora(adapter)
    )
    reply = [output async for output in outputs][-1].outputs[0]
    positions = [
        {token: entry.logprob for token, entry in position.items()}
        for position in reply.logprobs or []
    ]
    return list(reply.token_ids), positions
