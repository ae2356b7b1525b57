"""Legacy completions: the reply, and the chunks of a stream."""

import json
from typing import Any

from serve.api.openai.logprobs import completion_logprobs
from serve.api.openai.requests import CompletionRequest
from serve.api.openai.shared import emotion, head, safety, usage, written
from serve.api.problem_details import Problem, openai_error
from serve.api.sse import EventStream
from serve.pipeline.answer import Answer

KIND = "text_completion"


def completion_reply(answer: Answer, body: CompletionRequest) -> dict[str, Any]:
    """Return a completion."""
    asked = body.logprobs is not None
    choice = {
        "index": 0,
        "text": answer.text,
        "finish_reason": answer.finish_reason,
        "logprobs": completion_logprobs(answer.logprobs) if asked else None,
    }
    return {
        **head(answer, body.model, KIND),
        "choices": [choice],
        "usage": usage(answer),
        "system_fingerprint": answer.adapter,
        **emotion(answer),
        **written(answer),
        **safety(answer),
    }


class CompletionWriter:
    """Writer of completion chunks. The first one has the emotion and no text."""

    def __init__(self, body: CompletionRequest, stream: EventStream) -> None:
        """Write to `stream` what `body` asks for."""
        self._stream = stream
        self._model = body.model
        self._logprobs = body.logprobs is not None
        self._logprobs_sent = 0
        self._offset = 0
        self._options = body.stream_options
        self._head: dict[str, Any] = {}

    async def emotion(self, answer: Answer) -> None:
        """Start the stream with the emotion."""
        self._head = head(answer, self._model, KIND)
        await self._stream.start(answer)
        extra = {} if answer.message.base_model else emotion(answer)
        await self._chunk(answer, "", extra=extra)

    async def safety(self, answer: Answer) -> None:
        """Write what the safety check found."""
        await self._chunk(answer, "", extra=safety(answer))

    async def text(self, answer: Answer, text: str) -> None:
        """Write a part of the text."""
        await self._chunk(answer, text, {"logprobs": self._new_logprobs(answer)})

    async def done(self, answer: Answer) -> None:
        """Write the finish reason, the usage if asked for, and the end."""
        choice = {
            "finish_reason": answer.finish_reason,
            "logprobs": self._new_logprobs(answer),
        }
        last = {"system_fingerprint": answer.adapter, "complete": answer.complete}
        await self._chunk(answer, "", choice, last | written(answer))
        if self._options.include_usage:
            await self._stream.send(
                json.dumps(self._head | {"choices": [], "usage": usage(answer)})
            )
        await self._stream.send("[DONE]")

    async def error(self, problem: Problem) -> None:
        """Write an error and the end."""
        await self._stream.send(json.dumps(openai_error(problem)))
        await self._stream.send("[DONE]")

    def _new_logprobs(self, answer: Answer) -> dict[str, Any] | None:
        """Return those of the tokens that no chunk has reported."""
        new = answer.logprobs[self._logprobs_sent :] if self._logprobs else []
        if not new:
            return None
        found = completion_logprobs(new, self._offset)
        self._logprobs_sent += len(new)
        self._offset += sum(len(token.text) for token in new)
        return found

    async def _chunk(
        self,
        answer: Answer,
        text: str,
        choice: dict[str, Any] | None = None,
        extra: dict[str, Any] | None = None,
    ) -> None:
        first = {"index": 0, "text": text, "finish_reason": None, "logprobs": None}
        used = {"usage": usage(answer)} if self._options.usage_so_far else {}
        chunk = self._head | (extra or {}) | {"choices": [first | (choice or {})]} | used
        await self._stream.send(json.dumps(chunk, ensure_ascii=False))
