"""Observer of the answers of versions that are compared: counts, and the emotion of a sample.

The detector reads an answer after its client has it, behind all other texts. It reads at most one
at a time, and none under load. Only counts are kept.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager

from models.emotions import LABELS, Emotion
from serve.adapters.tally import Tally
from serve.detector.protocol import Detection, Input, Priority
from serve.pipeline.answer import Answer, emotion_scores
from serve.pipeline.request_metrics import outcome_of
from serve.responder.trial_tallies import TrialTallies
from serve.tracing import Carrier

log = logging.getLogger(__name__)
CLASSIFY_TIMEOUT_S = 5.0
ERRORS = {"failed", "deadline_exceeded"}
Classify = Callable[[Sequence[Input], Carrier, Priority], Awaitable[list[Detection]]]


class TrialWatch:
    """Counts the answers of one replica."""

    def __init__(
        self,
        tallies: TrialTallies,
        classify: Classify,
        share: float,
        is_busy: Callable[[], bool],
    ) -> None:
        """Count into `tallies`.

        Args:
            tallies: counts of the versions that are compared.
            classify: returns the detector's opinions.
            share: of the answers that are classified.
            is_busy: tells whether there is load.
        """
        self._tallies = tallies
        self._classify = classify
        self._share = share
        self._is_busy = is_busy
        self._reading: asyncio.Task[None] | None = None

    @contextmanager
    def answer(self, answer: Answer) -> Iterator[None]:
        """Count an answer when the block ends, unless its client has left."""
        try:
            yield
        except BaseException as error:
            if outcome_of(error) in ERRORS:
                self._count(answer, Tally.error())
            raise
        if self._count(answer, Tally.answer(answer.completion_tokens, _is_cut(answer))):
            self._sample(answer)

    def close(self) -> None:
        """Stop reading."""
        if self._reading:
            self._reading.cancel()

    def _count(self, answer: Answer, tally: Tally) -> bool:
        """Count an ordinary answer, and return whether its version is compared."""
        version = answer.adapter
        if version is None or answer.safety or not self._tallies.counts(version):
            return False
        self._tallies.add(version, tally)
        return True

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
        except Exception as error:  # noqa: BLE001 (nobody waits for it)
            log.info("an answer of %s was not classified: %s", answer.adapter, type(error).__name__)
            return
        if found.reliable:
            other = emotion_scores(found.scores).label is not expected
            self._tallies.add(answer.adapter, Tally.emotion(other))


def _is_cut(answer: Answer) -> bool:
    return answer.finish_reason == "length"
