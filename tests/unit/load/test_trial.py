"""What a trial says of requests: which ends are excused by a fault, and which by none."""

from load.chaos.trial import LATE_S, Fault, Trial, judged
from load.harness.outcomes import End, Outcome
from models.emotions import Emotion


async def nothing(_: object) -> str:
    return ""


HURTS, SPARES = Fault("hurts", nothing), Fault("spares", nothing, spares=True)


def outcome(end: End, status: int = 200, text: str = "") -> Outcome:
    return Outcome(emotion=Emotion.JOY, end=end, began_s=0, ended_s=1, status=status, adapter="joy@1", text=text)


def test_only_a_stream_that_had_begun_may_end_with_an_error() -> None:
    assert list(judged(HURTS, [outcome("ok"), outcome("failed_explicitly")], 1, 0)) == []
    for fault, found in [
        (HURTS, outcome("failed_explicitly", 502)),
        (HURTS, outcome("refused", 429)),
        (HURTS, outcome("lost")),
        (HURTS, outcome("wrong")),
        (HURTS, outcome("hung")),
        (SPARES, outcome("failed_explicitly")),
    ]:
        assert len(list(judged(fault, [found], 1, 0))) == 1, found
    crowds = Fault("crowds", nothing, spares=True, crowds=True)
    assert list(judged(crowds, [outcome("refused", 429)], 1, 0)) == []


def test_a_fault_that_hits_nobody_or_a_client_that_is_late_proves_nothing() -> None:
    assert list(judged(HURTS, [outcome("ok")], 0, 0)) == ["nothing was going on when it struck"]
    assert list(judged(HURTS, [outcome("ok")], 1, 2 * LATE_S)) == ["the client itself was 10.0 s late"]


def test_text_that_came_twice_is_counted() -> None:
    twice = outcome("wrong", text="[joy@1] I hear [joy@1] I hear you")
    trial = Trial("hurts", [twice, outcome("wrong", text="[fear@1]")], "", 1, [])
    assert (trial.duplicated, trial.row()["wrong"]) == (1, 2)
