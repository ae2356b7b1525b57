"""Pictures of the page for the README and the docs, of the answer that the README states.

    PYTHONPATH=tests python -m support.page.pictures docs/serving/images

A fixed server takes the place of the graph, so every run makes the same pictures.
"""

import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, expect

from support.page.browser import TIMEOUT_MS, answer, chromium, page_of, stream_of
from support.page.server import page_server

ROOT = Path(__file__).parents[3]
MESSAGE = "The weather is perfect today! It's been months since I last felt this cool air!"
# One third of the way from joy to surprise, a little stronger than trained; pixels from the middle.
MIXED = (16, -55)


@dataclass(frozen=True)
class Picture:
    """A picture of `width` by `height` pixels."""

    name: str
    scheme: str
    width: int
    height: int
    opens: str  # "mix", "why" or nothing

    @property
    def options(self) -> dict[str, Any]:
        """Options of the browser."""
        touch = {"has_touch": True, "is_mobile": True} if self.width < 500 else {}
        viewport = {"width": self.width, "height": self.height}
        return {"color_scheme": self.scheme, "viewport": viewport, **touch}


PICTURES = [
    Picture("page-light.png", "light", 1180, 860, "mix"),
    Picture("page-dark.png", "dark", 1180, 880, "why"),
    Picture("page-phone.png", "light", 390, 780, ""),
    Picture("page-phone-mix.png", "dark", 390, 780, "mix"),
]


def take_pictures(folder: Path) -> list[Path]:
    """Write every picture into a folder, and return their paths."""
    expect.set_options(timeout=TIMEOUT_MS)
    with page_server() as url, chromium() as browser:
        return [_take(picture, folder, browser, url) for picture in PICTURES]


def _take(picture: Picture, folder: Path, browser: Browser, url: str) -> Path:
    path = folder / picture.name
    with page_of(browser, url, **picture.options) as page:
        expect(page.locator(".chip")).to_have_count(8)
        _converse(page)
        if picture.opens == "why":
            page.get_by_role("button", name="Why").click()
        elif picture.opens == "mix":
            _mix(page)
        page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
        page.screenshot(path=path)
    return path


def _converse(page: Page) -> None:
    """Send the message, and wait for the answer of the README."""
    done = stated_answer()
    events = ("emotion", done["emotion"]), ("delta", {"text": done.pop("text")}), ("done", done)
    answer(page, "v1/respond", stream_of(*events), "text/event-stream")
    page.get_by_role("textbox", name="Your message").fill(MESSAGE)
    page.keyboard.press("Enter")
    expect(page.locator(".tools")).to_be_visible()


def _mix(page: Page) -> None:
    page.get_by_text("Mix", exact=True).click()
    box = page.locator("#hexagon").bounding_box()
    assert box is not None
    x, y = MIXED
    page.mouse.click(box["x"] + box["width"] / 2 + x, box["y"] + box["height"] / 2 + y)
    expect(page.locator("#mix-now")).to_contain_text("Surprise")


def stated_answer() -> dict[str, Any]:
    """Return the reply of `/v1/respond` that the README states."""
    block = re.search(r"```json\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
    assert block is not None
    return dict(json.loads(block[1]))


if __name__ == "__main__":
    for path in take_pictures(Path(sys.argv[1])):
        print(path)
