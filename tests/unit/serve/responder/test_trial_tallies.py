"""Counts of the versions that a replica compares."""

import pytest

from serve.adapters.registry import Releases, Version
from serve.adapters.tally import Tally
from serve.adapters.trial import Trial
from serve.responder import trial_tallies
from serve.responder.trial_tallies import TrialTallies

FIRST = Releases.initial(
    [Version(name="joy@1", persona="joy"), Version(name="fear@1", persona="fear")]
)
PUBLISHED = FIRST.publish(Version(name="joy@2", persona="joy"), capacity=8)
TRIED = PUBLISHED.try_out(Trial(name="joy@2", share=0.1))


def test_only_versions_of_a_trial_are_counted() -> None:
    tallies = TrialTallies()
    tallies.add("joy@1", Tally.error())
    assert tallies.current == {}
    tallies.follow(TRIED)
    names = ("joy@1", "joy@2", "joy@2", "fear@1")
    counted = [
        tallies.count(name, f"user {user}", Tally.error()) for user, name in enumerate(names)
    ]
    assert counted == [True, True, True, False]
    assert tallies.current == {
        ("joy@1", 1): Tally.error(),
        ("joy@2", 1): Tally.error() + Tally.error(),
    }


def test_conversations_are_remembered_up_to_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial_tallies, "CONVERSATIONS", 2)
    tallies = TrialTallies()
    tallies.follow(TRIED)
    users = ("ann", "ann", "bob", "eve", "ann")
    counted = [tallies.count("joy@2", user, Tally.error()) for user in users]
    assert counted == [True, False, True, False, False]
    assert tallies.count("joy@1", "ann", Tally.error()), "each version has its own"
    tallies.follow(TRIED.model_copy(update={"revision": 5}).try_out(Trial(name="joy@2", share=0.5)))
    assert tallies.count("joy@2", "ann", Tally.error()), "another trial begins again"


def test_counts_begin_again_with_another_share_or_another_trial() -> None:
    tallies = TrialTallies()
    tallies.follow(TRIED)
    tallies.add("joy@2", Tally.error())
    shared = TRIED.model_copy(update={"revision": 5}).try_out(Trial(name="joy@2", share=0.5))
    tallies.follow(shared)
    assert tallies.current == {("joy@1", 6): Tally(), ("joy@2", 6): Tally()}
    tallies.add("joy@2", Tally.error())
    ended = shared.model_copy(update={"revision": 6}).rollback("joy")
    again = ended.try_out(Trial(name="joy@2", share=0.5))
    tallies.follow(again)
    assert tallies.current == {("joy@1", 7): Tally(), ("joy@2", 7): Tally()}
    tallies.follow(again.promote("joy@2"))
    assert tallies.current == {}
