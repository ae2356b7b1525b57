"""Generator: a conversation and a persona in, text chunks out.

GenerationRequest -> voice (adapter or instruction) -> token ids -> engine -> chunks

One engine batch mixes all personas. It does not know of detection or HTTP.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractAsyncContextManager, ExitStack, aclosing, nullcontext
from dataclasses import dataclass, field, replace

from serve.adapters.trial import conversation_of
from serve.config import ResponderConfig
from serve.engine.protocol import EngineStats, TextChunk
from serve.errors import InvalidRequest, PromptTooLong
from serve.responder.adapter_sync import AdapterSync
from serve.responder.blend_cache import BlendCache
from serve.responder.mix import Mix
from serve.responder.protocol import GenerationRequest
from serve.responder.runtime import Runtime
from serve.responder.voice import BASE_VOICE, Voice, voice_of
from serve.telemetry.tracing import Tracing

# A longer prompt is encoded in a thread. A shorter one takes a few milliseconds at most.
INLINE_CHARACTERS = 2000


@dataclass(frozen=True, slots=True)
class Generation:
    """One text that is being generated.

    Attributes:
        adapter: versioned name, or name of a blend; None if there is none.
        prompt_tokens: length of the prompt.
        chunks: of the text. With `n` above 1 each is a whole candidate.
        mix: weights that are used; None for the base model.
        held: what is kept for it, such as its adapter in the engine, until it ends.
    """

    adapter: str | None
    prompt_tokens: int
    chunks: AsyncGenerator[TextChunk]
    mix: Mix | None = None
    held: ExitStack = field(default_factory=ExitStack)

    async def close(self) -> None:
        """Abort the generation if it has not ended. Call it also if no chunk was read."""
        await self.chunks.aclose()
        self.held.close()


class Generator:
    """Generates any number of texts at once with one engine."""

    def __init__(
        self, config: ResponderConfig, runtime: Runtime, sync: AdapterSync, tracing: Tracing
    ) -> None:
        """Generate with the adapter versions that `sync` has promoted."""
        self._config = config
        self._runtime = runtime
        self._sync = sync
        self._tracing = tracing
        self._blends = BlendCache(runtime.engine, runtime.limits.max_blends)

    async def generate(self, request: GenerationRequest) -> Generation:
        """Start a text, whose adapters stay resident until it is closed or ends.

        Raises:
            InvalidRequest: the persona is not promoted any more, or the mix cannot be made.
            PromptTooLong: prompt and answer do not fit into the model's context.
        """
        voice = self._voice(request)
        with ExitStack() as kept:
            for version in _versions(voice):
                kept.enter_context(self._sync.using(version))
            prompt = await self._prompt(request, voice)
            held = kept.pop_all()
        # A persona stops at its turn's end, as its base model stops at <eos>.
        ends = () if request.sampling.ignore_eos else (voice.stop,)
        sampling = replace(request.sampling, stop=(*ends, *request.sampling.stop))
        chunks = self._chunks(replace(request, sampling=sampling), prompt, voice, held)
        return Generation(voice.adapter, len(prompt), chunks, voice.mix, held)

    def _voice(self, request: GenerationRequest) -> Voice:
        if not request.persona:
            return BASE_VOICE
        aliases = self._sync.aliases_for(conversation_of(request.user, request.turns))
        try:
            return self._checked_voice(request.persona, aliases, request.mix)
        except InvalidRequest:
            if request.fallback is None:
                raise
            return self._checked_voice(request.persona, aliases, request.fallback)

    def _checked_voice(self, persona: str, aliases: Mapping[str, str], mix: Mix | None) -> Voice:
        """Return a voice that the engine can make. Raises InvalidRequest if it cannot."""
        voice = voice_of(persona, aliases, mix)
        if not voice.parts:
            return voice
        most = self._config.blends.personas
        if not self._runtime.limits.max_blends:
            raise InvalidRequest(
                "this server mixes no adapters: leave blend out, and use intensity 0 or 1"
            )
        if len(voice.parts) > most:
            raise InvalidRequest(
                f"a blend of {len(voice.parts)} personas is too large: this server mixes up to "
                f"{most}"
            )
        self._runtime.engine.check_blend(voice.parts)
        return voice

    async def _prompt(self, request: GenerationRequest, voice: Voice) -> list[int]:
        """Encode the conversation. A text that is far too long is rejected before that."""
        encoder = self._runtime.encoder
        max_tokens = request.sampling.max_tokens
        self._check_length(encoder.fewest_tokens(request.turns), max_tokens, "more than ")
        arguments = (voice.speaker, request.turns, voice.instruction)
        if sum(len(turn.text) for turn in request.turns) <= INLINE_CHARACTERS:
            prompt = encoder.prompt(*arguments)
        else:
            prompt = await asyncio.to_thread(encoder.prompt, *arguments)
        self._check_length(len(prompt), max_tokens)
        return prompt

    def _check_length(self, prompt_tokens: int, max_tokens: int, qualifier: str = "") -> None:
        longest = self._runtime.limits.max_model_len
        if prompt_tokens + max_tokens > longest:
            raise PromptTooLong(
                # The first half is OpenAI's sentence, by which tools recognise the error.
                f"This model's maximum context length is {longest} tokens. However, the prompt has "
                f"{qualifier}{prompt_tokens} tokens and max_tokens is {max_tokens}. "
                "Shorten the messages."
            )

    async def _chunks(
        self, request: GenerationRequest, prompt: list[int], voice: Voice, held: ExitStack
    ) -> AsyncGenerator[TextChunk]:
        engine = self._runtime.engine
        adapter, sampling = voice.adapter, request.sampling
        started = False
        with held, self._tracing.span("generate", request.trace, "INTERNAL") as span:
            span.set(request_id=request.request_id, adapter=adapter, prompt_tokens=len(prompt))
            chunks = engine.generate(request.request_id, prompt, adapter, sampling, span.carrier)
            async with self._blend(voice), aclosing(chunks):
                async for chunk in chunks:
                    # A space stands between the speaker's colon and the text.
                    first = chunk if started else replace(chunk, text=chunk.text.lstrip())
                    started = sampling.n == 1 and (started or bool(first.text))
                    yield first
                    if started and chunk.finish_reason is None:
                        await self._let_tokens_join()

    def _blend(self, voice: Voice) -> AbstractAsyncContextManager[None]:
        """Make the blend of a voice, if it needs one, and keep it resident until the block ends."""
        if voice.adapter is None or not voice.parts:
            return nullcontext()
        return self._blends.using(voice.adapter, voice.parts)

    async def _let_tokens_join(self) -> None:
        """Wait before the next chunk, so that fewer and longer ones are sent under load.

        A stream costs CPU per chunk. The engine joins the tokens that it makes meanwhile.
        """
        running = self._runtime.engine.stats().running
        if running >= self._config.coalesce_from:
            wait_ms = running * self._config.coalesce_ms_per_running
            await asyncio.sleep(min(wait_ms, self._config.coalesce_max_ms) / 1000)

    def stats(self) -> EngineStats:
        """Return the engine's current load."""
        return self._runtime.engine.stats()


def _versions(voice: Voice) -> list[str | None]:
    """Return the versions that a voice needs in the engine."""
    return [version for version, _ in voice.parts] or [voice.adapter]
