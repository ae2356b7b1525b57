"""Flow of one message: classify, choose the persona, answer. It does not know of HTTP.

emotion (before any text) -> text, text, ... -> done
                          -> safety -> text -> done, for harm whose words the policy fixes
                          -> safety -> text, text, ..., a line about help -> done, where a persona
                             may answer a concern
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from models.emotions import LABELS, Emotion
from models.safety.levels import Level
from serve.detector.protocol import Detection, Input
from serve.engine.protocol import Sampling, TextChunk
from serve.errors import EngineError
from serve.pipeline.answer import Answer, AnswerWriter, chosen_emotion, detected_emotion
from serve.pipeline.messages import Message
from serve.pipeline.safety import concern_line, concern_reply, crisis_reply, policy
from serve.responder.generator import Generation
from serve.responder.mix import AS_TRAINED, Mix, mix_of
from serve.responder.protocol import GenerationRequest
from serve.telemetry.tracing import Carrier

Classify = Callable[[Sequence[Input], Carrier], Awaitable[list[Detection]]]


class TextGenerator(Protocol):
    """Generator of the text of an answer."""

    async def generate(self, request: GenerationRequest) -> Generation:
        """Start a text, which has to be closed."""
        ...


@dataclass(frozen=True, slots=True)
class Rules:
    """Settings of the flow.

    Attributes:
        safety: whether the detector checks for harm.
        auto_blend_below: the two likeliest emotions answer together if the first scores less.
    """

    safety: bool = True
    auto_blend_below: float | None = None


async def respond(
    answer: Answer, writer: AnswerWriter, classify: Classify, generator: TextGenerator, rules: Rules
) -> None:
    """Answer a message. Cancelling it ends the generation in the engine.

    Args:
        answer: is filled on the way.
        writer: is told after each step.
        classify: returns a detection of each conversation.
        generator: generates the text.
        rules: settings.

    Raises:
        EngineError: the generation failed, or ended without a finish reason.
    """
    message = answer.message
    answer.timer.mark("queue")
    if rules.safety or _needs_emotion(message):
        [detection] = await classify([message.turns], answer.trace)
        _set_emotion_safety_persona(answer, detection)
        answer.timer.mark("detect")
    else:
        _set_emotion_safety_persona(answer, None)
    words = _fixed_words(answer)
    if words is None:
        # Before anything is written, so that a prompt that is too long is an ordinary HTTP error.
        generation = await generator.generate(_generation_request(answer, rules))
        await _generate(answer, writer, generation)
    else:
        await _write_words(answer, writer, words)
    if answer.finish_reason is None:  # never a clean end for half an answer
        raise EngineError("the engine ended the answer without a reason")
    await writer.done(answer)


def _needs_emotion(message: Message) -> bool:
    """Return whether a detection of the emotion is needed."""
    return not (message.base_model or message.persona in LABELS)


def _set_emotion_safety_persona(answer: Answer, detection: Detection | None) -> None:
    """Set emotion, safety and persona. The emotion is the one chosen, or that of the last turn."""
    message = answer.message
    answer.safety = detection.finding if detection else None
    answer.complete = detection.complete if detection else True
    if message.persona in LABELS:
        answer.emotion = chosen_emotion(Emotion(message.persona))
    elif detection and not message.base_model:
        answer.emotion = detected_emotion(detection)
    answer.persona = _persona(answer)


def _fixed_words(answer: Answer) -> str | None:
    """Return the policy's words for the message, or None if a model answers."""
    if answer.safety is None:
        return None
    region = answer.message.context.region
    if answer.safety.level is Level.CRISIS:
        assert answer.safety.category  # noqa: S101 (every crisis has one)
        return crisis_reply(answer.safety.category, region)
    if not policy().concern.words:
        return None
    return concern_reply(sum(turn.role == "user" for turn in answer.message.turns), region)


def _persona(answer: Answer) -> str | None:
    """Return who answers: the policy's persona, the one chosen, or that of the emotion."""
    if answer.safety:
        crisis = answer.safety.level is Level.CRISIS
        return None if crisis else policy().concern.persona
    if answer.emotion is None:
        return None
    return answer.message.persona or answer.emotion.label


async def _write_findings(answer: Answer, writer: AnswerWriter) -> None:
    await writer.emotion(answer)
    if answer.safety:
        await writer.safety(answer)


async def _write_words(answer: Answer, writer: AnswerWriter, words: str) -> None:
    await _write_findings(answer, writer)
    answer.add(TextChunk(words, 0))
    await writer.text(answer, words)
    answer.finish("stop")


def _generation_request(answer: Answer, rules: Rules) -> GenerationRequest:
    message = answer.message
    request_id = message.context.request_id
    sampling = _gentle(message.sampling) if answer.safety else message.sampling
    mix, fallback = _mixes(answer, rules)
    return GenerationRequest(
        request_id,
        answer.persona,
        message.turns,
        sampling,
        answer.trace,
        mix,
        message.user,
        fallback,
    )


def _mixes(answer: Answer, rules: Rules) -> tuple[Mix | None, Mix | None]:
    """Return the weights of the adapters, and those to use if they cannot be mixed.

    An answer to harm is neither blended nor amplified. Only a blend that the client has not asked
    for has a fallback.
    """
    message = answer.message
    if answer.persona is None:
        return None, None
    alone = {answer.persona: 1.0}
    if answer.safety:
        return mix_of(alone, min(message.intensity, AS_TRAINED)), None
    if not message.blend and (likeliest := _likeliest_two(answer, rules)):
        return mix_of(likeliest, message.intensity), mix_of(alone, message.intensity)
    return mix_of(message.blend or alone, message.intensity), None


def _likeliest_two(answer: Answer, rules: Rules) -> dict[str, float]:
    """Return the two likeliest emotions if neither is likely enough to answer alone."""
    below, emotion = rules.auto_blend_below, answer.emotion
    if answer.message.persona or below is None or emotion is None or emotion.score >= below:
        return {}
    ranked = sorted(emotion.scores, key=lambda label: emotion.scores[label], reverse=True)
    return {str(label): emotion.scores[label] for label in ranked[:2]}


async def _generate(answer: Answer, writer: AnswerWriter, generation: Generation) -> None:
    try:
        await _write_findings(answer, writer)
        answer.adapter = generation.adapter
        answer.mix = generation.mix
        answer.prompt_tokens = generation.prompt_tokens
        async for chunk in generation.chunks:
            if chunk.finish_reason:
                chunk = _with_last_line(answer, chunk)
            answer.add(chunk)
            if chunk.finish_reason:
                answer.finish(chunk.finish_reason)
            if chunk.text:
                await writer.text(answer, chunk.text)
    finally:
        await generation.close()


def _gentle(sampling: Sampling) -> Sampling:
    """Return the sampling of an answer to a message of concern."""
    return replace(sampling, temperature=min(sampling.temperature, policy().concern.temperature))


def _with_last_line(answer: Answer, chunk: TextChunk) -> TextChunk:
    """Add to the last chunk that help exists, if the message is one of concern."""
    if answer.safety is None:
        return chunk
    line = concern_line(answer.message.context.region)
    return replace(chunk, text=f"{chunk.text.rstrip()}\n\n{line}")
