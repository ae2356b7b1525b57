"""Safety reply and its table of helplines."""

import pytest

from models.detector.harm import Category
from serve.pipeline.safety import helplines, safety_reply


@pytest.mark.parametrize("category", list(Category))
@pytest.mark.parametrize("region", [*helplines().regions, None, "XX", "gb"])
def test_reply_names_helplines_of_the_region(category: Category, region: str | None) -> None:
    reply = safety_reply(category, region)
    here = helplines().regions.get((region or "").upper())
    assert "findahelpline.com" in reply
    assert "{" not in reply
    if here:
        assert str(here.emergency) in reply
        assert all(f"{line.name}: {line.reach}" in reply for line in here.lines)


def test_every_helpline_has_a_source() -> None:
    table = helplines()
    lines = [
        line for region in (table.everywhere, *table.regions.values()) for line in region.lines
    ]
    assert all(line.source.startswith("https://") for line in lines)
    assert set(table.words) == {*Category, "emergency", "emergency_unknown"}
