"""Events of a streamed response, in the order and with the fields of OpenAI's Responses API."""

import json
from typing import Any

from serve.api.openai.logprobs import response_logprobs
from serve.api.openai.responses.reply import (
    message_id,
    output_message,
    output_text,
    response_head,
    response_object,
)
from serve.api.openai.responses.request import ResponseRequest
from serve.api.problem_details import Problem, openai_error
from serve.api.sse import EventStream
from serve.pipeline.answer import Answer

IN_PROGRESS = "in_progress"


class ResponseWriter:
    """Writer of the events. The first one has the emotion."""

    def __init__(self, body: ResponseRequest, stream: EventStream) -> None:
        """Write to `stream` what `body` asks for."""
        self._stream = stream
        self._body = body
        self._number = 0
        self._logprobs_sent = 0
        self._head: dict[str, Any] = {}
        self._place: dict[str, Any] = {}

    async def emotion(self, answer: Answer) -> None:
        """Start the stream with the emotion and an empty message."""
        self._head = response_head(answer, self._body, IN_PROGRESS)
        self._place = {"item_id": message_id(answer), "output_index": 0, "content_index": 0}
        await self._stream.start(answer)
        await self._send("response.created", response=self._head)
        await self._send("response.in_progress", response=self._head)
        item = output_message(answer, IN_PROGRESS)
        await self._send("response.output_item.added", output_index=0, item=item)
        part = output_text(answer)
        await self._send("response.content_part.added", **self._place, part=part)

    async def safety(self, answer: Answer) -> None:
        """Do nothing: the first and the last event say what the safety check found."""

    async def text(self, answer: Answer, text: str) -> None:
        """Write a part of the text."""
        logprobs = self._new_logprobs(answer)
        await self._send("response.output_text.delta", **self._place, delta=text, logprobs=logprobs)

    async def done(self, answer: Answer) -> None:
        """Write the whole text, the message and the response."""
        text = output_text(answer)
        response = self._complete(answer)
        whole = {"text": text["text"], "logprobs": text["logprobs"]}
        await self._send("response.output_text.done", **self._place, **whole)
        await self._send("response.content_part.done", **self._place, part=text)
        [item] = response["output"]
        await self._send("response.output_item.done", output_index=0, item=item)
        await self._send(f"response.{response['status']}", response=response)

    async def error(self, problem: Problem) -> None:
        """Write an error, and that the response failed."""
        error = openai_error(problem)["error"]
        place = {"code": error["code"], "message": error["message"], "param": error["param"]}
        await self._send("error", **place)
        failure = {"code": "server_error", "message": error["message"]}
        failed = self._head | {"status": "failed", "error": failure}
        await self._send("response.failed", response=failed)

    def _complete(self, answer: Answer) -> dict[str, Any]:
        same = {name: self._head[name] for name in ("id", "created_at")}
        return response_object(answer, self._body) | same

    def _new_logprobs(self, answer: Answer) -> list[dict[str, Any]]:
        """Return those of the tokens that no event has reported."""
        new = answer.logprobs[self._logprobs_sent :]
        self._logprobs_sent += len(new)
        return response_logprobs(new)

    async def _send(self, kind: str, **fields: Any) -> None:
        event = {"type": kind, "sequence_number": self._number, **fields}
        self._number += 1
        await self._stream.send(json.dumps(event, ensure_ascii=False), kind)
