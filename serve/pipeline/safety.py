"""Policy for messages that speak of harm, read from `safety.toml`: words, voice and helplines."""

import tomllib
from functools import cache
from pathlib import Path

from pydantic import Field

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
    """Answer to a message of concern."""

    persona: Emotion
    temperature: float = Field(ge=0, le=1, description="the highest that such an answer uses")
    line: str = Field(description="last line of the answer")


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


def concern_line(region: str | None) -> str:
    """Return the line that ends the answer to a message of concern."""
    first = policy().helplines.of(region).lines[0]
    return policy().concern.line.format(helpline=f"{first.name}, {first.reach}")
