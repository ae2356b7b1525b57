"""Trial of an adapter version: it answers a share of its persona's conversations.

A conversation stays with one version, on every replica and without any state: a hash of the
conversation and of the version decides.
"""

import hashlib
from collections.abc import Sequence
from datetime import datetime

from pydantic import Field

from models.prompt import Turn
from models.schema import FrozenModel
from serve.adapters.tally import Tally

HASH_BYTES = 8
HASHES = 256.0**HASH_BYTES


class Trial(FrozenModel):
    """A version on trial.

    Attributes:
        name: versioned name.
        share: part of the conversations that it answers.
        started: revision of the state with which the trial began, with this share.
    """

    name: str
    share: float = Field(gt=0, lt=1)
    started: int = 0

    def takes(self, conversation: str) -> bool:
        """Return whether the version on trial answers a conversation."""
        digest = hashlib.sha256(f"{self.name}\0{conversation}".encode("utf-8", "replace")).digest()
        return int.from_bytes(digest[:HASH_BYTES]) < self.share * HASHES


class Withdrawal(FrozenModel):
    """Trial that the guard has ended, because the version was worse.

    Attributes:
        old: name of the version in use.
        counts: of the old and of the new version.
        at: time, in UTC.
        reason: measure that was worse.
    """

    trial: Trial
    old: str
    counts: tuple[Tally, Tally]
    at: datetime
    reason: str


def conversation_of(user: str | None, turns: Sequence[Turn]) -> str:
    """Return what is the same for all messages of a conversation: its user, else its first turn."""
    return f"user {user}" if user else f"turn {turns[0].text}"
