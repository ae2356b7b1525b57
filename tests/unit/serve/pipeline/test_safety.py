"""Policy for messages that speak of harm, and its table of helplines."""

import pytest
from pydantic import ValidationError

from models.safety.levels import Category
from serve.pipeline.safety import Concern, concern_line, concern_reply, crisis_reply, policy

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


def test_words_for_a_concern_change_from_turn_to_turn_and_name_help() -> None:
    words = policy().concern.words
    replies = [concern_reply(turn, "GB") for turn in range(1, len(words) + 2)]
    assert replies == [f"{text}\n\n{concern_line('GB')}" for text in (*words, words[0])]


@pytest.mark.parametrize("answer", [{}, {"words": ("I hear you.",), "persona": "love"}])
def test_a_concern_has_one_kind_of_answer(answer: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match="words"):
        Concern.model_validate({"line": "Help exists.", **answer})
