"""Desired state of the adapters: publish, promote and roll back as pure functions."""

import tomllib
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.emotions import LABELS, Emotion
from models.personas import Persona
from serve.adapters.registry import Releases, Version
from serve.adapters.tally import Tally
from serve.adapters.trial import Trial, Withdrawal
from serve.errors import AdapterRejected
from support.adapters import PERSONA_TOML

SCRIPTED = [Version(name=f"{label}@scripted", persona=label) for label in LABELS]
INITIAL = Releases.initial(SCRIPTED)
CAPACITY = 8
STEPS = st.tuples(
    st.sampled_from(["publish", "promote", "rollback"]), st.integers(0, 4), st.sampled_from(LABELS)
)


def joy(number: int) -> Version:
    return Version(name=f"joy@{number}", persona=Emotion.JOY)


def calm(number: int) -> Version:
    persona = Persona.model_validate(tomllib.loads(PERSONA_TOML.format("Calm")))
    return Version(name=f"calm@{number}", persona="calm", added_persona=persona)


def test_published_version_is_unused_until_promoted() -> None:
    published = INITIAL.publish(joy(1), CAPACITY)
    assert published.aliases == INITIAL.aliases
    promoted = published.promote("joy@1")
    assert promoted.aliases == INITIAL.aliases | {Emotion.JOY: "joy@1"}
    assert promoted.rollback(Emotion.JOY).aliases == INITIAL.aliases


def test_repeated_rollback_walks_back_to_the_configured_version() -> None:
    releases = INITIAL.publish(joy(1), CAPACITY).promote("joy@1")
    releases = releases.publish(joy(2), CAPACITY).promote("joy@2")
    once = releases.rollback(Emotion.JOY)
    assert once.aliases[Emotion.JOY] == "joy@1"
    twice = once.rollback(Emotion.JOY)
    assert twice.aliases[Emotion.JOY] == "joy@scripted"
    with pytest.raises(AdapterRejected, match="no earlier version of joy"):
        twice.rollback(Emotion.JOY)


def test_a_trial_shares_the_conversations_until_it_is_promoted_or_ends() -> None:
    published = INITIAL.publish(joy(1), CAPACITY)
    tried = published.try_out(Trial(name="joy@1", share=0.1))
    assert tried.aliases == INITIAL.aliases
    assert shares(tried) == {"joy@scripted": 0.9, "joy@1": 0.1}
    larger = tried.try_out(Trial(name="joy@1", share=0.3))
    assert shares(larger) == {"joy@scripted": 0.7, "joy@1": 0.3}
    assert tried.rollback(Emotion.JOY) == published
    promoted = tried.promote("joy@1")
    assert promoted == published.promote("joy@1")
    assert shares(promoted) == {"joy@scripted": 0, "joy@1": 1}


def test_another_share_begins_another_comparison() -> None:
    """Counts of two shares must not be added: the users of each differ."""
    tried = INITIAL.publish(joy(1), CAPACITY).try_out(Trial(name="joy@1", share=0.1))
    later = tried.model_copy(update={"revision": 4})
    assert later.try_out(Trial(name="joy@1", share=0.1)).trials["joy"].started == 1
    assert later.try_out(Trial(name="joy@1", share=0.2)).trials["joy"].started == 5


def test_rollback_after_the_guard_withdrew_a_trial_only_acknowledges_it() -> None:
    first = INITIAL.publish(joy(1), CAPACITY).promote("joy@1").publish(joy(2), CAPACITY)
    ended = first.withdraw(Emotion.JOY, withdrawal("joy@2", old="joy@1"))
    acknowledged = ended.rollback(Emotion.JOY)
    assert acknowledged == first
    assert acknowledged.rollback(Emotion.JOY).aliases == INITIAL.aliases


def test_a_withdrawn_version_is_tried_again_only_after_an_acknowledgement() -> None:
    published = INITIAL.publish(joy(1), CAPACITY).publish(joy(2), CAPACITY)
    ended = published.withdraw(Emotion.JOY, withdrawal("joy@1", old="joy@scripted"))
    again = Trial(name="joy@1", share=0.1)
    with pytest.raises(AdapterRejected, match=r"the guard ended the trial of joy@1: errors .* joy"):
        ended.try_out(again)
    assert ended.promote("joy@1").aliases[Emotion.JOY] == "joy@1"
    assert ended.rollback(Emotion.JOY).try_out(again).trials["joy"].name == "joy@1"
    assert ended.try_out(Trial(name="joy@2", share=0.1)).withdrawn == {}


def withdrawal(name: str, old: str) -> Withdrawal:
    counts = Tally(), Tally()
    trial, at = Trial(name=name, share=0.1, started=1), datetime.now(UTC)
    return Withdrawal(trial=trial, old=old, counts=counts, at=at, reason="errors is worse")


