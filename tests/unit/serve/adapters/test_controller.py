"""Adapter controller: changes reach every replica or are undone, and survive a restart."""

import asyncio
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from models.emotions import Emotion
from models.errors import ArtifactError
from models.manifest import AdapterManifest, load_adapter
from models.prompt import PROMPT_VERSION
from models.store.adapter_store import AdapterStore
from models.store.remote import RemoteStore
from models.weights.cache import Materialized
from serve.adapters import controller as controller_module
from serve.adapters import guard as guard_module
from serve.adapters import replica_reports
from serve.adapters.comparison import Verdict
from serve.adapters.controller import AdapterController
from serve.adapters.guard import Guard
from serve.adapters.registry import Releases, ReplicaReport, Version
from serve.adapters.tally import Tally
from serve.config import ResponderConfig
from serve.deadline import STOPPING
from serve.errors import AdapterRejected, NotReady, ServingError
from serve.responder import adapter_sync
from support.adapter_fleet import CAPACITY, INITIAL, Fleet, IneffectiveEngine, running_fleet
from support.adapters import write_adapter

UNKNOWN_BASE = "f" * 64


@pytest.fixture(autouse=True)
def _short_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapter_sync, "SYNC_INTERVAL_S", 0.01)
    monkeypatch.setattr(replica_reports, "CHANGE_TIMEOUT_S", 60)
    monkeypatch.setattr(controller_module, "RECOVERY_WINDOW_S", 0.1)
    monkeypatch.setattr(controller_module, "COMPARISON_INTERVAL_S", 0.01)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Let changes time out from now on."""
    return lambda: monkeypatch.setattr(replica_reports, "CHANGE_TIMEOUT_S", 0.1)


@pytest.fixture(autouse=True)
def _own_store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FYE_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def new_joy(tmp_path: Path) -> Path:
    write_adapter(tmp_path / "new", Emotion.JOY)
    return tmp_path / "new"


async def test_publish_promote_and_rollback_reach_every_replica(new_joy: Path) -> None:
    async with running_fleet(3) as fleet:
        name = await fleet.publish(new_joy)
        assert all(name in engine.stats().adapters for engine in fleet.engines)
        assert fleet.promoted(Emotion.JOY) == {"joy@scripted"}
        await fleet.controller.promote(name)
        assert fleet.promoted(Emotion.JOY) == {name}
        await fleet.controller.rollback(Emotion.JOY)
        assert fleet.promoted(Emotion.JOY) == {"joy@scripted"}


async def test_replicas_of_other_nodes_read_the_copies_of_a_remote_store(
    new_joy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet = Fleet(store=f"file://{tmp_path}/shared")
    monkeypatch.setenv("FYE_CACHE", str(tmp_path / "other"))
    replica = await fleet.add_replica()
    running = asyncio.create_task(replica.run())
    name = await fleet.publish(new_joy)
    await fleet.controller.promote(name)
    assert fleet.promoted(Emotion.JOY) == {name}
    [version] = [one for one in (await fleet.controller.status()).releases.versions if one.folder]
    assert version.folder
    shutil.rmtree(version.folder.parent)  # the controller's node is lost, and the publisher's
    shutil.rmtree(new_joy)
    monkeypatch.setenv("FYE_CACHE", str(tmp_path / "new"))
    late = await fleet.add_replica()
    assert late.aliases["joy"] == name
    running.cancel()


async def test_a_publish_needs_the_remote_store(new_joy: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    controller = Fleet(store=f"file://{tmp_path}/file/store").controller
    with pytest.raises(AdapterRejected, match="adapter store file://"):
        await controller.publish(str(new_joy))


async def test_a_restored_version_is_shared_with_the_other_nodes(
    new_joy: Path, tmp_path: Path
) -> None:
    state = tmp_path / "state.json"
    async with running_fleet(1, state=state) as fleet:
        name = await fleet.publish(new_joy)
    url = f"file://{tmp_path}/shared"
    [version] = [
        one for one in Releases.model_validate_json(state.read_bytes()).versions if one.folder
    ]
    assert version.folder
    Fleet(state, store=url)
    shutil.rmtree(version.folder.parent)
    other = AdapterStore(tmp_path / "other", RemoteStore(url))
    base = AdapterManifest.read(new_joy).base_hash
    found = other.get(version.folder, lambda folder: load_adapter(folder, base, PROMPT_VERSION))
    assert found.manifest.versioned_name == name


async def test_a_trial_reaches_every_replica_and_survives_a_restart(
    new_joy: Path, tmp_path: Path
) -> None:
    async with running_fleet(replicas=2, state=tmp_path / "state.json") as fleet:
        new = await fleet.publish(new_joy)
        await fleet.controller.promote(new, 0.5)
        used = {text: versions_for(fleet, text) for text in map(str, range(20))}
        assert set.union(*used.values()) == {new, "joy@scripted"}
        assert all(len(versions) == 1 for versions in used.values()), "on any replica the same"
        fleet.restart_controller()
        status = await fleet.controller.status()
        trial = status.releases.trials["joy"]
        assert (trial.name, trial.share) == (new, 0.5)
        await fleet.controller.promote(new, 0.25)
        assert {replica.trials["joy"].share for replica in fleet.replicas} == {0.25}
        await fleet.controller.rollback(Emotion.JOY)
        assert versions_for(fleet, *used) == {"joy@scripted"}
        await fleet.controller.promote(new, 0.5)
        await fleet.controller.promote(new)
        assert versions_for(fleet, *used) == {new}


async def test_worse_version_is_rolled_back_on_every_replica(new_joy: Path, tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    async with running_fleet(replicas=2, state=state) as fleet:
        new = await fleet.publish(new_joy)
        await fleet.controller.promote(new, 0.5)
        await fail(fleet, new)
        [trial] = (await fleet.controller.status()).trials
        assert (trial.verdict, trial.new.name) == (Verdict.WORSE, new)
        assert (trial.old.figures.answers, trial.new.figures.answers) == (120, 60)
        assert versions_for(fleet, *map(str, range(20))) == {"joy@scripted"}
    restored = (await Fleet(state).controller.status()).trials
    assert restored == (trial,)


async def fail(fleet: Fleet, new: str) -> None:
    """Let a version on trial fail on two replicas, until they do not use it any more."""
    for replica in fleet.replicas:
        replica.tallies.add("joy@scripted", sum([Tally.answer(4, cut=False)] * 60, Tally()))
        replica.tallies.add(new, sum([Tally.error()] * 30, Tally()))
    await until(lambda: not any(replica.trials for replica in fleet.replicas))


async def test_a_withdrawal_that_cannot_be_written_holds_and_is_written_later(
    new_joy: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    state = tmp_path / "states" / "state.json"
    state.parent.mkdir()
    async with running_fleet(replicas=2, state=state) as fleet:
        new = await fleet.publish(new_joy)
        await fleet.controller.promote(new, 0.5)
        shutil.rmtree(state.parent)
        await fail(fleet, new)
        assert f"cannot write {state} (FileNotFoundError), trying again" in caplog.messages
        assert "guard" not in capsys.readouterr().out, "no audit line before the state is kept"
        state.parent.mkdir()
        await until(state.exists)
    assert capsys.readouterr().out.count('"key": "guard"') == 1
    assert "joy" in (await Fleet(state).controller.status()).releases.withdrawn


async def test_versions_are_compared_at_most_once_in_an_interval(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compared = list[Releases]()

    def withdraw(self: Guard, releases: Releases) -> Releases:
        compared.append(releases)
        return releases

    monkeypatch.setattr(Guard, "withdraw", withdraw)
    monkeypatch.setattr(controller_module, "COMPARISON_INTERVAL_S", 600)
    fleet = Fleet()
    await fleet.controller.status()  # once it has recovered
    for _ in range(5):
        await fleet.controller.sync(ReplicaReport("one", frozenset(), {}, {}))
    assert len(compared) == 1


async def test_counts_of_a_trial_survive_a_stop_of_everything(
    new_joy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(guard_module, "SAVE_INTERVAL_S", 0)
    state, counts = tmp_path / "state.json", tmp_path / "state.counts.json"
    async with running_fleet(2, state=state) as fleet:
        new = await fleet.publish(new_joy)
        await fleet.controller.promote(new, 0.5)
        for replica in fleet.replicas:
            replica.tallies.add(new, Tally.answer(4, cut=False))
        await until(lambda: counts.exists() and counts.read_text().count('"answers":1') == 2)
    async with running_fleet(1, state=state) as fleet:  # a replica with an id of before
        fleet.replicas[0].tallies.add(new, sum([Tally.answer(4, cut=False)] * 3, Tally()))
        await until(lambda: '"answers":3' in counts.read_text())
        [trial] = (await fleet.controller.status()).trials
        assert trial.new.figures.answers == 1 + 3
    assert "counts from 0" not in caplog.text
    counts.write_text("{")
    [trial] = (await Fleet(state).controller.status()).trials
    assert trial.new.figures.answers == 0
    assert f"trial of {new} counts from 0" in caplog.text


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_a_stop_undoes_the_change_that_waits_and_refuses_others(
    new_joy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replica_reports, "CHANGE_TIMEOUT_S", 600)
    state = tmp_path / "state.json"
    async with running_fleet(1, state) as fleet:
        name = await fleet.publish(new_joy)
        kept = state.read_bytes()
        await fleet.controller.sync(ReplicaReport("hanging", frozenset(), {}, INITIAL.aliases))
        waiting = asyncio.create_task(fleet.controller.promote(name))
        queued = asyncio.create_task(fleet.controller.rollback(Emotion.JOY))
        await until(lambda: fleet.promoted(Emotion.JOY) == {name})
        await fleet.controller.end_changes()
        found = await asyncio.gather(
            waiting, queued, fleet.controller.publish(str(new_joy)), return_exceptions=True
        )
        assert [(type(error), str(error)) for error in found] == [(NotReady, STOPPING)] * 3
        await until(lambda: fleet.promoted(Emotion.JOY) == {"joy@scripted"})
        assert state.read_bytes() == kept


async def test_a_new_controller_undoes_a_change_that_was_not_complete(
    new_joy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replica_reports, "CHANGE_TIMEOUT_S", 600)
    async with running_fleet(1) as fleet:
        name = await fleet.publish(new_joy)
        await fleet.controller.sync(ReplicaReport("hanging", frozenset(), {}, INITIAL.aliases))
        waiting = asyncio.create_task(fleet.controller.promote(name))
        await until(lambda: fleet.promoted(Emotion.JOY) == {name})
        fleet.restart_controller()
        left = (await fleet.controller.status()).releases
        assert (left.versions[-1].name, left.aliases) == (name, INITIAL.aliases)
        await until(lambda: fleet.promoted(Emotion.JOY) == {"joy@scripted"})
        waiting.cancel()


async def test_a_change_that_is_kept_is_not_undone_by_a_client_that_leaves(
    new_joy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = tmp_path / "state.json"
    async with running_fleet(1, state) as fleet:
        replying = asyncio.Event()

        async def status() -> None:
            replying.set()
            await asyncio.Event().wait()

        with monkeypatch.context() as patch:
            patch.setattr(fleet.controller, "status", status)
            publishing = asyncio.create_task(fleet.controller.publish(str(new_joy)))
            await replying.wait()
            publishing.cancel()
            await asyncio.wait([publishing])
        left = (await fleet.controller.status()).releases
        assert left == Releases.model_validate_json(state.read_bytes())
        assert len(left.versions) == len(INITIAL.versions) + 1


async def test_counts_that_an_undone_change_loses_are_logged(
    new_joy: Path, caplog: pytest.LogCaptureFixture, impatient: Callable[[], None]
) -> None:
    async with running_fleet(1) as fleet:
        new = await fleet.publish(new_joy)
        await fleet.controller.promote(new, 0.5)
        await fleet.controller.sync(ReplicaReport("hanging", frozenset(), {}, INITIAL.aliases))
        impatient()
        with pytest.raises(NotReady):
            await fleet.controller.promote(new)
        assert (await fleet.controller.status()).releases.trials["joy"].share == 0.5
    assert f"a change was undone, the trial of {new} counts from 0" in caplog.messages


def versions_for(fleet: Fleet, *conversations: str) -> set[str]:
    """Versions of joy by which the replicas answer conversations."""
    return {replica.aliases_for(one)["joy"] for one in conversations for replica in fleet.replicas}


async def test_status_lists_the_live_replicas() -> None:
    async with running_fleet(2) as fleet:
        status = await fleet.controller.status()
    assert sorted(status.replicas) == ["replica-0", "replica-1"]


async def test_new_replica_gets_the_promoted_version(new_joy: Path) -> None:
    async with running_fleet(1) as fleet:
        name = await fleet.publish(new_joy)
        await fleet.controller.promote(name)
        late = await fleet.add_replica()
        assert late.aliases[Emotion.JOY] == name


async def test_added_persona_survives_a_restart_and_keeps_the_configured_capacity(
    tmp_path: Path,
) -> None:
    write_adapter(tmp_path / "calm", "calm")
    write_adapter(tmp_path / "pride", "pride")
    write_adapter(tmp_path / "joy", Emotion.JOY)
    state = tmp_path / "releases.json"
    async with running_fleet(2, state) as fleet:
        name = await fleet.publish(tmp_path / "calm")
        await fleet.controller.promote(name)
        assert fleet.promoted("calm") == {name}
    async with running_fleet(1, state) as fleet:
        restored = (await fleet.controller.status()).releases
        assert restored.added_personas["calm"].name == "Calm"
        assert fleet.promoted("calm") == {name}
        await fleet.controller.promote(await fleet.publish(tmp_path / "pride"))
        with pytest.raises(AdapterRejected, match=f"{CAPACITY} adapter slots"):
            await fleet.publish(tmp_path / "joy")


async def test_version_rejected_by_one_replica_is_removed_from_all(new_joy: Path) -> None:
    resident = set(INITIAL.aliases.values())
    async with running_fleet(2, last_engine=IneffectiveEngine()) as fleet:
        with pytest.raises(AdapterRejected, match="no effect"):
            await fleet.publish(new_joy)
        await until(
            lambda: [set(engine.stats().adapters) for engine in fleet.engines] == [resident] * 2
        )


async def test_rejects_damaged_and_missing_adapters(new_joy: Path) -> None:
    weights = new_joy / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4])
    async with running_fleet(1) as fleet:
        with pytest.raises(AdapterRejected, match="joy"):
            await fleet.publish(new_joy)
        with pytest.raises(AdapterRejected, match="missing"):
            await fleet.publish(new_joy / "missing")


@pytest.mark.parametrize("rank", [8, 16])
async def test_rejects_rank_above_the_engines(tmp_path: Path, rank: int) -> None:
    write_adapter(tmp_path / "joy", Emotion.JOY, rank=rank)
    name = AdapterManifest.read(tmp_path / "joy").versioned_name
    async with running_fleet(2) as fleet:
        if rank == 8:
            assert await fleet.publish(tmp_path / "joy") == name
            return
        with pytest.raises(AdapterRejected, match=f"{name} has rank 16"):
            await fleet.publish(tmp_path / "joy")
        assert (await fleet.controller.status()).releases.versions == INITIAL.versions


@pytest.mark.parametrize("same_base", [False, True])
async def test_rejects_adapter_that_does_not_fit_the_base(
    new_joy: Path, tmp_path: Path, same_base: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = tmp_path / "base" / "model.safetensors"
    weights.parent.mkdir()
    too_wide = np.ones((8, 9), np.float32)
    save_file({"model.layers.0.self_attn.q_proj.weight": too_wide}, weights)
    sha256 = AdapterManifest.read(new_joy).base_hash if same_base else UNKNOWN_BASE
    base = Materialized("other", weights.parent, sha256)
    monkeypatch.setattr(controller_module, "materialize", lambda _name: base)
    controller = AdapterController(ResponderConfig(adapters=None, publish_roots=(tmp_path,)))
    with pytest.raises(AdapterRejected, match="joy: tensor" if same_base else "joy: base-model"):
        await controller.publish(str(new_joy))


@pytest.mark.parametrize("way", ["plain", "dots", "link"])
async def test_publishes_from_below_the_configured_roots_only(
    tmp_path: Path, way: str, impatient: Callable[[], None]
) -> None:
    impatient()
    root = tmp_path / "root"
    write_adapter(root / "joy", Emotion.JOY)
    write_adapter(tmp_path / "secret", Emotion.JOY, rank=4)
    (root / "link").symlink_to(tmp_path / "secret")
    outside = {"plain": tmp_path / "secret", "dots": root / ".." / "secret", "link": root / "link"}
    config = ResponderConfig(kind="scripted", publish_roots=(root,))
    controller = AdapterController(config)
    for folder in (outside[way], tmp_path / "missing"):
        with pytest.raises(AdapterRejected, match="publish_roots"):
            await controller.publish(str(folder))
    with pytest.raises(NotReady):  # there is no replica to load it
        await controller.publish(str(root / "joy"))


async def test_change_without_replicas_is_undone(
    new_joy: Path, impatient: Callable[[], None]
) -> None:
    impatient()
    fleet = Fleet()
    with pytest.raises(NotReady):
        await fleet.publish(new_joy)
    left = (await fleet.controller.status()).releases
    assert (left.versions, left.promoted) == (INITIAL.versions, INITIAL.promoted)


async def test_cancelled_change_is_undone(new_joy: Path) -> None:
    async with running_fleet(1) as fleet:
        name = await fleet.publish(new_joy)
        hanging = ReplicaReport("hanging", frozenset(), {}, INITIAL.aliases)
        await fleet.controller.sync(hanging)
        promoting = asyncio.create_task(fleet.controller.promote(name))
        await until(lambda: fleet.promoted(Emotion.JOY) == {name})
        promoting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await promoting
        assert (await fleet.controller.status()).releases.aliases == INITIAL.aliases


async def test_state_file_survives_a_restart(new_joy: Path, tmp_path: Path) -> None:
    state = tmp_path / "releases.json"
    async with running_fleet(1, state) as fleet:
        name = await fleet.publish(new_joy)
        await fleet.controller.promote(name)
    releases = (await Fleet(state).controller.status()).releases
    assert releases.aliases[Emotion.JOY] == name


async def test_change_whose_state_cannot_be_written_is_undone_with_the_reason(
    new_joy: Path, tmp_path: Path
) -> None:
    state = tmp_path / "releases.json"
    blocked = state.with_suffix(".new")
    blocked.mkdir()
    async with running_fleet(1, state) as fleet:
        with pytest.raises(ServingError, match=r"releases\.json \(Is a directory.*undone") as found:
            await fleet.controller.publish(str(new_joy))
        assert pickle.loads(pickle.dumps(found.value)).args == found.value.args  # noqa: S301
        assert (await fleet.controller.status()).releases.versions == INITIAL.versions
        blocked.rmdir()
        assert await fleet.publish(new_joy)


async def test_restarted_controller_recovers_from_the_replicas_reports(new_joy: Path) -> None:
    async with running_fleet(2) as fleet:
        name = await fleet.publish(new_joy)
        await fleet.controller.promote(name)
        fleet.restart_controller()
        new_replica = await fleet.add_replica()  # reports first and knows no earlier state
        reconciling = asyncio.create_task(new_replica.run())
        back = await fleet.controller.rollback(Emotion.JOY)
        assert back.releases.aliases == INITIAL.aliases
        assert back.releases.versions[-1].name == name
        await fleet.controller.promote(name)
        fleet.restart_controller()
        status = await fleet.controller.status()
        assert status.releases.aliases[Emotion.JOY] == name, "it waits for the reports"
        reconciling.cancel()


async def test_published_folder_may_vanish(new_joy: Path, tmp_path: Path) -> None:
    """A replica that starts later loads the version from the store."""
    state = tmp_path / "releases.json"
    async with running_fleet(1, state) as fleet:
        name = await fleet.publish(new_joy)
        await fleet.controller.promote(name)
    shutil.rmtree(new_joy)
    async with running_fleet(1, state) as fleet:
        assert fleet.promoted(Emotion.JOY) == {name}
        assert fleet.replicas[0].fallbacks == {}


async def test_published_folder_may_change_to_another_version(new_joy: Path) -> None:
    async with running_fleet(1) as fleet:
        first = await fleet.publish(new_joy)
        await fleet.controller.promote(first)
        shutil.rmtree(new_joy)
        write_adapter(new_joy, Emotion.JOY, rank=4)
        second = await fleet.publish(new_joy)
        late = await fleet.add_replica()
        assert late.aliases[Emotion.JOY] == first
        assert {first, second} <= set(fleet.engines[-1].stats().adapters)


async def test_versions_of_an_earlier_state_are_copied_into_the_store(
    new_joy: Path, tmp_path: Path
) -> None:
    state = tmp_path / "releases.json"
    name = AdapterManifest.read(new_joy).versioned_name
    version = Version(name=name, persona="joy", folder=new_joy)
    promoted = INITIAL.promoted | {"joy": (name,)}
    versions = (*INITIAL.versions, version)
    old = INITIAL.model_copy(update={"versions": versions, "promoted": promoted})
    state.write_text(old.model_dump_json())
    fleet = Fleet(state)
    shutil.rmtree(new_joy)
    replica = await fleet.add_replica()
    assert replica.aliases[Emotion.JOY] == name
    Fleet(state)  # the folder of the state file is gone; a start does not depend on it


async def test_damaged_state_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "releases.json").write_text('{"versions": [')
    with pytest.raises(ArtifactError, match=r"releases\.json.*restore the file or delete it"):
        Fleet(tmp_path / "releases.json")


async def test_replicas_keep_the_promoted_version_during_a_restart(new_joy: Path) -> None:
    async with running_fleet(2) as fleet:
        name = await fleet.publish(new_joy)
        await fleet.controller.promote(name)
        fleet.restart_controller()
        for _ in range(20):
            await asyncio.sleep(0.01)
            assert fleet.promoted(Emotion.JOY) == {name}


async def test_undone_change_does_not_come_back_after_a_restart(new_joy: Path) -> None:
    async with running_fleet(2, last_engine=IneffectiveEngine()) as fleet:
        with pytest.raises(AdapterRejected):
            await fleet.publish(new_joy)
        await asyncio.sleep(0.05)
        fleet.restart_controller()
        await asyncio.sleep(0.1)
        assert (await fleet.controller.status()).releases.versions == INITIAL.versions


async def test_ignores_reported_state_of_another_configuration() -> None:
    elsewhere = INITIAL.model_copy(update={"revision": 2, "configured": ("joy@other",)})
    report = ReplicaReport("one", frozenset(), {}, elsewhere.aliases, elsewhere)
    assert await Fleet().controller.sync(report) == INITIAL
