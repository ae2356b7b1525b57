"""Trial of an adapter version: it answers a share of its persona's conversations.

A conversation stays with one version, on every replica and without any state: a hash of the
conversation and of the version decides.
"""

import hashlib
from collections.abc import Sequence

from pydantic import Field

from models.prompt import Turn
from models.schema import FrozenModel

HASH_BYTES = 8
HASHES = 256.0**HASH_BYTES


class Trial(FrozenModel):
    """A version on trial.

    Attributes:
        name: versioned name.
        share: part of the conversations that it answers.
    """

    name: str
    share: float = Field(gt=0, lt=1)

    def takes(self, conversation: str) -> bool:
        """Return whether the version on trial answers a conversation."""
        digest = hashlib.sha256(f"{self.name}\0{conversation}".encode("utf-8", "replace")).digest()
        return int.from_bytes(digest[:HASH_BYTES]) < self.share * HASHES


def conversation_of(user: str | None, turns: Sequence[Turn]) -> str:
    """Return what is the same for all messages of a conversation: its user, else its first turn."""
    return f"user {user}" if user else f"turn {turns[0].text}"
