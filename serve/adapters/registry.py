"""Desired state of the adapters: immutable values, and what replicas and operators see of them.

publish -> resident but unused -> promote -> used for new requests -> rollback -> previous one
                               -> try_out -> used for a share of them -> promote, or rollback
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Self

from pydantic import Field

from models.emotions import LABELS
from models.personas import Persona, PersonaName
from models.schema import FrozenModel
from serve.adapters.comparison import Figures, Verdict
from serve.adapters.tally import Tally, TallyKey
from serve.adapters.trial import Trial, Withdrawal
from serve.errors import AdapterRejected

SYNC_INTERVAL_S = 1.0  # time between two reports of a responder replica


class Version(FrozenModel):
    """An adapter version.

    Attributes:
        name: versioned name, unique among all versions.
        persona: name of the persona that the adapter was trained for.
        folder: PEFT folder, under the same path on every replica, or of a copy that they get from
            the remote store; None for a scripted engine.
        added_persona: definition that the adapter brings, None for a built-in persona.
    """

    name: str
    persona: PersonaName
    folder: Path | None = None
    added_persona: Persona | None = None


class Releases(FrozenModel):
    """Resident versions, and the history of promoted versions of each persona.

    Attributes:
        versions: resident versions, oldest first.
        promoted: names of promoted versions by persona. The last is in use; rollback removes it.
        configured: names of the versions that the configuration file led to.
        revision: number of changes since then.
        trials: version on trial next to the one in use, by persona.
        withdrawn: last trial of a persona that the guard has ended, until the next change of it or
            a rollback, which acknowledges it.
        pending: true while a change waits for the replicas, which may still undo it. They follow
            such a state, but a new controller never takes it over.
    """

    versions: tuple[Version, ...] = ()
    promoted: dict[PersonaName, tuple[str, ...]] = Field(default_factory=dict)
    configured: tuple[str, ...] = ()
    revision: int = 0
    trials: dict[PersonaName, Trial] = Field(default_factory=dict)
    withdrawn: dict[PersonaName, Withdrawal] = Field(default_factory=dict)
    pending: bool = False

    @classmethod
    def initial(cls, versions: Iterable[Version]) -> Self:
        """Return the state before any change: every configured version is promoted."""
        found = tuple(versions)
        promoted = {version.persona: (version.name,) for version in found}
        names = tuple(version.name for version in found)
        return cls(versions=found, promoted=promoted, configured=names)

    @property
    def aliases(self) -> dict[str, str]:
        """Name of the version in use, by persona."""
        return {persona: names[-1] for persona, names in self.promoted.items()}

    @property
    def added_personas(self) -> dict[str, Persona]:
        """Personas in use that are not built in, by name."""
        in_use = set(self.aliases.values())
        return {
            version.persona: version.added_persona
            for version in self.versions
            if version.added_persona and version.name in in_use
        }

    def share_of(self, version: Version) -> float:
        """Return the part of its persona's conversations that a version answers."""
        trial = self.trials.get(version.persona)
        if trial and trial.name == version.name:
            return trial.share
        if self.aliases.get(version.persona) != version.name:
            return 0.0
        return round(1 - trial.share, 6) if trial else 1.0

    def compared(self) -> dict[str, tuple[TallyKey, TallyKey]]:
        """Return the keys of the counts of the old and the new version of each trial."""
        return {
            persona: ((self.aliases[persona], trial.started), (trial.name, trial.started))
            for persona, trial in self.trials.items()
        }

    def supersedes(self, other: Self) -> bool:
        """Return whether this is a later state than `other` of the same configuration."""
        return self.configured == other.configured and self.revision > other.revision

    def publish(self, version: Version, capacity: int) -> Self:
        """Return a state with one more resident version.

        Where `capacity` is reached, the oldest version that is not in use is removed.

        Raises:
            AdapterRejected: the version is resident already, or every slot is in use.
        """
        if any(version.name == known.name for known in self.versions):
            raise AdapterRejected(f"{version.name} is already published; promote it to use it")
        in_use = {*self.aliases.values(), *(trial.name for trial in self.trials.values())}
        idle = [known for known in self.versions if known.name not in in_use]
        free = capacity - (len(self.versions) - len(idle)) - 1
        if free < 0:
            raise AdapterRejected(
                f"all {capacity} adapter slots are in use; roll back an added persona first"
            )
        removed = idle[: max(len(idle) - free, 0)]
        resident = tuple(known for known in self.versions if known not in removed)
        return self.model_copy(update={"versions": (*resident, version)})

    def promote(self, name: str) -> Self:
        """Return a state in which the named version is used for its persona. A trial of it ends.

        Raises:
            AdapterRejected: the version is not resident.
        """
        version = self.find(name)
        earlier = tuple(known for known in self.promoted.get(version.persona, ()) if known != name)
        promoted = self.promoted | {version.persona: (*earlier, name)}
        ended = self._without_trial(version.persona)
        return ended.model_copy(update={"promoted": promoted})

    def try_out(self, trial: Trial) -> Self:
        """Return a state in which a version answers a share of its persona's conversations.

        Raises:
            AdapterRejected: the version is not resident, there is no other one to compare with, or
                the guard has just ended its trial.
        """
        persona = self.find(trial.name).persona
        if self.aliases.get(persona) in {None, trial.name}:
            raise AdapterRejected(
                f"{trial.name} has no other version of {persona} in use to compare it with;"
                " promote it without a share"
            )
        ended = self.withdrawn.get(persona)
        if ended and ended.trial.name == trial.name:
            raise AdapterRejected(
                f"the guard ended the trial of {trial.name}: {ended.reason}; promote it without a"
                f" share, or roll back {persona} to acknowledge that and try it again"
            )
        running = self.trials.get(persona)
        same = running is not None and (running.name, running.share) == (trial.name, trial.share)
        started = running.started if running and same else self.revision + 1
        kept = trial.model_copy(update={"started": started})
        others = self._without_trial(persona)
        return others.model_copy(update={"trials": others.trials | {persona: kept}})

    def withdraw(self, persona: str, withdrawal: Withdrawal) -> Self:
        """Return a state in which the guard has ended the trial of a persona."""
        ended = self._without_trial(persona)
        return ended.model_copy(update={"withdrawn": ended.withdrawn | {persona: withdrawal}})

    def find(self, name: str) -> Version:
        """Return a resident version. Raises AdapterRejected if there is none of that name."""
        version = next((known for known in self.versions if known.name == name), None)
        if version is None:
            published = ", ".join(known.name for known in self.versions)
            raise AdapterRejected(f"{name} is not published; published versions: {published}")
        return version

    def _without_trial(self, persona: str) -> Self:
        trials = {known: trial for known, trial in self.trials.items() if known != persona}
        withdrawn = {known: one for known, one in self.withdrawn.items() if known != persona}
        return self.model_copy(update={"trials": trials, "withdrawn": withdrawn})

    def rollback(self, persona: str) -> Self:
        """Return a state in which the persona's previous version is used.

        If there is a trial, only that ends, and the version in use stays. If the guard has ended
        one, that is acknowledged, and nothing else changes. An added persona without a previous
        resident version is no longer available.

        Raises:
            AdapterRejected: the persona is unknown, or built in with no earlier resident version.
        """
        if persona in self.trials or persona in self.withdrawn:
            return self._without_trial(persona)
        *earlier, _ = self.promoted.get(persona, ("",))
        resident = {version.name for version in self.versions}
        left = tuple(name for name in earlier if name in resident)
        if not left and (persona in LABELS or persona not in self.promoted):
            raise AdapterRejected(f"no earlier version of {persona} is resident; publish one first")
        promoted = {known: names for known, names in self.promoted.items() if known != persona}
        if left:
            promoted[persona] = left
        return self._without_trial(persona).model_copy(update={"promoted": promoted})


