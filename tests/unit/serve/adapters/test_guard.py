"""Guard of trials: the counts of all replicas, and the end of a worse version's trial."""

import json

import pytest
from ray.serve import metrics

from serve.adapters.comparison import Verdict
from serve.adapters.guard import Guard
from serve.adapters.registry import Releases, ReplicaReport, Version
from serve.adapters.tally import Tally, TallyKey
from serve.adapters.trial import Trial
from serve.config import GuardConfig

OLD, NEW = "joy@1", "joy@2"
GOOD = Tally(answers=100, tokens=1000, squared_tokens=11_000, classified=100)
BAD = Tally(answers=20, errors=20)
CONFIG = GuardConfig(min_answers=40)


def on_trial(persona: str = "joy") -> Releases:
    first = Releases.initial([Version(name=f"{persona}@1", persona=persona)])
    second = first.publish(Version(name=f"{persona}@2", persona=persona), capacity=8)
    return second.try_out(Trial(name=f"{persona}@2", share=0.1))


def report(replica: str, old: Tally, new: Tally, started: int = 1) -> ReplicaReport:
    tallies: dict[TallyKey, Tally] = {(OLD, started): old, (NEW, started): new}
    return ReplicaReport(replica, frozenset(), {}, {}, tallies=tallies)


def test_counts_of_all_replicas_are_added_and_each_replaces_its_own() -> None:
    guard, releases = Guard(CONFIG), on_trial()
    for _ in range(3):
        guard.record(report("one", GOOD, BAD), releases)
    assert guard.withdraw(releases) is releases, "20 answers are too few"
    guard.record(report("two", GOOD, BAD), releases)
    [status] = guard.status(releases)
    assert (status.old.figures.answers, status.new.figures.answers) == (200, 40)
    assert status.verdict is Verdict.WORSE
    assert guard.withdraw(releases).trials == {}


def test_a_replica_that_is_gone_still_counts() -> None:
    guard, releases = Guard(CONFIG), on_trial()
    guard.record(report("one", GOOD, BAD), releases)
    guard.record(report("two", GOOD, Tally()), releases)
    [status] = guard.status(releases)
    assert status.new.figures.answers == 20


def test_counts_of_an_earlier_trial_do_not_count() -> None:
    guard, first = Guard(CONFIG), on_trial()
    guard.record(report("one", GOOD, BAD + BAD), first)
    ended = first.rollback("joy").model_copy(update={"revision": 2})
    second = ended.try_out(Trial(name=NEW, share=0.1))
    guard.record(report("one", GOOD, BAD + BAD), second)
    assert guard.status(second)[0].new.figures.answers == 0
    assert guard.withdraw(second) is second
    guard.record(report("one", GOOD, BAD + BAD, started=3), second)
    assert guard.withdraw(second).trials == {}


def test_the_end_of_a_trial_is_logged_audited_and_remembered(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    guard, releases = Guard(CONFIG), on_trial()
    guard.record(report("one", GOOD, BAD + BAD), releases)
    ended = guard.withdraw(releases)
    assert (ended.trials, ended.aliases) == ({}, {"joy": OLD})
    assert (guard.has_unaudited, capsys.readouterr().out) == (True, "")
    guard.audit()
    assert not guard.has_unaudited
    line = json.loads(capsys.readouterr().out)
    del line["timestamp"]
    reason = ended.withdrawn["joy"].reason
    assert reason.startswith("errors is worse by at least 0.8")
    assert line == {
        "event": "admin",
        "key": "guard",
        "action": "rollback",
        "subject": "joy",
        "outcome": "ok",
        "withdrawn": NEW,
        "reason": reason,
    }
    assert caplog.messages == [f"the trial of {NEW} was ended, {OLD} answers alone: {reason}"]
    [status] = guard.status(Releases.model_validate_json(ended.model_dump_json()))
    assert (status.old.name, status.new.name, status.verdict) == (OLD, NEW, Verdict.WORSE)
    assert (status.new.share, status.new.figures.answers) == (0.1, 40)
    assert status.rolled_back_at == ended.withdrawn["joy"].at


def test_the_end_of_a_trial_is_exported(monkeypatch: pytest.MonkeyPatch) -> None:
    found: dict[str, float] = {}

    def set_(self: object, value: float, tags: dict[str, str]) -> None:
        found[tags["persona"]] = value

    monkeypatch.setattr(metrics.Gauge, "set", set_)
    guard, releases = Guard(CONFIG), on_trial()
    guard.export(releases)
    assert found == {"joy": 0}
    guard.record(report("one", GOOD, BAD + BAD), releases)
    ended = guard.withdraw(releases)
    guard.export(ended)
    assert found == {"joy": 1}
    guard.export(ended.model_copy(update={"promoted": {}, "withdrawn": {}}))
    assert found == {"joy": 0}, "the persona was removed"


def test_a_guard_that_is_off_only_compares() -> None:
    guard, releases = Guard(CONFIG.model_copy(update={"enabled": False})), on_trial()
    guard.record(report("one", GOOD, BAD + BAD), releases)
    assert guard.withdraw(releases) is releases
    assert guard.status(releases)[0].verdict is Verdict.WORSE


def test_an_added_persona_has_no_emotion_to_compare() -> None:
    guard, releases = Guard(CONFIG), on_trial("calm")
    plain = GOOD.model_copy(update={"classified": 0})
    many = sum([plain] * 9, Tally())
    tallies: dict[TallyKey, Tally] = {("calm@1", 1): many, ("calm@2", 1): many}
    guard.record(ReplicaReport("one", frozenset(), {}, {}, tallies=tallies), releases)
    assert guard.status(releases)[0].verdict is Verdict.NO_WORSE
