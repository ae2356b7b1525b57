"""What is never amplified: a message that speaks of harming oneself or somebody else. It does not know of personas or HTTP."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Protocol

from serve.config import SafetyConfig


class Category(StrEnum):
    """Why a message is answered calmly, and by nobody's emotion."""

    SELF_HARM = "self-harm"
    VIOLENCE = "violence"


class Checker(Protocol):
    """Says of the user's messages of a conversation, in order, whether one speaks of harm."""

    async def check(self, texts: Sequence[str]) -> Category | None: ...


class RulesChecker:
    """The rules of `serve.safety_rules`: less than a millisecond a text, so it runs where the request is."""

    async def check(self, texts: Sequence[str]) -> Category | None:
        from serve.safety_rules import category_of

        found = (category_of(text) for text in reversed(texts))
        return next((category for category in found if category is not None), None)


class NoChecker:
    async def check(self, texts: Sequence[str]) -> Category | None:
        return None


def open_checker(config: SafetyConfig) -> Checker:
    return RulesChecker() if config.kind == "rules" else NoChecker()