@dataclass(frozen=True, slots=True)
class ReplicaReport:
    """State of one responder replica, as it reports it to the controller.

    Attributes:
        replica: unique id of the replica.
        resident: names of the loaded versions.
        rejected: reason by name, for every version that failed validation.
        aliases: name of the version in use, by persona.
        desired: last state without a pending change that the replica received from a controller.
        trials: version on trial, by persona.
        tallies: counts of the versions that are compared, since their trial began.
    """

    replica: str
    resident: frozenset[str]
    rejected: dict[str, str]
    aliases: dict[str, str]
    desired: Releases | None = None
    trials: dict[str, Trial] = field(default_factory=dict)
    tallies: dict[TallyKey, Tally] = field(default_factory=dict)


class VersionFigures(FrozenModel):
    """A version that is compared, and its figures."""

    name: str
    share: float
    figures: Figures


class TrialStatus(FrozenModel):
    """A trial, for operators.

    Attributes:
        old: version in use.
        new: version on trial.
        reason: what is worse, or what is still needed; empty if the new version is no worse.
        rolled_back_at: time in UTC at which the guard ended the trial; None while it runs.
    """

    persona: str
    old: VersionFigures
    new: VersionFigures
    verdict: Verdict
    reason: str
    rolled_back_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ControllerStatus:
    """Desired state and the live replicas, for operators.

    Attributes:
        releases: desired state.
        replicas: latest report of each live replica, by its id.
        trials: comparisons that go on, and those that the guard has ended.
    """

    releases: Releases
    replicas: dict[str, ReplicaReport] = field(default_factory=dict)
    trials: tuple[TrialStatus, ...] = ()
