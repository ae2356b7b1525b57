"""Counts of the versions that are compared, added up over the replicas of the whole trial."""

import time
from collections.abc import Callable, Mapping, Set

from pydantic import Field

from models.schema import FrozenModel
from serve.adapters.tally import Tally, TallyKey

# Without a report. Long, since a replica that was gone is not counted again.
GONE_S = 120.0
Counted = tuple[tuple[TallyKey, Tally], ...]


class SavedCounts(FrozenModel):
    """Counts in a file, so that they survive a restart.

    Attributes:
        replicas: latest counts by replica.
        gone: ids of the replicas that are in the sum.
        sum: counts of these.
    """

    replicas: dict[str, Counted] = Field(default_factory=dict)
    gone: tuple[str, ...] = ()
    sum: Counted = ()


class TrialCounts:
    """Latest counts of each replica, and one sum of those of the replicas that are gone.

    A replica whose counts are in the sum is not counted again if it reports after all.

    Attributes:
        latest: time and counts of the last report of each replica that is not gone.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Start without counts. The next reports bring those since each trial began."""
        self._clock = clock
        self.latest: dict[str, tuple[float, Mapping[TallyKey, Tally]]] = {}
        self._sum: dict[TallyKey, Tally] = {}
        self._gone: set[str] = set()

    def record(
        self, replica: str, tallies: Mapping[TallyKey, Tally], compared: Set[TallyKey]
    ) -> None:
        """Replace the counts of a replica, and forget what is not compared any more."""
        now_s = self._clock()
        if tallies and replica not in self._gone:
            self.latest[replica] = (now_s, tallies)
        self.latest = {
            name: (seen_s, counts)
            for name, (seen_s, counts) in self.latest.items()
            if compared & counts.keys()
        }
        self._sum = {key: tally for key, tally in self._sum.items() if key in compared}
        for name, (seen_s, counts) in tuple(self.latest.items()):
            if now_s - seen_s > GONE_S:
                self._add(name, {key: counts[key] for key in compared & counts.keys()})
        if not self._sum:
            self._gone.clear()

    def saved(self) -> SavedCounts:
        """Return all counts."""
        replicas = {name: tuple(counts.items()) for name, (_, counts) in self.latest.items()}
        return SavedCounts(
            replicas=replicas, gone=tuple(sorted(self._gone)), sum=tuple(self._sum.items())
        )

    def restore(self, saved: SavedCounts) -> None:
        """Start with earlier counts. A replica that still runs replaces its own."""
        now_s = self._clock()
        self.latest = {name: (now_s, dict(counts)) for name, counts in saved.replicas.items()}
        self._gone = set(saved.gone)
        self._sum = dict(saved.sum)

    def of(self, key: TallyKey) -> Tally:
        """Return the counts of a version."""
        latest = (counts[key] for _, counts in self.latest.values() if key in counts)
        return sum(latest, self._sum.get(key, Tally()))

    def _add(self, replica: str, counts: Mapping[TallyKey, Tally]) -> None:
        """Move the counts of a replica to the sum."""
        del self.latest[replica]
        self._gone.add(replica)
        for key, tally in counts.items():
            self._sum[key] = self._sum.get(key, Tally()) + tally
