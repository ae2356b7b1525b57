"""Output of the chat for a reply: bars, name, wrapped text, cost, errors."""

import io
import json
import unicodedata
from typing import Any

import pytest
from httpx_sse import ServerSentEvent
from rich.console import Console

from models.emotions import LABELS, Emotion
from models.personas import builtin_personas
from serve.cli.chat.display import BAR_WIDTH, CALM, TEXT_WIDTH, ReplyView, Said, bars

SCORES = {"sadness": 0.0, "joy": 0.5, "love": 0.25, "anger": 0.25, "fear": 0.0, "surprise": 0.0}
DONE = {"usage": {"completion_tokens": 7}, "timings_ms": {"total": 1234.5}}
PROBLEM = {"type": "urn:face-your-emotions:invalid-request", "detail": "not [bold]valid[/nothing]"}


@pytest.fixture
def console() -> Console:
    return Console(record=True, width=100, file=io.StringIO(), highlight=False)


def event(name: str, **data: Any) -> ServerSentEvent:
    return ServerSentEvent(event=name, data=json.dumps(data))


def show(view: ReplyView, *events: ServerSentEvent) -> Said:
    for one in events:
        view.show(one)
    return view.said


def emotion(label: str) -> ServerSentEvent:
    return event("emotion", label=label, scores=SCORES)


def test_shows_bars_then_name_and_text_then_cost(console: Console) -> None:
    deltas = [event("delta", text=" You"), event("delta", text=" did!")]
    said = show(ReplyView(console), emotion("joy"), *deltas, event("done", **DONE))
    *shown, reply, cost = [line for line in console.export_text().splitlines() if line.strip()]
    assert [line.split()[0] for line in shown] == list(LABELS)
    assert reply == f"{builtin_personas()[Emotion.JOY].emoji} Joy > You did!"
    assert cost == "7 tokens, 1.2 s"
    assert (said.speaker, said.text) == ("Joy", "You did!")


def test_reply_has_the_personas_colour(console: Console) -> None:
    show(ReplyView(console), emotion("anger"), event("delta", text="Enough! "))
    colour = builtin_personas()[Emotion.ANGER].colour
    html = console.export_html(inline_styles=True)
    assert f'<span style="color: {colour}; text-decoration-color: {colour}">Enough!</span>' in html


def test_never_interprets_text_as_markup(console: Console) -> None:
    delta = event("delta", text="[/] [red]a[/red] \\")
    show(ReplyView(console), emotion("joy"), delta, event("error", **PROBLEM))
    text = console.export_text()
    assert "[/] [red]a[/red] \\" in text
    assert "not [bold]valid[/nothing]" in text


def test_an_error_names_the_fields_that_are_not_valid(console: Console) -> None:
    errors = [{"field": "blend", "problem": "unknown persona; known are joy"}]
    show(ReplyView(console), event("error", detail="the request is not valid", errors=errors))
    shown = console.export_text().strip()
    assert shown == "the request is not valid; blend: unknown persona; known are joy"


@pytest.mark.parametrize(
    "last", [event("error", detail="no\x1b[2J\x9b", errors=[]), event("done", **DONE)]
)
def test_sends_no_control_characters_to_a_terminal(last: ServerSentEvent) -> None:
    output = io.StringIO()
    console = Console(width=100, file=output, force_terminal=True, color_system=None)
    said = show(ReplyView(console), event("delta", text="a\x1b[2J\x1b]0;x\x9b\x07\rb\n\tc "), last)
    assert said.text == "a[2J]0;x b\n\tc "
    found = {one for one in output.getvalue() if unicodedata.category(one) == "Cc"}
    assert found == {"\n"}


def test_no_line_is_too_wide_and_no_word_is_broken(console: Console) -> None:
    words = [f"word{number}" for number in range(60)]
    deltas = [event("delta", text=part) for part in "".join(f" {word}" for word in words)]
    view = ReplyView(console, with_bars=False)
    show(view, emotion("joy"), *deltas, event("done", **DONE))
    lines = console.export_text().splitlines()
    assert max(map(len, lines)) <= TEXT_WIDTH
    assert " ".join(" ".join(lines).split(" > ")[1].split()[: len(words)]) == " ".join(words)


def test_a_safety_reply_is_no_personas(console: Console) -> None:
    safety = event("safety", category="self-harm", action="calm-answer")
    events = [emotion("anger"), safety, event("delta", text="Please call."), event("done", **DONE)]
    said = show(ReplyView(console, with_bars=False), *events)
    text = console.export_text()
    assert "No emotion answers this one" in text
    assert f"{CALM} > Please call." in text
    assert (said.speaker, "Anger" in text) == (CALM, False)


def test_a_gentle_answer_is_no_personas(console: Console) -> None:
    safety = event("safety", level="concern", category=None, action="gentle-answer")
    events = [emotion("love"), safety, event("delta", text="Oh."), event("done", **DONE)]
    assert show(ReplyView(console, with_bars=False), *events).speaker == CALM
    assert "A gentle answer" in console.export_text()


def test_bar_length_follows_the_score_and_is_never_empty(console: Console) -> None:
    console.print(bars(SCORES))
    lines = {line.split()[0]: line.split()[1:] for line in console.export_text().splitlines()}
    assert lines["joy"] == ["█" * (BAR_WIDTH // 2), "50%"]
    assert lines["love"] == ["█" * (BAR_WIDTH // 4), "25%"]
    assert lines["fear"] == ["▏", "0%"]
