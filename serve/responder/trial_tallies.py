"""Counts of the versions that this replica compares, since their trial began."""

from serve.adapters.registry import Releases
from serve.adapters.tally import Tally, TallyKey


class TrialTallies:
    """Counts by version. They start anew with each trial, and end with it."""

    def __init__(self) -> None:
        """Count nothing until there is a trial."""
        self.current: dict[TallyKey, Tally] = {}

    def follow(self, desired: Releases) -> None:
        """Count the versions that a state compares, and forget the others."""
        keys = [key for pair in desired.compared().values() for key in pair]
        self.current = {key: self.current.get(key, Tally()) for key in keys}

    def counts(self, version: str | None) -> bool:
        """Return whether a version is compared."""
        return any(name == version for name, _ in self.current)

    def add(self, version: str, tally: Tally) -> None:
        """Add to the counts of a version, if it is compared."""
        for key in self.current:
            if key[0] == version:
                self.current[key] += tally
