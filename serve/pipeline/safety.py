"""Safety reply to a message that speaks of harm: neutral text and helplines of the region."""

import tomllib
from functools import cache
from pathlib import Path

from pydantic import Field

from models.detector.harm import Category
from models.schema import FrozenModel

TABLE = Path(__file__).with_name("helplines.toml")


class Line(FrozenModel):
    """A helpline."""

    name: str
    reach: str
    source: str = Field(description="page that states it")


class Region(FrozenModel):
    """Emergency number and helplines of a region."""

    emergency: str | None = None
    lines: tuple[Line, ...]


class Helplines(FrozenModel):
    """The table. `regions` are ISO 3166 codes of two letters."""

    words: dict[str, str]
    everywhere: Region
    regions: dict[str, Region]


@cache
def helplines() -> Helplines:
    """Return the table. Raises pydantic's ValidationError for a malformed file."""
    return Helplines.model_validate(tomllib.loads(TABLE.read_text("utf-8")))


def safety_reply(category: Category, region: str | None) -> str:
    """Return the text. A region that the table does not have gets directories of helplines."""
    table = helplines()
    here = table.regions.get((region or "").upper(), table.everywhere)
    directories = table.everywhere.lines
    lines = directories if here is table.everywhere else (*here.lines, *directories[:1])
    reach = "; ".join(f"{line.name}: {line.reach}" for line in lines)
    emergency = table.words["emergency_unknown"]
    if here.emergency:
        emergency = table.words["emergency"].format(emergency=here.emergency)
    return f"{table.words[category]} {emergency} {reach}."
