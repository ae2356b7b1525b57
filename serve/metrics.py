"""What can be seen from outside: metrics by persona and stage, and one line of log a request. Never a user, never a text.

Metrics go to Ray, which exports them in Prometheus' format on every node as `ray_fye_...`; the engine's own are there as `ray_vllm_...`.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager
from typing import Any

import structlog
from ray.serve import metrics

from serve.errors import ComeBackLater, DeadlineExceeded
from serve.pipeline.messages import Detected, Event, Finished, Flagged, Message, Said, Texts
from serve.tracing import OFF, Span

BUCKETS_MS: list[float] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000]
PARTS = {
    "queue": "from a request's first byte to its place",
    "detect": "finding the emotion",
    "first_token": "from there to the first text",
}
NOBODY = "none"  # no persona has been chosen, or none answers; or no adapter was at work
RESPOND, DETECT = "respond", "detect"  # what was called


class Telemetry:
    """The meters of one ingress replica."""

    def __init__(self) -> None:
        self._ended = Ended()
        self._tokens = counter("fye_tokens", "tokens that were read and written", ("persona", "kind"))
        self._parts_ms = {part: histogram(f"fye_{part}_ms", what, BUCKETS_MS, ("persona",)) for part, what in PARTS.items()}
        self._ttft_ms = histogram("fye_ttft_ms", "from the first byte of a request to the first text", BUCKETS_MS, ("persona",))
        self._total_ms = histogram("fye_total_ms", "from the first byte of a request to the end of its answer", BUCKETS_MS, ("persona",))
        self._tpot_ms = histogram("fye_tpot_ms", "time per output token after the first", BUCKETS_MS, ("persona",))

    async def watched(self, message: Message, events: AsyncGenerator[Event], span: Span = OFF) -> AsyncGenerator[Event]:
        """The same events; when they have ended, however that came, they are counted, and `span` ends."""
        with span, self._counted(RESPOND, message, span) as seen:
            async with aclosing(events):
                async for event in events:
                    seen.note(event)
                    yield event

    @contextmanager
    def reading(self, asked: Texts, span: Span = OFF) -> Iterator[None]:
        """Counts a request that only detects when the block ends."""
        with self._counted(DETECT, asked, span):
            yield

    @contextmanager
    def _counted(self, call: str, asked: Message | Texts, span: Span) -> Iterator["_Seen"]:
        seen, outcome = _Seen(asked.began_s), "failed"
        try:
            yield seen
            outcome = "flagged" if seen.flagged else "ok"
        except ComeBackLater:
            outcome = "refused"
            raise
        except DeadlineExceeded:
            outcome = "late"
            raise
        except (GeneratorExit, asyncio.CancelledError):
            outcome = "left" if seen.finished is None else "ok"
            raise
        finally:
            self._measure(seen)
            line = {"request_id": asked.request_id} | seen.figures()
            self._ended.note(call, outcome, asked.x_request_id, seen.persona, seen.adapter, **line)
            ids = {"x_request_id": asked.x_request_id, "outcome": outcome, "persona": seen.persona, "adapter": seen.adapter}
            span.note(**_flat(line | ids))

    def _measure(self, seen: "_Seen") -> None:
        persona = {"persona": seen.persona}
        if seen.ttft_ms is not None:
            self._ttft_ms.observe(seen.ttft_ms, tags=persona)
        if finished := seen.finished:
            for kind, count in (("prompt", finished.prompt_tokens), ("completion", finished.completion_tokens)):
                if count:  # Ray refuses to add nothing
                    self._tokens.inc(count, tags=persona | {"kind": kind})
            times = finished.timings_ms
            for part, meter in self._parts_ms.items():
                if times[part]:  # what did not happen took no time, and is no measurement
                    meter.observe(times[part], tags=persona)
            self._total_ms.observe(times["total"], tags=persona)
            if finished.completion_tokens > 1:
                self._tpot_ms.observe(times["generate"] / (finished.completion_tokens - 1), tags=persona)


class Ended:
    """Counts requests when they have ended, and writes a line of log for each."""

    def __init__(self) -> None:
        self._log = structlog.wrap_logger(
            structlog.PrintLogger(), processors=[structlog.processors.TimeStamper("iso"), structlog.processors.JSONRenderer()]
        )
        self._requests = counter("fye_requests", "requests that have ended, by how they ended", ("call", "persona", "adapter", "outcome"))

    def note(self, call: str, outcome: str, x_request_id: str, persona: str = NOBODY, adapter: str | None = None, **more: object) -> None:
        self._requests.inc(tags={"call": call, "persona": persona, "adapter": adapter or NOBODY, "outcome": outcome})
        named = {"call": call, "outcome": outcome, "x_request_id": x_request_id, "persona": persona, "adapter": adapter}
        self._log.info("request", **named, **more)


class _Seen:
    """What has passed of an answer that was asked for at `began_s` of `time.monotonic`."""

    def __init__(self, began_s: float) -> None:
        self._began_s = began_s
        self.persona, self.flagged = NOBODY, False
        self.finished: Finished | None = None
        self.ttft_ms: float | None = None

    @property
    def adapter(self) -> str | None:
        """The version that answered, as far as its last piece has told."""
        return self.finished.adapter if self.finished else None

    def figures(self) -> dict[str, Any]:
        """What an answer's end says of it."""
        if (done := self.finished) is None:
            return {}
        tokens = {"prompt_tokens": done.prompt_tokens, "completion_tokens": done.completion_tokens}
        return tokens | {"timings_ms": dict(done.timings_ms)}

    def note(self, event: Event) -> None:
        if isinstance(event, Detected):
            self.persona = str(event.persona)
        elif isinstance(event, Flagged):
            self.persona, self.flagged = NOBODY, True
        elif isinstance(event, Finished):
            self.finished = event
        elif isinstance(event, Said) and self.ttft_ms is None:
            self.ttft_ms = (time.monotonic() - self._began_s) * 1000


def _flat(line: dict[str, Any]) -> dict[str, Any]:
    """As attributes of a span, which are not nested."""
    times = line.get("timings_ms", {})
    return {name: value for name, value in line.items() if name != "timings_ms"} | {f"{part}_ms": took for part, took in times.items()}


def histogram(name: str, what: str, buckets: list[float], tags: tuple[str, ...] = ()) -> metrics.Histogram:
    return metrics.Histogram(name, what, buckets, tags)  # type: ignore[arg-type]  # as below


def counter(name: str, what: str, tags: tuple[str, ...] = ()) -> metrics.Counter:
    return metrics.Counter(name, what, tags)  # type: ignore[arg-type]  # annotated as one tag, documented as any
