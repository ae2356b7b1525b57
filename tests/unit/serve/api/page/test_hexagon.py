"""Hexagon of the page in a real browser: what a drag and keys ask for, and its geometry."""

from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from support.page.browser import answer, page_of, stream_of, violations

RESPOND = "v1/respond"
DELTA = stream_of(("delta", {"text": "Oh"}))
RADIUS = 80  # pixels from the middle to a corner, where the intensity is 1.5
# Every mix that a point can be, moved there and back.
CHANGED_BY_GEOMETRY = """async () => {
    const { AROUND, mixAt, mixAtStep, pointOf, stepOf } = await import("/page/chat/wheel.js");
    const same = (one, other) => Object.keys(one).every((key) => one[key] === other[key]);
    const changed = [];
    for (let step = 0; step < AROUND; step += 1) {
        for (const intensity of [0.05, 0.3, 0.85, 1, 1.15, 1.5]) {
            const mix = { share: 0, ...mixAtStep(step), intensity };
            const point = pointOf(mix.chosen, mix);
            if (stepOf(mix.chosen, mix) !== step || !same(mixAt(...point), mix)) changed.push(mix);
        }
    }
    return changed;
}"""


def opened(page: Page) -> Locator:
    """Open the mix, and return its hexagon."""
    expect(page.locator(".chip")).to_have_count(8)
    page.get_by_text("Mix", exact=True).click()
    return page.get_by_role("slider", name="Mix of the six emotions")


def drag(page: Page, hexagon: Locator, *points: tuple[float, float]) -> None:
    """Press at the first of the points, in radii from the middle, and release at the last."""
    box = hexagon.bounding_box()
    assert box is not None
    for index, (x, y) in enumerate(points):
        left, top = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        page.mouse.move(left + RADIUS * x, top + RADIUS * y)
        if not index:
            page.mouse.down()
    page.mouse.up()


def asked(page: Page, text: str) -> dict[str, Any]:
    """Send a message, and return the fields of its request that choose who answers."""
    answer(page, RESPOND, DELTA, "text/event-stream")
    page.get_by_role("textbox", name="Your message").fill(text)
    with page.expect_request(f"**/{RESPOND}") as sent:
        page.keyboard.press("Enter")
    body = dict[str, Any](sent.value.post_data_json or {})
    assert (body.pop("text"), body.pop("stream")) == (text, True)
    return body


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_drag_mixes_two_neighbours(url: str, browser: Browser, scheme: str) -> None:
    phone = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}
    options = phone if scheme == "dark" else {}
    with page_of(browser, url, color_scheme=scheme, **options) as page:
        hexagon = opened(page)
        expect(hexagon).to_have_attribute(
            "aria-valuetext", "The one that fits, intensity 1.00, as trained"
        )
        # From the middle to a point at 3/4 of the way to the corner of joy and 1/4 to surprise.
        share = (0.25 * 0.866, -0.75 - 0.25 * 0.5)
        drag(page, hexagon, (0, 0), (0.1, -0.2), share)
        expect(page.get_by_role("radio", name="Joy")).to_be_checked()
        expect(page.get_by_label("Together with")).to_have_value("surprise")
        expect(page.locator("#share-value")).to_have_text("25 %")
        expect(page.locator("#intensity-value")).to_have_text("1.50, stronger")
        expect(page.locator("#mix-now")).to_have_text("Joy 75 % + Surprise 25 %, at 1.50")
        assert violations(page) == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert asked(page, "I won") == {"blend": {"joy": 0.75, "surprise": 0.25}, "intensity": 1.5}
        drag(page, hexagon, (0, 0), (9, 4.5))  # far outside: on the edge, towards fear
        expect(page.locator("#mix-now")).to_have_text(" Fear 95 % + Surprise 5 %, at 1.50")
        drag(page, hexagon, (-0.2, 0), (-0.58, -0.33))  # on the line of 1, at the corner of love
        assert asked(page, "I won") == {"emotion": "love"}


def test_arrow_keys_move_the_point(url: str, browser: Browser) -> None:
    with page_of(browser, url, color_scheme="light") as page:
        hexagon = opened(page)
        hexagon.press("ArrowUp")
        assert asked(page, "I won") == {"intensity": 1.05}
        hexagon.press("ArrowRight")
        expect(hexagon).to_have_attribute("aria-valuetext", "Joy, intensity 1.05, stronger")
        for key in ["ArrowLeft"] * 3 + ["ArrowDown"] * 2:
            hexagon.press(key)
        expect(hexagon).to_have_attribute(
            "aria-valuetext", "Joy 85 % + Love 15 %, intensity 0.95, milder"
        )
        expect(hexagon).to_have_attribute("aria-valuenow", "117")
        assert asked(page, "I won") == {"blend": {"joy": 0.85, "love": 0.15}, "intensity": 0.95}
        hexagon.press("PageDown")
        expect(page.locator("#mix-now")).to_have_text("Surprise 85 % + Joy 15 %, at 0.95")
        assert violations(page) == []


def test_the_hexagon_shows_what_the_other_controls_say(url: str, browser: Browser) -> None:
    with page_of(browser, url, color_scheme="dark") as page:
        hexagon = opened(page)
        point = hexagon.locator("circle.hexagon-point")
        expect(point).to_be_hidden()
        page.locator("label.chip", has_text="Joy").click()
        page.get_by_label("Together with").select_option("Anger")  # opposite, half of the way
        page.get_by_label("Its share").press("End")
        expect(point).to_be_visible()
        where = "one => ['--x', '--y'].map((name) => parseFloat(one.style.getPropertyValue(name)))"
        assert point.evaluate(where) == pytest.approx([0, 0], abs=0.01)
        expect(hexagon).to_have_attribute(
            "aria-valuetext", "Joy 50 % + Anger 50 %, intensity 1.00, as trained"
        )
        page.get_by_label("Together with").select_option("no other")
        page.get_by_label("Intensity").press("End")
        assert point.evaluate(where) == pytest.approx([0, -RADIUS], abs=0.01)
        page.locator("label.chip", has_text="All six").click()
        expect(point).to_be_hidden()
        expect(hexagon).to_have_attribute(
            "aria-valuetext", "Each of the six, intensity 1.50, stronger"
        )


def test_every_point_stands_for_its_mix(url: str, browser: Browser) -> None:
    with page_of(browser, url) as page:
        assert page.evaluate(CHANGED_BY_GEOMETRY) == []
