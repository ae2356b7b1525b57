"""Policy for messages that speak of harm, read from `safety.toml`: words, voice and helplines."""

import tomllib
from functools import cache
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from models.emotions import Emotion
from models.safety.levels import Category
from models.schema import FrozenModel

POLICY = Path(__file__).with_name("safety.toml")


class Line(FrozenModel):
    """A helpline."""

    name: str
    reach: str
    source: str = Field(description="page that states it")


class Region(FrozenModel):
    """Emergency number and helplines of a region."""

    emergency: str | None = None
    lines: tuple[Line, ...] = Field(min_length=1)


class Helplines(FrozenModel):
    """The table. `regions` are ISO 3166 codes of two letters."""

    everywhere: Region
    regions: dict[str, Region]

    def of(self, region: str | None) -> Region:
        """Return the entry of a region; one that is not listed gets directories of helplines."""
        return self.regions.get((region or "").upper(), self.everywhere)


class Concern(FrozenModel):
    """Answer to a message of concern: fixed words, or those of a persona."""

    words: tuple[str, ...] = Field((), description="texts, one after the other in a conversation")
    persona: Emotion | None = Field(None, description="who answers, if there are no words")
    temperature: float = Field(0.3, ge=0, le=1, description="the highest that the persona uses")
    line: str = Field(description="last line of the answer")

    @model_validator(mode="after")
    def _one_kind_of_answer(self) -> Self:
        if bool(self.words) == bool(self.persona):
            raise ValueError("[concern] needs `words` or `persona`, and not both: remove one")
        return self


class Policy(FrozenModel):
    """The whole file."""

    crisis: dict[str, str]
    concern: Concern
    helplines: Helplines


@cache
def policy() -> Policy:
    """Return the policy. Raises pydantic's ValidationError for a malformed file."""
    return Policy.model_validate(tomllib.loads(POLICY.read_text("utf-8")))


def crisis_reply(category: Category, region: str | None) -> str:
    """Return the whole text of the answer to a crisis."""
    words = policy().crisis
    table = policy().helplines
    here = table.of(region)
    directories = table.everywhere.lines
    lines = directories if here is table.everywhere else (*here.lines, *directories[:1])
    reach = "; ".join(f"{line.name}: {line.reach}" for line in lines)
    emergency = words["emergency_unknown"]
    if here.emergency:
        emergency = words["emergency"].format(emergency=here.emergency)
    return f"{words[category]} {emergency} {reach}."


def concern_reply(user_turns: int, region: str | None) -> str:
    """Return the whole text of the answer to a concern whose words the policy fixes.

    Args:
        user_turns: messages of the user so far: the words change from turn to turn.
        region: selects the helpline.
    """
    words = policy().concern.words
    return f"{words[(user_turns - 1) % len(words)]}\n\n{concern_line(region)}"


def concern_line(region: str | None) -> str:
    """Return the line that ends the answer to a message of concern."""
    first = policy().helplines.of(region).lines[0]
    return policy().concern.line.format(helpline=f"{first.name}, {first.reach}")