def shares(releases: Releases) -> dict[str, float]:
    versions = [one for one in releases.versions if one.persona == Emotion.JOY]
    return {version.name: releases.share_of(version) for version in versions}


def test_a_version_on_trial_keeps_its_slot() -> None:
    tried = INITIAL.publish(joy(1), CAPACITY).try_out(Trial(name="joy@1", share=0.1))
    later = tried.publish(joy(2), CAPACITY).publish(joy(3), CAPACITY)
    names = [version.name for version in later.versions]
    assert names == [*(version.name for version in SCRIPTED), "joy@1", "joy@3"]


@pytest.mark.parametrize(
    ("name", "reason"), [("joy@scripted", "no other version"), ("joy@9", "not published")]
)
def test_a_trial_needs_two_versions(name: str, reason: str) -> None:
    with pytest.raises(AdapterRejected, match=reason):
        INITIAL.try_out(Trial(name=name, share=0.1))


def test_the_first_version_of_an_added_persona_cannot_be_on_trial() -> None:
    with pytest.raises(AdapterRejected, match="no other version"):
        INITIAL.publish(calm(1), CAPACITY).try_out(Trial(name="calm@1", share=0.5))


def test_publish_removes_the_oldest_unused_version() -> None:
    releases = INITIAL
    for number in (1, 2, 3):
        releases = releases.publish(joy(number), CAPACITY)
    names = [version.name for version in releases.versions if version.persona == Emotion.JOY]
    assert names == ["joy@scripted", "joy@2", "joy@3"]
    with pytest.raises(AdapterRejected, match="joy@1 is not published"):
        releases.promote("joy@1")


def test_rejects_publish_if_every_slot_is_in_use() -> None:
    with pytest.raises(AdapterRejected, match="6 adapter slots"):
        INITIAL.publish(joy(1), capacity=6)


def test_rejects_second_publish_of_a_version() -> None:
    with pytest.raises(AdapterRejected, match="already published"):
        INITIAL.publish(joy(1), CAPACITY).publish(joy(1), CAPACITY)


def test_added_persona_is_available_from_promotion_to_rollback() -> None:
    published = INITIAL.publish(calm(1), CAPACITY)
    assert (published.aliases, published.added_personas) == (INITIAL.aliases, {})
    promoted = published.promote("calm@1")
    assert promoted.aliases == INITIAL.aliases | {"calm": "calm@1"}
    assert {name: added.name for name, added in promoted.added_personas.items()} == {"calm": "Calm"}
    second = promoted.publish(calm(2), CAPACITY).promote("calm@2")
    assert second.rollback("calm").aliases == promoted.aliases
    removed = second.rollback("calm").rollback("calm")
    assert (removed.aliases, removed.added_personas) == (INITIAL.aliases, {})
    with pytest.raises(AdapterRejected, match="no earlier version of calm"):
        removed.rollback("calm")


def test_rollback_of_an_added_persona_frees_its_slot() -> None:
    pride = Version(name="pride@1", persona="pride")
    full = INITIAL.publish(calm(1), CAPACITY).promote("calm@1")
    full = full.publish(pride, CAPACITY).promote("pride@1")
    with pytest.raises(AdapterRejected, match="8 adapter slots"):
        full.publish(joy(1), CAPACITY)
    freed = full.rollback("pride").publish(joy(1), CAPACITY)
    assert "pride@1" not in [version.name for version in freed.versions]


def test_later_revision_supersedes_an_earlier_one_of_the_same_configuration() -> None:
    later = INITIAL.model_copy(update={"revision": 2})
    assert later.supersedes(INITIAL)
    assert not INITIAL.supersedes(later)
    assert not later.model_copy(update={"configured": ("joy@other",)}).supersedes(INITIAL)


@given(st.lists(STEPS, max_size=30))
def test_every_persona_always_uses_a_resident_version_of_its_own(
    steps: list[tuple[str, int, Emotion]],
) -> None:
    releases = INITIAL
    for action, number, persona in steps:
        try:
            releases = change(
                releases, action, Version(name=f"{persona}@{number}", persona=persona)
            )
        except AdapterRejected:
            continue
        owners = {version.name: version.persona for version in releases.versions}
        assert {owners[name]: name for name in releases.aliases.values()} == releases.aliases
        assert set(releases.aliases) == set(LABELS)
        assert len(releases.versions) <= CAPACITY


def change(releases: Releases, action: str, version: Version) -> Releases:
    if action == "publish":
        return releases.publish(version, CAPACITY)
    if action == "promote":
        return releases.promote(version.name)
    return releases.rollback(version.persona)
