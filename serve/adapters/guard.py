"""Guard of trials: adds up the counts of all replicas, and ends the trial of a worse version.

replica's report -> counts of all replicas -> comparison -> withdrawal -> audit line
                              |
                    file, for the next start
"""

import logging
import time
from datetime import UTC, datetime
from pathlib import Path

from models.emotions import LABELS
from serve.adapters.comparison import Comparison, Verdict, compare, figures
from serve.adapters.registry import Releases, ReplicaReport, TrialStatus, VersionFigures
from serve.adapters.tally import Tally
from serve.adapters.trial import Withdrawal
from serve.adapters.trial_counts import SavedCounts, TrialCounts
from serve.config import GuardConfig
from serve.telemetry.json_log import json_log
from serve.telemetry.metrics import gauge

log = logging.getLogger(__name__)
Counts = tuple[Tally, Tally]  # of the old and of the new version
SAVE_INTERVAL_S = 10.0


class Guard:
    """Counts of the trials that run, and the ends of some of them."""

    def __init__(self, config: GuardConfig, file: Path | None = None) -> None:
        """Start without counts, and write them to `file`, if there is one."""
        self._config = config
        self._counts = TrialCounts()
        self._file = file
        self._saved = SavedCounts()
        self._save_at_s = 0.0
        self._unaudited: dict[str, Withdrawal] = {}
        self._exported: set[str] = set()
        self._withdrawn = gauge(
            "fye_trial_withdrawn", "Whether the guard ended a persona's last trial", ("persona",)
        )
        self._audit = json_log()

    def record(self, report: ReplicaReport, releases: Releases) -> None:
        """Replace the counts of a replica, and forget those of trials that have ended."""
        keys = {key for pair in releases.compared().values() for key in pair}
        self._counts.record(report.replica, report.tallies, keys)
        self._save()

    def restore(self, releases: Releases) -> None:
        """Read the counts of the trials that run in a restored state, or log that they are lost."""
        if self._file is None or not releases.trials:
            return
        try:
            self._counts.restore(SavedCounts.model_validate_json(self._file.read_bytes()))
        except (OSError, ValueError) as error:
            names = ", ".join(trial.name for trial in releases.trials.values())
            reason = type(error).__name__
            log.warning("cannot read %s (%s): trial of %s counts from 0", self._file, reason, names)

    def _save(self) -> None:
        """Write the counts from time to time. If that fails, it is tried again later."""
        now_s = time.monotonic()
        if self._file is None or now_s < self._save_at_s:
            return
        self._save_at_s = now_s + SAVE_INTERVAL_S
        saved = self._counts.saved()
        if saved == self._saved:
            return
        try:
            new = self._file.with_suffix(".new-counts")
            new.write_text(saved.model_dump_json(), "utf-8")
            new.replace(self._file)
        except OSError as error:
            log.warning("cannot write %s (%s), trying again", self._file, type(error).__name__)
        else:
            self._saved = saved

    def withdraw(self, releases: Releases) -> Releases:
        """Return the state without the trials of versions that are worse, the same if none is."""
        if not self._config.enabled:
            return releases
        for persona in releases.trials:
            counts, found = self._compare(persona, releases)
            if found.verdict is Verdict.WORSE:
                return self._withdraw(persona, counts, found.reason, releases)
        return releases

    @property
    def has_unaudited(self) -> bool:
        """True while a withdrawal has no line in the audit log."""
        return bool(self._unaudited)

    def audit(self) -> None:
        """Write the audit lines of the withdrawals, once the state without the trials is kept."""
        for persona, ended in self._unaudited.items():
            change = {"action": "rollback", "subject": persona, "outcome": "ok"}
            found = {"withdrawn": ended.trial.name, "reason": ended.reason}
            self._audit.info("admin", key="guard", **change, **found)
        self._unaudited.clear()

    def export(self, releases: Releases) -> None:
        """Export which personas' last trial was ended. A persona may be removed since then."""
        self._exported |= {*releases.promoted, *releases.withdrawn}
        for persona in self._exported:
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
        now = datetime.now(UTC).replace(microsecond=0)
        ended = Withdrawal(trial=trial, old=old, counts=counts, at=now, reason=reason)
        self._unaudited[persona] = ended
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
        old, new = map(self._counts.of, releases.compared()[persona])
        has_emotion = persona in LABELS and self._config.classified > 0
        return (old, new), compare(old, new, self._config, has_emotion)


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
