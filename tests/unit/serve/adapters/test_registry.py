"""Releases of adapters: the value that says who answers, the directory that changes it, and the replicas that follow."""

import asyncio
import tomllib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from models.emotions import LABELS, Emotion
from models.manifest import AdapterManifest
from models.personas import Persona
from models.weights.cache import Materialized
from serve.adapters import controller as directory_module
from serve.adapters.controller import AdapterController, configured_releases
from serve.adapters.registry import ReplicaReport
from serve.adapters.registry import Releases, Version
from serve.config import ResponderConfig
from serve.engine.scripted import ScriptedEngine
from serve.errors import AdapterRefused, NotReady
from serve.responder import adapter_sync
from serve.responder.adapter_sync import Follower
from serve.responder.runtime import Backend, ScriptedEncoder, open_backend
from support.fakes import PERSONA_TOML, write_adapter

SCRIPTED = ResponderConfig(kind="scripted")
FIRST = configured_releases(SCRIPTED, None)
PLACES = 8


def joy(number: int) -> Version:
    return Version(name=f"joy@{number}", persona=Emotion.JOY)


def test_a_published_version_answers_nobody_until_it_is_promoted() -> None:
    published = FIRST.publish(joy(1), PLACES)
    assert published.aliases == FIRST.aliases
    promoted = published.promote("joy@1")
    assert promoted.aliases == FIRST.aliases | {Emotion.JOY: "joy@1"}
    assert promoted.rollback(Emotion.JOY).aliases == FIRST.aliases


def test_a_rollback_of_a_rollback_goes_further_back_and_then_stops() -> None:
    releases = FIRST.publish(joy(1), PLACES).promote("joy@1").publish(joy(2), PLACES).promote("joy@2")
    once = releases.rollback(Emotion.JOY)
    assert once.aliases[Emotion.JOY] == "joy@1"
    twice = once.rollback(Emotion.JOY)
    assert twice.aliases[Emotion.JOY] == "joy@scripted"
    with pytest.raises(AdapterRefused, match="no earlier version of joy"):
        twice.rollback(Emotion.JOY)


def test_the_oldest_idle_version_makes_room() -> None:
    releases = FIRST.publish(joy(1), PLACES).publish(joy(2), PLACES).publish(joy(3), PLACES)
    assert [version.name for version in releases.versions if version.persona == Emotion.JOY] == ["joy@scripted", "joy@2", "joy@3"]
    with pytest.raises(AdapterRefused, match="joy@1 is not published"):
        releases.promote("joy@1")


def test_where_every_place_answers_nothing_can_be_published() -> None:
    with pytest.raises(AdapterRefused, match="6 places"):
        FIRST.publish(joy(1), places=6)


def calm(number: int) -> Version:
    return Version(name=f"calm@{number}", persona="calm", character=Persona.model_validate(tomllib.loads(PERSONA_TOML.format("Calm"))))


def test_a_persona_beside_the_six_answers_from_its_promotion_to_its_rollback() -> None:
    published = FIRST.publish(calm(1), PLACES)
    assert (published.aliases, published.characters) == (FIRST.aliases, {})
    promoted = published.promote("calm@1")
    assert promoted.aliases == FIRST.aliases | {"calm": "calm@1"}
    assert {persona: character.name for persona, character in promoted.characters.items()} == {"calm": "Calm"}
    second = promoted.publish(calm(2), PLACES).promote("calm@2")
    assert second.rollback("calm").aliases == promoted.aliases
    gone = second.rollback("calm").rollback("calm")
    assert (gone.aliases, gone.characters) == (FIRST.aliases, {})
    with pytest.raises(AdapterRefused, match="no earlier version of calm"):
        gone.rollback("calm")


def test_personas_beside_the_six_take_the_places_that_there_are_and_a_rollback_frees_one() -> None:
    pride = Version(name="pride@1", persona="pride")
    full = FIRST.publish(calm(1), PLACES).promote("calm@1").publish(pride, PLACES).promote("pride@1")
    with pytest.raises(AdapterRefused, match="there are 8 places for adapters, and each holds one that answers"):
        full.publish(joy(1), PLACES)
    room = full.rollback("pride").publish(joy(1), PLACES)
    assert "pride@1" not in [version.name for version in room.versions]


