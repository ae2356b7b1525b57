"""Metrics and one log line for every request. Never a user, never a text."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from models.safety.levels import Level
from serve.errors import DeadlineExceeded, RequestError, RetryLater
from serve.pipeline.answer import Answer
from serve.pipeline.messages import RequestContext
from serve.responder.voice import BLEND_PREFIX
from serve.telemetry.json_log import json_log
from serve.telemetry.metrics import BUCKETS_MS, counter, histogram
from serve.telemetry.tracing import Span

DESCRIPTIONS = {
    "queue": "From a request's first byte to its admission",
    "detect": "Classification of the message",
    "first_token": "From there to the first text",
}
NO_PERSONA = "none"  # no persona answers, or no adapter is active
ADAPTER_OFF = "off"  # the client asked for no adapter, with intensity 0
RESPOND = "respond"
DETECT = "detect"


class RequestLog:
    """Counts requests when they end, and logs one JSON line for each."""

    def __init__(self) -> None:
        """Register the counter."""
        self._log = json_log()
        tags = ("call", "persona", "adapter", "outcome")
        self._requests = counter("fye_requests", "Requests that ended, by outcome", tags)

    def record(
        self,
        call: str,
        outcome: str,
        x_request_id: str,
        persona: str | None = None,
        adapter: str | None = None,
        **more: object,
    ) -> None:
        """Record one request."""
        names = {"persona": persona or NO_PERSONA, "adapter": _adapter_tag(adapter)}
        self._requests.inc(tags={"call": call, "outcome": outcome, **names})
        line = {"call": call, "outcome": outcome, "x_request_id": x_request_id}
        self._log.info("request", **line, persona=names["persona"], adapter=adapter, **more)


class RequestMetrics:
    """Metrics of the requests of one responder replica."""

    def __init__(self) -> None:
        """Register the metrics."""
        self._log = RequestLog()
        self._tokens = counter("fye_tokens", "Tokens read and written", ("persona", "kind"))
        self._parts_ms = {
            part: histogram(f"fye_{part}_ms", description, BUCKETS_MS, ("persona",))
            for part, description in DESCRIPTIONS.items()
        }
        self._ttft_ms = _by_persona("fye_ttft_ms", "From the first byte to the first text")
        self._total_ms = _by_persona("fye_total_ms", "From the first byte to the end")
        self._tpot_ms = _by_persona("fye_tpot_ms", "Time per output token after the first")

    @contextmanager
    def answer(self, answer: Answer, span: Span) -> Iterator[None]:
        """Record an answer when the block ends, whatever its outcome, and annotate `span`."""
        outcome = "failed"
        try:
            yield
            outcome = _success(answer)
        except BaseException as error:
            complete = answer.finish_reason is not None and _left(error)
            outcome = _success(answer) if complete else outcome_of(error)
            raise
        finally:
            self._measure(answer)
            context = answer.message.context
            line = _figures(answer)
            ids = {"persona": answer.persona, "adapter": _adapter_of(answer)}
            self._log.record(RESPOND, outcome, context.x_request_id, **ids, **line)
            flat = {f"{part}_ms": took for part, took in line.pop("timings_ms", {}).items()}
            span.set(outcome=outcome, x_request_id=context.x_request_id, **ids, **line, **flat)

    @contextmanager
    def detection(self, context: RequestContext, span: Span) -> Iterator[None]:
        """Record a request that only classifies when the block ends."""
        outcome = "failed"
        try:
            yield
            outcome = "ok"
        except BaseException as error:
            outcome = outcome_of(error)
            raise
        finally:
            line = {"request_id": context.request_id}
            self._log.record(DETECT, outcome, context.x_request_id, **line)
            span.set(outcome=outcome, x_request_id=context.x_request_id, **line)

    def _measure(self, answer: Answer) -> None:
        persona = {"persona": answer.persona or NO_PERSONA}
        took_ms = ttft_ms(answer)
        if took_ms is not None:
            self._ttft_ms.observe(took_ms, tags=persona)
        if answer.finish_reason is None:
            return
        picked = answer.candidates
        counts = {
            "prompt": answer.prompt_tokens,
            "completion": answer.completion_tokens,
            "discarded": picked.discarded_tokens if picked else 0,
        }
        for kind, count in counts.items():
            if count:  # Ray's counters refuse 0
                self._tokens.inc(count, tags=persona | {"kind": kind})
        timings_ms = answer.timer.timings_ms()
        for part, meter in self._parts_ms.items():
            if timings_ms[part]:  # a part that did not happen is not a measurement
                meter.observe(timings_ms[part], tags=persona)
        self._total_ms.observe(timings_ms["total"], tags=persona)
        if answer.completion_tokens > 1 and not picked:  # a picked answer is sent at once
            tpot_ms = timings_ms["generate"] / (answer.completion_tokens - 1)
            self._tpot_ms.observe(tpot_ms, tags=persona)


def ttft_ms(answer: Answer) -> float | None:
    """Return the time from the first byte of the request to the first text, if there was one."""
    if answer.first_text_s is None:
        return None
    return (answer.first_text_s - answer.message.context.began_s) * 1000


def outcome_of(error: BaseException) -> str:
    """Return the outcome label of a request that ended with an error."""
    if isinstance(error, RetryLater):
        return "rejected"
    if isinstance(error, DeadlineExceeded):
        return "deadline_exceeded"
    if isinstance(error, RequestError):
        return "invalid"
    return "client_disconnected" if _left(error) else "failed"


def _success(answer: Answer) -> str:
    if answer.safety is None:
        return "ok"
    return "safety" if answer.safety.level is Level.CRISIS else "concern"


def _left(error: BaseException) -> bool:
    return isinstance(error, asyncio.CancelledError | GeneratorExit)


def _figures(answer: Answer) -> dict[str, Any]:
    """Return what is logged of an answer's size and times."""
    line: dict[str, Any] = {"request_id": answer.message.context.request_id}
    if answer.finish_reason is None:
        return line
    picked = answer.candidates
    chosen = {"candidates": picked.n, "critic_score": picked.score} if picked else {}
    return line | {
        "prompt_tokens": answer.prompt_tokens,
        "completion_tokens": answer.completion_tokens,
        **chosen,
        "timings_ms": answer.timer.timings_ms(),
    }


def _adapter_of(answer: Answer) -> str | None:
    """Return the version that answers. None alone would not tell a missing one from intensity 0."""
    off = answer.adapter is None and answer.message.intensity == 0
    return ADAPTER_OFF if off else answer.adapter


def _adapter_tag(adapter: str | None) -> str:
    """Return a version's name. All blends are one, since there are very many of them."""
    if adapter is not None and adapter.startswith(BLEND_PREFIX):
        return BLEND_PREFIX.rstrip("@")
    return adapter or NO_PERSONA


def _by_persona(name: str, description: str) -> Any:
    return histogram(name, description, BUCKETS_MS, ("persona",))
