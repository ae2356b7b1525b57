"""Policy for messages that speak of harm, and its table of helplines."""

import pytest

from models.safety.levels import Category
from serve.pipeline.safety import concern_line, crisis_reply, policy

REGIONS = [*policy().helplines.regions, None, "XX", "gb"]


@pytest.mark.parametrize("category", list(Category))
@pytest.mark.parametrize("region", REGIONS)
def test_crisis_reply_names_helplines_of_the_region(category: Category, region: str | None) -> None:
    reply = crisis_reply(category, region)
    here = policy().helplines.regions.get((region or "").upper())
    assert "findahelpline.com" in reply
    assert "{" not in reply
    if here:
        assert str(here.emergency) in reply
        assert all(f"{line.name}: {line.reach}" in reply for line in here.lines)


@pytest.mark.parametrize("region", REGIONS)
def test_line_for_a_concern_names_one_helpline_of_the_region(region: str | None) -> None:
    line = concern_line(region)
    assert "{" not in line
    assert "\n" not in line
    assert policy().helplines.of(region).lines[0].reach in line


def test_every_helpline_has_a_source() -> None:
    table = policy().helplines
    lines = [
        line for region in (table.everywhere, *table.regions.values()) for line in region.lines
    ]
    assert all(line.source.startswith("https://") for line in lines)


def test_policy_has_words_for_every_crisis_and_a_low_temperature() -> None:
    assert set(policy().crisis) == {*Category, "emergency", "emergency_unknown"}
    assert policy().concern.temperature <= 0.5
    assert policy().concern.persona in {"love", "sadness"}