def test_a_version_is_published_once() -> None:
    with pytest.raises(AdapterRefused, match="published already"):
        FIRST.publish(joy(1), PLACES).publish(joy(1), PLACES)


@given(st.lists(st.tuples(st.sampled_from(["publish", "promote", "rollback"]), st.integers(0, 4), st.sampled_from(LABELS)), max_size=30))
def test_whatever_is_done_each_persona_answers_with_a_resident_version_of_its_own(steps: list[tuple[str, int, Emotion]]) -> None:
    releases = FIRST
    for what, number, persona in steps:
        version = Version(name=f"{persona}@{number}", persona=persona)
        try:
            if what == "publish":
                releases = releases.publish(version, PLACES)
            else:
                releases = releases.promote(version.name) if what == "promote" else releases.rollback(persona)
        except AdapterRefused:
            continue
        owners = {known.name: known.persona for known in releases.versions}
        assert {owners[name]: name for name in releases.aliases.values()} == releases.aliases
        assert set(releases.aliases) == set(LABELS)
        assert len(releases.versions) <= PLACES


class Fleet:
    """A directory and replicas that follow it."""

    def __init__(self, state: Path | None = None) -> None:
        self.directory = AdapterController(SCRIPTED.model_copy(update={"releases": state}))
        self.state = state
        self.replicas: list[Follower] = []
        self.engines: list[ScriptedEngine] = []

    async def _sync(self, report: ReplicaReport) -> Releases:
        return await self.directory.sync(report)

    def restart_directory(self) -> None:
        self.directory = AdapterController(SCRIPTED.model_copy(update={"releases": self.state}))

    async def add(self, engine: ScriptedEngine | None = None) -> Follower:
        plain = await open_backend(SCRIPTED)
        engine = engine or ScriptedEngine(tuple(plain.aliases.values()))
        backend = Backend(engine, ScriptedEncoder(), dict(plain.aliases), plain.limits)
        follower = Follower(backend, f"replica-{len(self.replicas)}", self._sync)
        await follower.step()
        self.replicas.append(follower)
        self.engines.append(engine)
        return follower


@asynccontextmanager
async def following_fleet(replicas: int, state: Path | None = None, engine: ScriptedEngine | None = None) -> AsyncIterator[Fleet]:
    fleet = Fleet(state)
    for number in range(replicas):
        await fleet.add(engine if number == replicas - 1 else None)
    tasks = [asyncio.create_task(replica.run()) for replica in fleet.replicas]
    try:
        yield fleet
    finally:
        for task in tasks:
            task.cancel()


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapter_sync, "SYNC_INTERVAL_S", 0.01)
    monkeypatch.setattr(directory_module, "CHANGE_TIMEOUT_S", 0.5)
    monkeypatch.setattr(directory_module, "HEARS_S", 0.1)


@pytest.fixture
def fresh_joy(tmp_path: Path) -> Path:
    write_adapter(tmp_path / "fresh", Emotion.JOY)
    return tmp_path / "fresh"


async def published(fleet: Fleet, folder: Path) -> str:
    return (await fleet.directory.publish(str(folder))).releases.versions[-1].name


async def test_publish_promote_and_rollback_reach_every_replica(fresh_joy: Path) -> None:
    async with following_fleet(3) as fleet:
        name = await published(fleet, fresh_joy)
        assert all(name in engine.stats().adapters for engine in fleet.engines)
        assert {replica.aliases[Emotion.JOY] for replica in fleet.replicas} == {"joy@scripted"}
        await fleet.directory.promote(name)
        assert {replica.aliases[Emotion.JOY] for replica in fleet.replicas} == {name}
        await fleet.directory.rollback(Emotion.JOY)
        assert {replica.aliases[Emotion.JOY] for replica in fleet.replicas} == {"joy@scripted"}


