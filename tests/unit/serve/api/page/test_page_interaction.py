"""Page in a real browser on a fake responder: the kept history, Stop and the focus, releases."""

import json
from typing import Any

from playwright.sync_api import Browser, Locator, Page, Route, expect

from models.emotions import LABELS
from support.admin_key import ADMIN_SECRET
from support.page.browser import page_of, violations

RESPOND = "v1/respond"
ANSWERED = "Oh no"  # by the fake responder
NO_ANSWER = "This message has no answer yet."
INPUT_METHOD = """() => document.dispatchEvent(
    new KeyboardEvent("keydown", { key: "Escape", isComposing: true })
)"""
SCORES = dict.fromkeys(LABELS, 0.02) | {"joy": 0.9}
ANSWER = {
    "text": "Yes!",
    "emotion": {"label": "joy", "score": 0.9, "scores": SCORES},
    "persona": "joy",
    "usage": {"prompt_tokens": 1, "completion_tokens": 2},
    "timings_ms": {"generate": 3, "total": 6},
}


def write(page: Page, text: str) -> Locator:
    """Send a message, and return its turn."""
    page.get_by_role("textbox", name="Your message").fill(text)
    page.keyboard.press("Enter")
    return page.locator(".turn").last


def kept(page: Page) -> list[str] | None:
    """Return the texts of the kept turns; None if there is no history."""
    texts: list[str] | None = page.evaluate(
        "JSON.parse(localStorage.getItem('fye.history'))?.map(({ text }) => text) ?? null"
    )
    return texts


def keep(page: Page, *turns: Any) -> None:
    """Put turns into the history, and load the page again."""
    page.evaluate("kept => localStorage.setItem('fye.history', kept)", json.dumps(turns))
    page.reload()


def clear(page: Page) -> None:
    """Clear the history, and confirm it."""
    page.get_by_role("button", name="Clear history").click()
    page.get_by_role("button", name="Clear it").click()
    expect(page.locator(".turn")).to_have_count(0)


def hold(page: Page, path: str) -> list[Route]:
    """Let requests for a path wait until they are continued, and return them."""
    held = list[Route]()
    page.route(f"**/{path}", lambda route: held.append(route))
    return held


def waits(page: Page, held: list[Route], count: int) -> None:
    """Wait until so many requests were held."""
    while len(held) < count:  # the test's own time limit ends it
        page.wait_for_timeout(10)


def test_the_history_is_what_every_tab_wrote_since_it_was_cleared(
    url: str, browser: Browser
) -> None:
    with page_of(browser, url) as page:
        expect(write(page, "one")).to_contain_text(ANSWERED)
        other = page.context.new_page()
        other.goto(url)
        expect(write(other, "two")).to_contain_text(ANSWERED)
        expect(other.locator(".turn")).to_have_count(2)
        expect(write(page, "three")).to_contain_text(ANSWERED)
        expect(page.locator(".tools")).to_have_count(2)
        assert kept(page) == ["one", "two", "three"]

        clear(page)
        expect(other.locator(".turn")).to_have_count(0)
        expect(other.locator("#welcome")).to_be_visible()
        assert kept(page) is None
        expect(write(other, "four")).to_contain_text(ANSWERED)
        expect(write(page, "five")).to_contain_text(ANSWERED)
        page.get_by_role("button", name="Clear history").click()
        # In some browsers Esc repeats the answer of the last time. Chromium forgets it by itself.
        expect(page.locator("#clear-dialog")).to_have_js_property("returnValue", "")
        page.keyboard.press("Escape")
        expect(page.locator("#clear-dialog")).to_be_hidden()
        page.reload()
        expect(page.locator(".said")).to_have_text(["four", "five"])
        expect(page.locator(".reply-text")).to_have_text([ANSWERED, ANSWERED])


