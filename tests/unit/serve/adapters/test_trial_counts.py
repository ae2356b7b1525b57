"""Counts of all replicas: those that report, and the sum of those that are gone."""

from serve.adapters.tally import Tally, TallyKey
from serve.adapters.trial_counts import GONE_S, SavedCounts, TrialCounts
from support.fakes import FakeClock

OLD: TallyKey = ("joy@1", 1)
NEW: TallyKey = ("joy@2", 1)
LATER: TallyKey = ("joy@2", 7)
ONE = Tally.error()


class Replicas:
    """Counts with a clock."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.counts = TrialCounts(self.clock)

    def report(self, replica: str, answers: int, key: TallyKey = NEW) -> int:
        """Report the answers of a version, and return how many are counted of it in all."""
        self.counts.record(replica, {key: Tally(answers=answers)}, {OLD, key})
        return self.counts.of(key).answers


def test_each_replica_replaces_its_own_counts() -> None:
    replicas = Replicas()
    assert [replicas.report("one", 3), replicas.report("one", 4)] == [3, 4]
    assert replicas.report("two", 5) == 9
    assert replicas.counts.of(OLD) == Tally()


def test_replicas_that_are_gone_are_counted_once_in_one_sum() -> None:
    replicas = Replicas()
    for number in range(50):
        assert replicas.report(f"gone {number}", 2) == 2 * (number + 1)
        replicas.clock.pass_ms(1000 * GONE_S + 1)
    assert replicas.report("one", 3) == 103
    assert list(replicas.counts.latest) == ["one"], "it does not grow with the replicas"
    assert replicas.report("gone 7", 9) == 103, "it came back, and is in the sum already"


def test_a_replica_that_is_silent_for_a_short_time_replaces_its_counts() -> None:
    replicas = Replicas()
    replicas.report("one", 2)
    replicas.clock.pass_ms(90_000)
    assert replicas.report("two", 3) == 5
    assert replicas.report("one", 4) == 7


def test_another_trial_begins_without_the_sum() -> None:
    replicas = Replicas()
    replicas.report("gone", 2)
    replicas.clock.pass_ms(1000 * GONE_S + 1)
    assert replicas.report("one", 3) == 5
    assert replicas.report("one", 1, LATER) == 1
    assert replicas.report("gone", 1, LATER) == 2, "a replica that came back counts again"
    assert replicas.counts.of(NEW) == Tally()


def test_a_restart_goes_on_with_the_counts() -> None:
    before, after = Replicas(), Replicas()
    before.report("gone", 2)
    before.clock.pass_ms(1000 * GONE_S + 1)
    before.report("lives on", 3)
    before.report("ends", 4)
    text = before.counts.saved().model_dump_json()
    after.counts.restore(SavedCounts.model_validate_json(text))
    assert after.counts.of(NEW).answers == 9
    assert after.report("lives on", 5) == 11, "it replaces its own"
    assert after.report("gone", 8) == 11, "it is in the sum"
    after.clock.pass_ms(1000 * GONE_S + 1)
    assert after.report("new", 1) == 12
    assert list(after.counts.latest) == ["new"]