async def test_a_persona_beside_the_six_outlives_a_restart_and_takes_a_place_of_those_that_there_are(tmp_path: Path) -> None:
    write_adapter(tmp_path / "calm", "calm")
    state = tmp_path / "releases.json"
    async with following_fleet(2, state) as fleet:
        name = await published(fleet, tmp_path / "calm")
        await fleet.directory.promote(name)
        assert {replica.aliases["calm"] for replica in fleet.replicas} == {name}
    again = Fleet(state).directory
    assert (await again.status()).releases.characters["calm"].name == "Calm"
    assert again._places == PLACES
    async with following_fleet(1, state) as fleet:
        assert fleet.replicas[0].aliases["calm"] == name
        await fleet.directory.rollback("calm")
        assert fleet.replicas[0].aliases == FIRST.aliases


async def test_a_replica_that_comes_later_has_what_was_promoted(fresh_joy: Path) -> None:
    async with following_fleet(1) as fleet:
        name = await published(fleet, fresh_joy)
        await fleet.directory.promote(name)
        late = await fleet.add()
        assert late.aliases[Emotion.JOY] == name


class Unmoved(ScriptedEngine):
    """Its adapters change nothing."""

    async def next_token_logprobs(self, prompt: list[int], adapter: str | None) -> dict[int, float]:
        return {0: 0.0}


async def test_what_one_replica_refuses_is_refused_with_its_reason_and_is_nowhere(fresh_joy: Path) -> None:
    resident = tuple(FIRST.aliases.values())
    async with following_fleet(2, engine=Unmoved(resident)) as fleet:
        with pytest.raises(AdapterRefused, match="changes nothing"):
            await published(fleet, fresh_joy)
        await asyncio.sleep(0.1)
        assert [set(engine.stats().adapters) for engine in fleet.engines] == [set(resident)] * 2


async def test_a_spoilt_adapter_is_refused_by_name(fresh_joy: Path) -> None:
    weights = fresh_joy / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4])
    async with following_fleet(1) as fleet:
        with pytest.raises(AdapterRefused, match="joy"):
            await published(fleet, fresh_joy)
        with pytest.raises(AdapterRefused, match="there is no artefact"):
            await published(fleet, fresh_joy / "nowhere")


@pytest.mark.parametrize(("rank", "reason"), [(8, None), (16, "has rank 16; the engine was started for 8 at most")])
async def test_a_rank_above_the_engines_is_refused_by_name(tmp_path: Path, rank: int, reason: str | None) -> None:
    write_adapter(tmp_path / "joy", Emotion.JOY, rank=rank)
    async with following_fleet(2) as fleet:
        name = AdapterManifest.read(tmp_path / "joy").versioned_name
        if reason is None:
            assert await published(fleet, tmp_path / "joy") == name
            return
        with pytest.raises(AdapterRefused, match=f"{name} {reason}"):
            await published(fleet, tmp_path / "joy")
        assert (await fleet.directory.status()).releases.versions == FIRST.versions


async def test_an_adapter_that_does_not_fit_the_base_is_refused_by_name(fresh_joy: Path, tmp_path: Path) -> None:
    fleet = Fleet()
    weights = tmp_path / "base" / "model.safetensors"
    weights.parent.mkdir()
    save_file({"model.layers.0.self_attn.q_proj.weight": np.ones((8, 9), np.float32)}, weights)
    for sha256, reason in (("f" * 64, "joy: base-model hash"), (AdapterManifest.read(fresh_joy).base_hash, "joy: tensor .* has size 8")):
        fleet.directory._base = Materialized("other", weights.parent, sha256)
        with pytest.raises(AdapterRefused, match=reason):
            await published(fleet, fresh_joy)


async def test_who_refuses_is_heard_before_who_has_it(fresh_joy: Path) -> None:
    directory, name = Fleet().directory, AdapterManifest.read(fresh_joy).versioned_name
    publishing = asyncio.create_task(directory.publish(str(fresh_joy)))
    await asyncio.sleep(0.2)
    await directory.sync(ReplicaReport("one", frozenset({name}), {name: "it is bad"}, FIRST.aliases))
    with pytest.raises(AdapterRefused, match="it is bad"):
        await publishing


async def test_without_a_replica_that_follows_nothing_changes(fresh_joy: Path) -> None:
    fleet = Fleet()
    with pytest.raises(NotReady, match="the change was undone"):
        await published(fleet, fresh_joy)
    left = (await fleet.directory.status()).releases
    assert (left.versions, left.answering) == (FIRST.versions, FIRST.answering)


