"""Flow of one message: classify, choose the persona, answer. It does not know of HTTP.

emotion (before any text) -> text, text, ... -> done
                          -> safety -> text -> done, if the message speaks of harm
"""

from collections.abc import Awaitable, Callable
from contextlib import aclosing

from models.emotions import LABELS, Emotion
from serve.detector.protocol import Detection
from serve.engine.protocol import TextChunk
from serve.pipeline.answer import Answer, AnswerWriter, chosen_emotion, emotion_scores
from serve.pipeline.messages import Message
from serve.pipeline.safety import safety_reply
from serve.responder.generator import Generation, Generator
from serve.responder.protocol import GenerationRequest
from serve.tracing import Carrier

TURNS_CHECKED = 4  # last turns of the user; harm in any of them concerns the whole answer
Classify = Callable[[list[str], Carrier], Awaitable[list[Detection]]]


async def respond(
    answer: Answer, writer: AnswerWriter, classify: Classify, generator: Generator, safety: bool
) -> None:
    """Answer a message. Cancelling it ends the generation in the engine.

    Args:
        answer: is filled on the way.
        writer: is told after each step.
        classify: returns a detection of each text.
        generator: generates the text.
        safety: whether the detector checks for harm.
    """
    message = answer.message
    answer.timer.mark("queue")
    if safety or _needs_emotion(message):
        texts = [turn.text for turn in message.turns if turn.role == "user"][-TURNS_CHECKED:]
        _apply(answer, await classify(texts, answer.trace))
        answer.timer.mark("detect")
    elif not message.bare:
        _apply(answer, [])
    request = _generation_request(answer)
    if not answer.safety:
        # Before anything is written, so that a prompt that is too long is an ordinary HTTP error.
        await generator.check(request)
    await writer.emotion(answer)
    if answer.safety:
        await _reply_safely(answer, writer)
    else:
        await _generate(answer, writer, await generator.generate(request))
    await writer.done(answer)


def _needs_emotion(message: Message) -> bool:
    """Return whether the emotion is neither chosen by the client nor without use."""
    return not (message.bare or message.persona in LABELS)


def _apply(answer: Answer, detections: list[Detection]) -> None:
    """Set emotion, persona and safety. The emotion is the one chosen or that of the last turn."""
    message = answer.message
    answer.safety = next((found.harm for found in reversed(detections) if found.harm), None)
    if message.bare:
        return
    if message.persona in LABELS:
        answer.emotion = chosen_emotion(Emotion(message.persona))
    else:
        answer.emotion = emotion_scores(detections[-1].scores)
    if answer.safety is None:
        # Every emotion is answered by the persona of the same name, unless one was chosen.
        answer.persona = message.persona or answer.emotion.label


async def _reply_safely(answer: Answer, writer: AnswerWriter) -> None:
    assert answer.safety is not None  # noqa: S101 (the caller has checked it)
    await writer.safety(answer)
    text = safety_reply(answer.safety, answer.message.context.region)
    answer.add(TextChunk(text, 0))
    await writer.text(answer, text)
    answer.finish("stop")


def _generation_request(answer: Answer) -> GenerationRequest:
    message = answer.message
    request_id = message.context.request_id
    return GenerationRequest(
        request_id, answer.persona, message.turns, message.sampling, answer.trace
    )


async def _generate(answer: Answer, writer: AnswerWriter, generation: Generation) -> None:
    answer.adapter = generation.adapter
    answer.prompt_tokens = generation.prompt_tokens
    async with aclosing(generation.chunks) as chunks:
        async for chunk in chunks:
            answer.add(chunk)
            if chunk.finish_reason:
                answer.finish(chunk.finish_reason)
            if chunk.text:
                await writer.text(answer, chunk.text)
