"""Page in a real browser on the whole graph: a conversation, refusals, hostile text, a phone."""

import ast
import json
import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, Request, expect

from models.emotions import LABELS
from support.admin_key import ADMIN_SECRET
from support.page.browser import (
    TIMEOUT_MS,
    answer,
    chromium,
    page_of,
    refuse,
    stream_of,
    violations,
)
from support.running_graph import Graph

RESPOND = "v1/respond"
EVENTS = "text/event-stream"
PHONE = {"width": 360, "height": 740}
HOSTILE = (
    '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>\'"`${hacked}`'
    ' </textarea><svg onload="window.hacked=1"> javascript:hacked \u202e end'
)
SCORES = dict.fromkeys(LABELS, 0.02) | {"joy": 0.9}
EMOTION = {"label": "joy", "score": 0.9, "scores": SCORES}
DONE = {
    "id": HOSTILE,
    "emotion": EMOTION,
    "persona": "joy",
    "adapter": HOSTILE,
    "safety": None,
    "finish_reason": HOSTILE,
    "usage": {"prompt_tokens": 1, "completion_tokens": 2},
    "timings_ms": {"queue": 0, "detect": 1, "first_token": 2, "generate": 3, "total": 6},
}
METRICS = """\
ray_serve_deployment_replica_healthy{deployment="Responder",replica="a"} 1.0
ray_serve_deployment_replica_healthy{deployment="Responder",replica="b"} 1.0
ray_fye_ttft_ms_count{persona="joy"} 4.0
ray_fye_ttft_ms_bucket{le="100.0",persona="joy"} 0.0
ray_fye_ttft_ms_bucket{le="200.0",persona="joy"} 4.0
ray_fye_ttft_ms_bucket{le="+Inf",persona="joy"} 4.0
ray_fye_requests_total{call="respond",outcome="ok",persona="joy"} 4.0
"""
# The bars have moved and the first words are there, but not yet the last ones.
WHILE_IT_WRITES = """() => {
    const joy = document.querySelector('[role=meter][aria-label=Joy]').ariaValueNow;
    const text = document.querySelector('[aria-busy] .reply-text')?.textContent ?? '';
    return joy === '90' && text.startsWith('[joy@scripted]') && !text.includes('to the end');
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    expect.set_options(timeout=TIMEOUT_MS)
    with chromium() as browser:
        yield browser


def write(page: Page, text: str) -> Locator:
    """Send a message, and return its turn."""
    page.get_by_role("textbox", name="Your message").fill(text)
    page.keyboard.press("Enter")
    return page.locator(".turn").last


def finished(turn: Locator, replies: int = 1) -> None:
    """Wait until every reply of a turn is complete."""
    expect(turn.locator(".tools")).to_have_count(replies)
    expect(turn.locator("[aria-busy]")).to_have_count(0)


def test_a_conversation_streams_explains_itself_and_stays(graph: Graph, browser: Browser) -> None:
    with page_of(browser, graph.url, color_scheme="light") as page:
        expect(page.locator(".chip")).to_have_count(8)
        assert violations(page) == []
        text = 'It\'s "pure" joy, $HOME\nand more'
        turn = write(page, text)
        page.wait_for_function(WHILE_IT_WRITES)
        expect(page.get_by_role("meter", name="Fear")).to_have_attribute("aria-valuenow", "2")
        finished(turn)
        expect(turn.locator(".reply-text")).to_have_text(re.compile(r"end \[joy@scripted\]$"))
        expect(page.locator("#announcer")).to_contain_text("Joy: [joy@scripted] I hear you")

        turn.get_by_role("button", name="Why").click()
        for fact in ("Joy 90.0 %, then ", "joy@scripted", "nothing found", "22 written"):
            expect(turn.locator(".facts")).to_contain_text(fact)
        expect(turn.locator(".stage-name")).to_contain_text(["Reading the emotion", "Writing"])
        assert violations(page) == []

        turn.get_by_role("button", name="Code").click()
        curl, python = page.locator("#code-dialog code").all_inner_texts()
        command = shlex.split(curl.replace("\\\n", " "))
        assert command[:3] == ["curl", "-N", f"{graph.url}/v1/respond"]
        assert json.loads(command[command.index("-d") + 1]) == {"text": text, "stream": True}
        constants = [
            one.value for one in ast.walk(ast.parse(python)) if isinstance(one, ast.Constant)
        ]
        assert {text, f"{graph.url}/v1"} <= set(constants)
        assert violations(page) == []
        page.keyboard.press("Escape")

        stopped = write(page, "fear")
        expect(stopped.locator(".reply-text")).to_contain_text("[fear@scripted]")
        page.keyboard.press("Escape")
        expect(stopped).to_contain_text("Stopped.")
        page.reload()
        expect(page.locator(".turn")).to_have_count(2)
        expect(page.locator(".turn").first).to_contain_text("end [joy@scripted]")
        expect(page.locator(".turn").last).to_contain_text("no answer yet")
        page.get_by_role("button", name="Clear history").click()
        page.get_by_role("button", name="Clear it").click()
        expect(page.locator(".turn")).to_have_count(0)
        assert page.evaluate("localStorage.getItem('fye.history')") is None


def test_refusals_and_safety_are_told_in_plain_words(graph: Graph, browser: Browser) -> None:
    with page_of(browser, graph.url, color_scheme="dark") as page:
        expect(page.locator(".chip")).to_have_count(8)
        refuse(page, RESPOND, 429, "overloaded", {"retry-after": "2"})
        turn = write(page, "joy")
        again = turn.get_by_role("button", name="Try again")
        expect(turn).to_contain_text("The server has no free place right now.")
        expect(turn).to_contain_text("You can try again in ")
        expect(again).to_be_disabled()
        expect(again).to_be_enabled()
        assert violations(page) == []

        for status, slug, words in [
            (504, "deadline-exceeded", "That took too long"),
            (503, "not-ready", "still starting"),
            (500, "internal", "went wrong on the server"),
        ]:
            refuse(page, RESPOND, status, slug)
            again.click()
            expect(turn).to_contain_text(words)
        answer(page, RESPOND, stream_of(("emotion", EMOTION), ("delta", {"text": "Oh"})), EVENTS)
        again.click()
        expect(turn).to_contain_text("The answer broke off")
        expect(turn.locator(".reply-text")).to_have_text("Oh")

        page.context.set_offline(True)
        expect(page.locator("#offline")).to_be_visible()
        again.click()
        expect(turn).to_contain_text("The server cannot be reached. Your message is kept here")
        page.context.set_offline(False)
        expect(page.locator("#offline")).to_be_hidden()

        refuse(page, RESPOND, 401, "unauthenticated")
        again.click()
        turn.get_by_role("button", name="Enter a key").click()
        page.get_by_label("The key that").fill("fye-secret")
        assert violations(page) == []
        page.get_by_role("button", name="Use this key").click()
        with page.expect_request(f"**/{RESPOND}") as sent:
            again.click()
        assert sent.value.header_value("authorization") == "Bearer fye-secret"
        finished(turn)

        safety = {"level": "concern", "category": None, "action": "gentle-answer"}
        done = DONE | {"persona": None, "safety": safety}
        gentle: list[tuple[str, Any]] = [
            ("emotion", EMOTION),
            ("safety", safety),
            ("delta", {"text": "Oh."}),
            ("done", done),
        ]
        answer(page, RESPOND, stream_of(*gentle), EVENTS)
        heavy = write(page, "It is all too much.")
        finished(heavy)
        expect(heavy.locator(".safety")).to_contain_text("So you get a gentle answer")
        expect(heavy.locator(".reply-name")).to_have_text("A calm answer")

        harmful = write(page, "so much anger, and self-harm")
        expect(harmful.locator(".safety")).to_contain_text("No emotion answers this one")
        expect(harmful.locator(".safety")).to_contain_text("speaks of hurting yourself")
        finished(harmful)
        expect(page.locator("#panel-name")).to_have_text("A calm answer")
        assert violations(page) == []


def test_hostile_text_stays_text(graph: Graph, browser: Browser) -> None:
    persona = {"name": HOSTILE, "emotion": None, "voice": HOSTILE, "colour": HOSTILE, "emoji": ""}
    with page_of(browser, graph.url) as page:
        expect(page.locator(".chip")).to_have_count(8)
        answer(page, "v1/personas", json.dumps([persona]), "application/json")
        page.reload()
        expect(page.locator(".chip")).to_have_count(9)
        events: list[tuple[str, Any]] = [
            ("emotion", EMOTION),
            ("delta", {"text": HOSTILE}),
            ("done", DONE),
        ]
        answer(page, RESPOND, stream_of(*events), EVENTS)
        turn = write(page, HOSTILE)
        finished(turn)
        turn.get_by_role("button", name="Why").click()
        turn.get_by_role("button", name="Code").click()
        assert page.locator(".said-text").evaluate("one => one.textContent") == HOSTILE
        assert turn.locator(".reply-text").evaluate("one => one.textContent") == HOSTILE
        page.keyboard.press("Escape")
        refuse(page, RESPOND, 422, HOSTILE)
        expect(write(page, HOSTILE)).to_contain_text(HOSTILE[:20])
        page.reload()
        expect(page.locator(".turn")).to_have_count(2)
        assert page.locator("main :is(img, script), svg[onload]").count() == 0
        assert page.evaluate("window.hacked") is None
        for kept in ("{", "[1, null]", '[{"text": 4}]'):
            page.evaluate("kept => localStorage.setItem('fye.history', kept)", kept)
            page.reload()
            expect(page.locator("#welcome")).to_be_visible()


def test_all_six_answer_on_a_phone(graph: Graph, browser: Browser) -> None:
    options = {"viewport": PHONE, "has_touch": True, "is_mobile": True, "color_scheme": "dark"}
    with page_of(browser, graph.url, **options) as page:
        page.locator("label.chip", has_text="All six").click()
        turn = write(page, "The door opened by itself.")
        finished(turn, 6)
        for label, text in zip(LABELS, turn.locator(".reply-text").all_inner_texts(), strict=True):
            assert text.startswith(f"[{label}@scripted]")
        turn.get_by_role("button", name="Why").first.click()
        expect(turn.locator(".facts").first).to_contain_text("you chose Sadness")
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        assert page.locator("#message").is_visible()
        assert violations(page) == []
        small = page.evaluate(
            "[...document.querySelectorAll('button, a, label.chip')]"
            ".map(one => one.getBoundingClientRect())"
            ".filter(({height, width, top}) => height && top > 0 && Math.min(height, width) < 24)"
            ".length"
        )
        assert small == 0


def test_a_blend_is_set_with_the_keyboard_and_told(graph: Graph, browser: Browser) -> None:
    with page_of(browser, graph.url, color_scheme="dark") as page:
        page.get_by_text("Mix", exact=True).click()
        second = page.get_by_label("Together with")
        expect(second).to_be_disabled()
        page.locator("label.chip", has_text="Joy").click()
        second.select_option("Surprise")
        page.get_by_label("Its share").press("ArrowRight")
        page.get_by_label("Intensity").press("End")
        expect(page.locator("#intensity-value")).to_have_text("1.50, stronger")
        expect(page.locator("#share-value")).to_have_text("35 %")
        assert violations(page) == []
        with page.expect_request(f"**/{RESPOND}") as sent:
            turn = write(page, "They gave me the job!")
        blend = {"joy": 0.65, "surprise": 0.35}
        asked = {"text": "They gave me the job!", "blend": blend, "intensity": 1.5}
        assert sent.value.post_data_json == asked | {"stream": True}
        finished(turn)
        expect(turn.locator(".reply-text")).to_contain_text("[blend@")
        turn.get_by_role("button", name="Why").click()
        expect(turn.locator(".facts")).to_contain_text("Joy 1.00 + Surprise 0.50")
        turn.get_by_role("button", name="Code").click()
        curl, python = page.locator("#code-dialog code").all_inner_texts()
        assert json.dumps(blend, separators=(",", ":")) in curl
        assert "extra_body=" in python
        ast.parse(python)
        page.keyboard.press("Escape")
        page.locator("label.chip", has_text="The one that fits").click()
        expect(second).to_be_disabled()
        with page.expect_request(f"**/{RESPOND}") as sent:
            finished(write(page, "joy"))
        assert sent.value.post_data_json == {"text": "joy", "intensity": 1.5, "stream": True}


TRIAL = {
    "persona": "joy",
    "old": {"name": "joy@new", "share": 0.9, "figures": {"answers": 34}},
    "new": {"name": "joy@old", "share": 0.1, "figures": {"answers": 12}},
    "verdict": "collecting",
    "reason": "more",
    "rolled_back_at": None,
}


def test_operators_see_figures_and_change_releases(graph: Graph, browser: Browser) -> None:
    versions = [
        {"name": f"joy@{name}", "persona": "joy", "promoted": used, "resident": 2, "replicas": 2}
        for name, used in (("old", False), ("new", True))
    ]
    with page_of(browser, f"{graph.url}/status", color_scheme="light") as page:
        expect(page.locator("#ready")).to_have_text("Ready")
        expect(page.locator("#releases-problem")).to_contain_text("Enter a key")
        page.route("**/metrics", lambda route: route.fulfill(body=METRICS))
        page.get_by_role("button", name="Admin key").click()
        page.get_by_label("A key with the scope admin").fill(ADMIN_SECRET)
        page.get_by_role("button", name="Use this key").click()
        for label in LABELS:
            expect(page.locator("#releases")).to_contain_text(f"{label}@scripted")
        expect(page.locator("#tiles")).to_contain_text(re.compile(r"Responder replicas\s*2"))
        expect(page.locator("#ttft tr")).to_have_text(re.compile(r"Joy\s*150 ms\s*195 ms\s*4"))
        expect(page.locator("#outcomes")).to_contain_text(re.compile(r"answered\s*4"))
        expect(page.locator("#trials")).to_contain_text("No version is on trial.")
        assert violations(page) == []

        page.route("**/v1/admin/adapters", lambda route: route.fulfill(json=versions))
        page.route("**/v1/admin/adapters/status", lambda route: route.fulfill(json=[TRIAL]))
        page.get_by_role("button", name="Read again").click()
        compared = "joy@old is on trial, compared with joy@new by 12 and 34 answers"
        expect(page.locator("#trials")).to_have_text(f"Joy: {compared}: collecting; more.")
        page.get_by_role("button", name="Promote joy@old").click()
        assert violations(page) == []
        answer(page, "v1/admin/adapters/promote", json.dumps(versions), "application/json")
        sent = _sent(page, "Promote")
        assert sent.post_data_json == {"name": "joy@old"}
        assert sent.header_value("authorization") == f"Bearer {ADMIN_SECRET}"
        expect(page.locator("#releases-done")).to_have_text("joy@old is in use.")
        page.get_by_role("button", name="Roll back joy@new").click()
        refused = _sent(page, "Roll back")  # by the graph, which has one version of each persona
        assert refused.post_data_json == {"persona": "joy"}
        expect(page.locator("#releases-problem")).to_contain_text("no earlier version of joy")


def _sent(page: Page, label: str) -> Request:
    """Confirm a change, and return its request."""
    with page.expect_request("**/v1/admin/adapters/*") as sent:
        page.locator("#change-dialog").get_by_role("button", name=label).click()
    return sent.value
