"""Response object of the Responses API, while it is made and when it is complete."""

import time
from typing import Any

from serve.api.openai.logprobs import response_logprobs
from serve.api.openai.responses.request import ResponseRequest
from serve.api.openai.shared import emotion, safety, written
from serve.pipeline.answer import Answer

INCOMPLETE = {"length": "max_output_tokens"}


def response_object(answer: Answer, body: ResponseRequest) -> dict[str, Any]:
    """Return a complete response."""
    reason = INCOMPLETE.get(answer.finish_reason or "")
    status = "incomplete" if reason else "completed"
    return response_head(answer, body, status) | {
        "incomplete_details": {"reason": reason} if reason else None,
        "output": [output_message(answer, status)],
        "usage": _usage(answer),
    }


def response_head(answer: Answer, body: ResponseRequest, status: str) -> dict[str, Any]:
    """Return a response without output."""
    sampling = answer.message.sampling
    return {
        "id": answer.message.context.request_id,
        "object": "response",
        "created_at": int(time.time()),
        "status": status,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "max_output_tokens": sampling.max_tokens,
        "model": body.model,
        "output": [],
        "parallel_tool_calls": False,
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None},
        "store": False,
        "temperature": sampling.temperature,
        "text": {"format": {"type": "text"}},
        "tool_choice": body.tool_choice,
        "tools": [],
        "top_logprobs": sampling.logprobs or 0,
        "top_p": sampling.top_p,
        "truncation": "disabled",
        "usage": None,
        "user": body.user,
        "metadata": body.metadata,
        **emotion(answer),
        **written(answer),
        **safety(answer),
    }


def output_message(answer: Answer, status: str) -> dict[str, Any]:
    """Return the message of the assistant."""
    started = status == "in_progress"
    return {
        "id": message_id(answer),
        "type": "message",
        "role": "assistant",
        "status": status,
        "content": [] if started else [output_text(answer)],
    }


def output_text(answer: Answer) -> dict[str, Any]:
    """Return the text with its log-probabilities."""
    return {
        "type": "output_text",
        "text": answer.text,
        "annotations": [],
        "logprobs": response_logprobs(answer.logprobs),
    }


def message_id(answer: Answer) -> str:
    """Return the id of the message, which follows from that of the response."""
    return "msg-" + answer.message.context.request_id.removeprefix("resp-")


def _usage(answer: Answer) -> dict[str, Any]:
    return {
        "input_tokens": answer.prompt_tokens,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": answer.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": answer.prompt_tokens + answer.completion_tokens,
    }