def test_damage_and_an_early_message_leave_the_other_turns(url: str, browser: Browser) -> None:
    broken = [{}, {**ANSWER, "emotion": None}, {**ANSWER, "usage": None}, 4]
    six: dict[str, Any] = {label.value: ANSWER for label in LABELS}
    six["fear"] = {}
    with page_of(browser, url) as page:
        keep(
            page,
            *[{"text": "broken", "answers": {"auto": answer}} for answer in broken],
            {"text": "broken", "answers": None, "mix": None, "chosen": None},
            {"text": "six", "chosen": "six", "answers": six},
            {"text": "whole", "answers": {"auto": ANSWER}},
        )
        turns = page.locator(".turn")
        expect(turns).to_have_count(7)
        for index in range(len(broken) + 1):
            expect(turns.nth(index)).to_contain_text(NO_ANSWER)
        expect(turns.nth(5).locator(".tools")).to_have_count(5)
        expect(turns.nth(5)).to_contain_text(NO_ANSWER)
        expect(turns.nth(6).locator(".reply-text")).to_have_text("Yes!")
        expect(page.locator("#panel-name")).to_have_text("Joy")
        turns.nth(4).get_by_role("button", name="Try again").click()
        expect(turns.nth(4)).to_contain_text(ANSWERED)

        starting = hold(page, "v1/personas")
        page.reload()
        waits(page, starting, 1)
        expect(page.locator("#welcome")).to_be_hidden()
        expect(write(page, "early")).to_contain_text(ANSWERED)
        assert kept(page) == ["broken"] * 5 + ["six", "whole", "early"]
        starting[0].continue_()
        expect(page.locator(".said")).to_have_text(kept(page) or [])
        expect(turns.nth(4)).to_contain_text(ANSWERED)
        expect(page.locator("#panel-name")).to_have_text("Fear")  # of the early one


def test_stop_stays_until_the_last_answer_ends(url: str, browser: Browser) -> None:
    with page_of(browser, url) as page:
        held = hold(page, RESPOND)
        page.locator("label.chip", has_text="All six").click()
        turn = write(page, "The door opened by itself.")
        waits(page, held, 6)
        held[5].fulfill(status=500, json={})
        again = turn.get_by_role("button", name="Try again")
        again.press("Enter")
        waits(page, held, 7)
        expect(turn.locator(".reply:focus")).to_have_count(1)
        assert violations(page) == []
        held[6].continue_()
        expect(turn.locator(".tools")).to_have_count(1)
        expect(page.locator("#stop")).to_be_visible()
        page.keyboard.press("Escape")
        expect(turn.get_by_text("Stopped.")).to_have_count(5)
        expect(page.locator("#send")).to_be_visible()


def test_the_focus_stays_and_only_an_esc_of_its_own_stops(url: str, browser: Browser) -> None:
    with page_of(browser, url) as page:
        held = hold(page, RESPOND)
        page.locator(".example").first.press("Enter")
        expect(page.locator("#stop")).to_be_focused()
        waits(page, held, 1)
        held[0].continue_()
        expect(page.locator(".tools")).to_have_count(1)
        expect(page.locator("#send")).to_be_focused()
        page.get_by_role("textbox", name="Your message").fill("joy")
        page.locator("#send").press("Enter")
        expect(page.locator("#stop")).to_be_focused()
        waits(page, held, 2)
        page.get_by_role("button", name="Code").click()
        page.keyboard.press("Escape")
        expect(page.locator("#code-dialog")).to_be_hidden()
        page.evaluate(INPUT_METHOD)
        held[1].continue_()
        expect(page.locator(".tools")).to_have_count(2)


def test_a_key_that_no_header_can_hold_is_no_key(url: str, browser: Browser) -> None:
    with page_of(browser, url) as page:
        page.evaluate("sessionStorage.setItem('fye.key.chat', 'fye-\\u2011\\u200b')")
        expect(write(page, "joy")).to_contain_text("This server needs a key")


def test_releases_are_read_again(url: str, browser: Browser) -> None:
    versions = [
        {"name": f"joy@{name}", "persona": "joy", "promoted": used, "resident": 1, "replicas": 2}
        for name, used in (("old", False), ("new", True))
    ]
    with page_of(browser, f"{url}/status") as page:
        page.route("**/v1/admin/adapters", lambda route: route.fulfill(json=versions))
        page.route("**/v1/admin/adapters/promote", lambda route: route.fulfill(json=versions))
        page.evaluate("key => sessionStorage.setItem('fye.key.admin', key)", ADMIN_SECRET)
        page.clock.install()
        page.reload()
        rows = page.locator("#releases tr")
        expect(rows).to_contain_text(["1 of 2", "1 of 2"])
        promote = page.get_by_role("button", name="Promote joy@old")
        promote.focus()
        versions[0]["resident"] = 2
        page.clock.run_for(5000)
        expect(rows).to_contain_text(["2 of 2", "1 of 2"])
        expect(promote).to_be_focused()

        promote.press("Enter")
        versions[0]["promoted"], versions[1]["promoted"] = True, False
        page.locator("#change-yes").click()
        expect(page.locator("#releases-done")).to_have_text("joy@old is in use.")
        expect(page.locator("#releases-title")).to_be_focused()
        assert violations(page) == []
        versions[1]["resident"] = 2
        page.clock.run_for(5000)
        expect(rows).to_contain_text(["2 of 2", "2 of 2"])
        expect(page.locator("#releases-done")).to_have_text("joy@old is in use.")
