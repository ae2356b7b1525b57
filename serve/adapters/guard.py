"""Guard of trials: adds up the counts of all replicas, and ends the trial of a worse version.

replica's report -> latest counts of each replica -> sum -> comparison -> withdrawal
"""

import logging
from collections.abc import Mapping
from datetime import UTC, datetime

from models.emotions import LABELS
from serve.adapters.comparison import Comparison, Verdict, compare, figures
from serve.adapters.registry import Releases, ReplicaReport, TrialStatus, VersionFigures
from serve.adapters.tally import Tally, TallyKey
from serve.adapters.trial import Withdrawal
from serve.config import GuardConfig
from serve.json_log import json_log
from serve.metrics import gauge

log = logging.getLogger(__name__)
Counts = tuple[Tally, Tally]  # of the old and of the new version


class Guard:
    """Counts of the trials that run. Those of a replica that is gone still count."""

    def __init__(self, config: GuardConfig) -> None:
        """Start without counts. The next reports bring those since each trial began."""
        self._config = config
        self._tallies: dict[str, Mapping[TallyKey, Tally]] = {}
        self._withdrawn = gauge(
            "fye_trial_withdrawn", "Whether the guard ended a persona's last trial", ("persona",)
        )
        self._audit = json_log()

    def record(self, report: ReplicaReport, releases: Releases) -> None:
        """Replace the counts of a replica, and forget those of trials that have ended."""
        if report.tallies:
            self._tallies[report.replica] = report.tallies
        keys = {key for pair in releases.compared().values() for key in pair}
        self._tallies = {
            replica: tallies for replica, tallies in self._tallies.items() if keys & tallies.keys()
        }

    def withdraw(self, releases: Releases) -> Releases:
        """Return the state without the trials of versions that are worse, the same if none is."""
        if not self._config.enabled:
            return releases
        for persona in releases.trials:
            counts, found = self._compare(persona, releases)
            if found.verdict is Verdict.WORSE:
                return self._withdraw(persona, counts, found.reason, releases)
        return releases

    def export(self, releases: Releases) -> None:
        """Export which personas' last trial was ended."""
        for persona in {*releases.promoted, *releases.withdrawn}:
            withdrawn = float(persona in releases.withdrawn)
            self._withdrawn.set(withdrawn, tags={"persona": persona})

    def status(self, releases: Releases) -> tuple[TrialStatus, ...]:
        """Return the trials that run, and those that were ended, by persona."""
        running = (self._running(persona, releases) for persona in releases.trials)
        ended = (_ended(persona, one) for persona, one in releases.withdrawn.items())
        return tuple(sorted((*running, *ended), key=lambda trial: trial.persona))

    def _withdraw(self, persona: str, counts: Counts, reason: str, releases: Releases) -> Releases:
        trial, old = releases.trials[persona], releases.aliases[persona]
        log.error("the trial of %s was ended, %s answers alone: %s", trial.name, old, reason)
        change = {"action": "rollback", "subject": persona, "outcome": "ok"}
        self._audit.info("admin", key="guard", **change, withdrawn=trial.name, reason=reason)
        now = datetime.now(UTC).replace(microsecond=0)
        ended = Withdrawal(trial=trial, old=old, counts=counts, at=now, reason=reason)
        return releases.withdraw(persona, ended)

    def _running(self, persona: str, releases: Releases) -> TrialStatus:
        (old, new), found = self._compare(persona, releases)
        trial = releases.trials[persona]
        return TrialStatus(
            persona=persona,
            old=_version(releases.aliases[persona], 1 - trial.share, old),
            new=_version(trial.name, trial.share, new),
            verdict=found.verdict,
            reason=found.reason,
        )

    def _compare(self, persona: str, releases: Releases) -> tuple[Counts, Comparison]:
        old, new = (self._sum(key) for key in releases.compared()[persona])
        has_emotion = persona in LABELS and self._config.classified > 0
        return (old, new), compare(old, new, self._config, has_emotion)

    def _sum(self, key: TallyKey) -> Tally:
        return sum((one[key] for one in self._tallies.values() if key in one), Tally())


def _ended(persona: str, withdrawal: Withdrawal) -> TrialStatus:
    old, new = withdrawal.counts
    trial = withdrawal.trial
    return TrialStatus(
        persona=persona,
        old=_version(withdrawal.old, 1 - trial.share, old),
        new=_version(trial.name, trial.share, new),
        verdict=Verdict.WORSE,
        reason=withdrawal.reason,
        rolled_back_at=withdrawal.at,
    )


def _version(name: str, share: float, tally: Tally) -> VersionFigures:
    return VersionFigures(name=name, share=round(share, 6), figures=figures(tally))
