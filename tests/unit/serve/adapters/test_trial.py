"""Trial of a version: its share of the conversations, and that each stays with one version."""

import hashlib

import pytest
from pydantic import ValidationError

from models.prompt import Turn
from serve.adapters.trial import Trial, conversation_of

CONVERSATIONS = [f"turn {number}" for number in range(10_000)]


@pytest.mark.parametrize("share", [0.001, 0.1, 0.5, 0.9])
def test_takes_its_share_of_the_conversations(share: float) -> None:
    trial = Trial(name="joy@2", share=share)
    taken = sum(map(trial.takes, CONVERSATIONS))
    deviation = (len(CONVERSATIONS) * share * (1 - share)) ** 0.5
    assert abs(taken - len(CONVERSATIONS) * share) < 4 * deviation


def test_the_hash_of_version_and_conversation_decides() -> None:
    first = int(hashlib.sha256(b"joy@2\0turn hello").hexdigest()[:16], 16) / 2**64
    assert Trial(name="joy@2", share=first + 1e-9).takes("turn hello")
    assert not Trial(name="joy@2", share=first - 1e-9).takes("turn hello")


def test_a_larger_share_keeps_the_conversations_of_a_smaller_one() -> None:
    small, large = (Trial(name="joy@2", share=share) for share in (0.1, 0.3))
    assert all(large.takes(one) for one in CONVERSATIONS if small.takes(one))


def test_each_version_is_tried_by_others() -> None:
    one, other = (Trial(name=name, share=0.1) for name in ("joy@2", "joy@3"))
    both = sum(one.takes(text) and other.takes(text) for text in CONVERSATIONS)
    assert 50 < both < 150, "a hundredth, and not a tenth"


def test_a_conversation_is_its_user_or_else_its_first_turn() -> None:
    turns = (Turn("user", "hello"), Turn("assistant", "Oh"), Turn("user", "bye"))
    assert conversation_of(None, turns) == conversation_of(None, turns[:1])
    assert conversation_of(None, turns) != conversation_of(None, turns[2:])
    assert conversation_of("ann", turns) == conversation_of("ann", turns[2:])
    assert conversation_of("hello", turns) != conversation_of(None, turns)


def test_text_that_is_no_unicode_is_hashed_too() -> None:
    assert Trial(name="joy@2", share=0.999_999).takes("turn \ud800")


@pytest.mark.parametrize("share", [0, 1, -0.1, 1.1])
def test_a_share_is_neither_nothing_nor_everything(share: float) -> None:
    with pytest.raises(ValidationError):
        Trial(name="joy@2", share=share)
