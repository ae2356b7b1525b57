"""Latest reports of the responder replicas, and waiting until all of them have applied a change."""

import asyncio
import time
from collections.abc import Callable

from serve.adapters.registry import ReplicaReport
from serve.errors import AdapterRejected, NotReady

REPLICA_TIMEOUT_S = 10.0  # a replica without a report for this long is considered gone
CHANGE_TIMEOUT_S = 90.0


class ReplicaReports:
    """Latest report of each live replica."""

    def __init__(self) -> None:
        """Start without any replica."""
        self._received = asyncio.Condition()
        self._reports: dict[str, tuple[float, ReplicaReport]] = {}

    async def record(self, report: ReplicaReport) -> None:
        """Store a report and wake up the waiting change, if there is one."""
        async with self._received:
            self._reports[report.replica] = (time.monotonic(), report)
            self._received.notify_all()

    def live(self) -> dict[str, ReplicaReport]:
        """Return the latest report of each live replica, by its id."""
        return {name: report for name, (_, report) in self._recent().items()}

    async def wait_until(
        self, applied: Callable[[ReplicaReport], bool], version: str | None = None
    ) -> None:
        """Wait until every live replica has reported, after this call, that it applied a change.

        Args:
            applied: tells from a report whether the replica applied the change.
            version: name of the version that the change loads, None if it loads none.

        Raises:
            AdapterRejected: a replica rejected the version.
            NotReady: there is no replica, or not all of them applied the change in time.
        """
        since_s = time.monotonic()
        try:
            async with asyncio.timeout(CHANGE_TIMEOUT_S), self._received:
                while not self._all_applied(since_s, applied, version):
                    await self._received.wait()
        except TimeoutError as error:
            raise NotReady(
                f"timed out after {CHANGE_TIMEOUT_S:g} s: not every responder replica applied the"
                " change, so it was undone; check the replicas and retry"
            ) from error

    def _all_applied(
        self, since_s: float, applied: Callable[[ReplicaReport], bool], version: str | None
    ) -> bool:
        """Check for rejections first: a version that one replica rejects is not usable anywhere."""
        recent = self._recent()
        new = [report for received_s, report in recent.values() if received_s >= since_s]
        for report in new:
            if version in report.rejected:
                raise AdapterRejected(report.rejected[version])
        return bool(recent) and len(new) == len(recent) and all(map(applied, new))

    def _recent(self) -> dict[str, tuple[float, ReplicaReport]]:
        """Forget replicas that are gone, and return the others with the times of their reports."""
        oldest_s = time.monotonic() - REPLICA_TIMEOUT_S
        self._reports = {
            name: entry for name, entry in self._reports.items() if entry[0] > oldest_s
        }
        return self._reports
