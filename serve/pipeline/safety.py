"""The calm answer to a message that speaks of harm: words of nobody's emotion, and who can be reached, by region."""

import tomllib
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from models.detector.harm import Category

TABLE = Path(__file__).with_name("helplines.toml")


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Line(_Strict):
    """Somebody who can be reached. `source` is the page that says so."""

    name: str
    reach: str
    source: str


class Region(_Strict):
    emergency: str | None = None
    lines: tuple[Line, ...]


class Care(_Strict):
    """The table. `regions` are ISO 3166 codes of two letters."""

    words: dict[str, str]
    everywhere: Region
    regions: dict[str, Region]


@cache
def table() -> Care:
    return Care.model_validate(tomllib.loads(TABLE.read_text("utf-8")))


def calm_answer(category: Category, region: str | None) -> str:
    """What is said instead of a persona's answer. A region without a certain line gets a directory of helplines."""
    care = table()
    here = care.regions.get((region or "").upper(), care.everywhere)
    directory = care.everywhere.lines
    people = "; ".join(f"{line.name}: {line.reach}" for line in (directory if here is care.everywhere else (*here.lines, *directory[:1])))
    danger = care.words["emergency"].format(emergency=here.emergency) if here.emergency else care.words["emergency_unknown"]
    return f"{care.words[category]} {danger} {people}."