async def test_a_change_whose_asker_left_is_undone() -> None:
    async with following_fleet(1) as fleet:
        fleet.directory._become(fleet.directory._releases.publish(joy(1), PLACES))
        promoting = asyncio.create_task(fleet.directory.promote("joy@1"))  # which no replica can follow: it has no folder
        await asyncio.sleep(0.2)
        promoting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await promoting
        assert (await fleet.directory.status()).releases.aliases == FIRST.aliases


async def test_what_a_replica_said_before_a_change_is_no_word_on_it() -> None:
    fleet = Fleet()
    await fleet.add()  # says on its way up that the first versions answer, and is told otherwise
    fleet.directory._releases = FIRST.publish(joy(1), PLACES).promote("joy@1")
    with pytest.raises(NotReady, match="the change was undone"):
        await fleet.directory.rollback(Emotion.JOY)


async def test_releases_outlive_a_restart_of_the_directory(fresh_joy: Path, tmp_path: Path) -> None:
    state = tmp_path / "releases.json"
    async with following_fleet(1, state) as fleet:
        name = await published(fleet, fresh_joy)
        await fleet.directory.promote(name)
    assert (await Fleet(state).directory.status()).releases.aliases[Emotion.JOY] == name


async def test_a_directory_that_is_started_anew_goes_on_where_the_one_before_was(fresh_joy: Path) -> None:
    """Without a file, and with a change at once: it waits for what the replicas know, who see nothing of it."""
    async with following_fleet(2) as fleet:
        name = await published(fleet, fresh_joy)
        await fleet.directory.promote(name)
        fleet.restart_directory()
        newcomer = await fleet.add()  # says nothing of what was, and is heard first
        following_too = asyncio.create_task(newcomer.run())
        back = await fleet.directory.rollback(Emotion.JOY)
        assert (back.releases.aliases, back.releases.versions[-1].name) == (FIRST.aliases, name)
        await fleet.directory.promote(name)
        fleet.restart_directory()
        assert (await fleet.directory.status()).releases.aliases[Emotion.JOY] == name, "asked before it has heard"
        fleet.restart_directory()
        for _ in range(20):
            await asyncio.sleep(0.01)
            assert {replica.aliases[Emotion.JOY] for replica in fleet.replicas} == {name}
        assert (await fleet.directory.status()).releases.aliases[Emotion.JOY] == name
        following_too.cancel()


async def test_what_was_undone_does_not_come_back_with_a_new_directory(fresh_joy: Path) -> None:
    async with following_fleet(2, engine=Unmoved(tuple(FIRST.aliases.values()))) as fleet:
        with pytest.raises(AdapterRefused, match="changes nothing"):
            await published(fleet, fresh_joy)
        await asyncio.sleep(0.05)
        fleet.restart_directory()
        await asyncio.sleep(0.1)
        assert (await fleet.directory.status()).releases.versions == FIRST.versions


async def test_a_directory_with_another_configuration_begins_with_its_own() -> None:
    directory = Fleet().directory
    elsewhere = FIRST.publish(joy(1), PLACES).promote("joy@1").model_copy(update={"change": 2, "began": ("joy@other",)})
    told = await directory.sync(ReplicaReport("one", frozenset(), {}, elsewhere.aliases, elsewhere))
    assert told == FIRST


async def test_a_version_that_an_answer_uses_stays_until_it_has_ended(fresh_joy: Path) -> None:
    fleet = Fleet()
    replica = await fleet.add()
    with replica.using("joy@scripted"):
        others = tuple(version for version in FIRST.versions if version.persona != Emotion.JOY)
        fleet.directory._releases = FIRST.model_copy(update={"versions": others})
        await replica.step()
        assert "joy@scripted" in fleet.engines[0].stats().adapters
    await replica.step()
    assert "joy@scripted" not in fleet.engines[0].stats().adapters


async def test_a_directory_that_is_away_changes_nothing() -> None:
    calls = []

    async def sync(report: ReplicaReport) -> Releases:
        calls.append(report)
        raise ConnectionError

    replica = Follower(await open_backend(SCRIPTED), "one", sync)
    task = asyncio.create_task(replica.run())
    await asyncio.sleep(0.1)
    task.cancel()
    assert len(calls) > 1
    assert replica.aliases == FIRST.aliases
