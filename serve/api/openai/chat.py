"""Chat completions: the reply, and the chunks of a stream."""

import json
from typing import Any

from serve.api.openai.logprobs import chat_logprobs
from serve.api.openai.requests import ChatRequest
from serve.api.openai.shared import emotion, head, safety, usage, written
from serve.api.problem_details import Problem, openai_error
from serve.api.sse import EventStream
from serve.pipeline.answer import Answer


def chat_reply(answer: Answer, body: ChatRequest) -> dict[str, Any]:
    """Return a chat completion."""
    message = {"role": "assistant", "content": answer.text, "refusal": None}
    choice = {
        "index": 0,
        "finish_reason": answer.finish_reason,
        "message": message,
        "logprobs": chat_logprobs(answer.logprobs) if body.logprobs else None,
    }
    return {
        **head(answer, body.model, "chat.completion"),
        "choices": [choice],
        "usage": usage(answer),
        "system_fingerprint": answer.adapter,
        **emotion(answer),
        **written(answer),
        **safety(answer),
    }


class ChunkWriter:
    """Writer of chat completion chunks. The first one has the emotion and no text."""

    def __init__(self, body: ChatRequest, stream: EventStream) -> None:
        """Write to `stream` what `body` asks for."""
        self._stream = stream
        self._model = body.model
        self._logprobs = body.logprobs
        self._logprobs_sent = 0
        self._options = body.stream_options
        self._head: dict[str, Any] = {}

    async def emotion(self, answer: Answer) -> None:
        """Start the stream with the emotion."""
        self._head = head(answer, self._model, "chat.completion.chunk")
        await self._stream.start(answer)
        extra = {} if answer.message.base_model else emotion(answer)
        await self._chunk(answer, {"role": "assistant", "content": ""}, extra=extra)

    async def safety(self, answer: Answer) -> None:
        """Write what the safety check found."""
        await self._chunk(answer, {}, extra=safety(answer))

    async def text(self, answer: Answer, text: str) -> None:
        """Write a part of the text."""
        await self._chunk(answer, {"content": text}, self._new_logprobs(answer))

    async def done(self, answer: Answer) -> None:
        """Write the finish reason, the usage if asked for, and the end."""
        choice = {"finish_reason": answer.finish_reason} | self._new_logprobs(answer)
        last = {"system_fingerprint": answer.adapter, "complete": answer.complete}
        await self._chunk(answer, {}, choice, last | written(answer))
        if self._options.include_usage:
            await self._stream.send(
                json.dumps(self._head | {"choices": [], "usage": usage(answer)})
            )
        await self._stream.send("[DONE]")

    async def error(self, problem: Problem) -> None:
        """Write an error and the end."""
        await self._stream.send(json.dumps(openai_error(problem)))
        await self._stream.send("[DONE]")

    def _new_logprobs(self, answer: Answer) -> dict[str, Any]:
        """Return those of the tokens that no chunk has reported."""
        if not self._logprobs:
            return {}
        new = answer.logprobs[self._logprobs_sent :]
        self._logprobs_sent += len(new)
        return {"logprobs": chat_logprobs(new) if new else None}

    async def _chunk(
        self,
        answer: Answer,
        delta: dict[str, str],
        choice: dict[str, Any] | None = None,
        extra: dict[str, Any] | None = None,
    ) -> None:
        first = {"index": 0, "delta": delta, "finish_reason": None} | (choice or {})
        used = {"usage": usage(answer)} if self._options.usage_so_far else {}
        chunk = self._head | (extra or {}) | {"choices": [first]} | used
        await self._stream.send(json.dumps(chunk, ensure_ascii=False))
