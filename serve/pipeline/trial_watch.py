"""Observer of the answers of versions that are compared: counts, and the emotion of a sample.

One answer of each conversation counts, because the others depend on it. What a client's own limits
cause is no fault of a version. The detector reads an answer after its client has it, behind all
other texts. It reads at most one at a time, and none under load. Only counts are kept.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager

from models.emotions import LABELS, Emotion
from models.generation import DEFAULT_MAX_TOKENS
from serve.adapters.tally import Tally
from serve.adapters.trial import conversation_of
from serve.detector.protocol import Detection, Input, Priority
from serve.errors import DeadlineExceeded, NotReady
from serve.pipeline.answer import Answer, emotion_scores
from serve.pipeline.messages import RequestContext
from serve.pipeline.request_metrics import outcome_of
from serve.responder.trial_tallies import TrialTallies
from serve.telemetry.tracing import Carrier

log = logging.getLogger(__name__)
CLASSIFY_TIMEOUT_S = 5.0
Classify = Callable[[Sequence[Input], Carrier, Priority], Awaitable[list[Detection]]]


class TrialWatch:
    """Counts the answers of one replica."""

    def __init__(
        self,
        tallies: TrialTallies,
        classify: Classify,
        share: float,
        timeout_s: float,
        is_busy: Callable[[], bool],
    ) -> None:
        """Count into `tallies`.

        Args:
            tallies: counts of the versions that are compared.
            classify: returns the detector's opinions.
            share: of the answers that are classified.
            timeout_s: of a request whose client names none.
            is_busy: tells whether there is load.
        """
        self._tallies = tallies
        self._classify = classify
        self._share = share
        self._timeout_s = timeout_s
        self._is_busy = is_busy
        self._reading: asyncio.Task[None] | None = None

    @contextmanager
    def answer(self, answer: Answer) -> Iterator[None]:
        """Count an answer when the block ends, unless its client or the server ended it."""
        try:
            yield
        except BaseException as error:
            if self._is_fault(error, answer.message.context):
                self._count(answer, Tally.error())
            raise
        if self._count(answer, _tally_of(answer)):
            self._sample(answer)

    def close(self) -> None:
        """Stop reading."""
        if self._reading:
            self._reading.cancel()

    def _is_fault(self, error: BaseException, context: RequestContext) -> bool:
        """Return whether a version may have caused an error."""
        if isinstance(error, DeadlineExceeded):
            return round(context.deadline_s - context.began_s, 3) >= self._timeout_s
        return outcome_of(error) == "failed" and not isinstance(error, NotReady)

    def _count(self, answer: Answer, tally: Tally) -> bool:
        """Count an ordinary answer, and return whether it is the first of its conversation."""
        if answer.adapter is None or answer.safety:
            return False
        conversation = conversation_of(answer.message.user, answer.message.turns)
        return self._tallies.count(answer.adapter, conversation, tally)

    def _sample(self, answer: Answer) -> None:
        reading = self._reading is not None and not self._reading.done()
        if reading or answer.persona not in LABELS or self._is_busy():
            return
        if answer.text and random.random() < self._share:
            self._reading = asyncio.create_task(self._read(answer, Emotion(answer.persona)))

    async def _read(self, answer: Answer, expected: Emotion) -> None:
        """Classify an answer and count the result. Whatever fails, one answer less is counted."""
        assert answer.adapter is not None  # noqa: S101 (it was counted)
        try:
            async with asyncio.timeout(CLASSIFY_TIMEOUT_S):
                [found] = await self._classify([answer.text], answer.trace, Priority.SPARE)
        except Exception as error:  # noqa: BLE001 (no caller waits for it)
            log.info("an answer of %s was not classified: %s", answer.adapter, type(error).__name__)
            return
        if found.reliable:
            other = emotion_scores(found.scores).label is not expected
            self._tallies.add(answer.adapter, Tally.emotion(other))


def _tally_of(answer: Answer) -> Tally:
    sampling = answer.message.sampling
    if sampling.ignore_eos or sampling.max_tokens < DEFAULT_MAX_TOKENS:
        return Tally.limited_answer()
    return Tally.answer(answer.completion_tokens, answer.finish_reason == "length")
