"""Counts of the versions that this replica compares, since their trial began.

Of each conversation one answer of a version counts: the intervals of the comparison are those of
independent answers. Only hashes of the conversations are kept, which differ between processes.
"""

from serve.adapters.registry import Releases
from serve.adapters.tally import Tally, TallyKey

CONVERSATIONS = 100_000  # of a version, some 8 MB; later ones are not counted


class TrialTallies:
    """Counts by version. They begin at zero with each trial, and end with it."""

    def __init__(self) -> None:
        """Count nothing until there is a trial."""
        self.current: dict[TallyKey, Tally] = {}
        self._conversations: dict[TallyKey, set[int]] = {}

    def follow(self, desired: Releases) -> None:
        """Count the versions that a state compares, and forget the others."""
        keys = [key for pair in desired.compared().values() for key in pair]
        self.current = {key: self.current.get(key, Tally()) for key in keys}
        self._conversations = {key: self._conversations.get(key, set()) for key in keys}

    def count(self, version: str, conversation: str, tally: Tally) -> bool:
        """Add an answer to the counts of a version, and return whether that was done.

        It is not if the version is not compared, if an answer of the conversation is counted
        already, or if `CONVERSATIONS` of them are.
        """
        for key, counted in self._conversations.items():
            new = key[0] == version and hash(conversation) not in counted
            if new and len(counted) < CONVERSATIONS:
                counted.add(hash(conversation))
                self.current[key] += tally
                return True
        return False

    def add(self, version: str, tally: Tally) -> None:
        """Add to the counts of a version, if it is compared."""
        for key in self.current:
            if key[0] == version:
                self.current[key] += tally
