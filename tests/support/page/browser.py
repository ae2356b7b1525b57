"""Chromium for tests of the page: Debian's, driven by Playwright, with axe-core's rules."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Response, Route, sync_playwright

COMMANDS = ("chromium", "chromium-browser", "google-chrome")
NO_BROWSER = (
    "no Chromium on PATH; install it to test the page in a browser: "
    "apt-get install --no-install-recommends chromium"
)
TIMEOUT_MS = 120_000  # a busy machine, not a slow page
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start the browser that is on PATH. Skips the test where there is none."""
    command = next(filter(None, map(shutil.which, COMMANDS)), None)
    if command is None:
        pytest.skip(NO_BROWSER)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=command, timeout=TIMEOUT_MS)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def page_of(browser: Browser, url: str, **options: Any) -> Iterator[Page]:
    """Open a page in a profile of its own. An error in its console or a missing file fails it."""
    with browser.new_context(reduced_motion="reduce", **options) as context:
        context.set_default_timeout(TIMEOUT_MS)
        page = context.new_page()
        errors = list[str]()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda line: errors.append(line.text) if _is_ours(line.text) else None)
        page.on("response", lambda reply: errors.append(reply.url) if _is_missing(reply) else None)
        page.goto(url)
        yield page
        assert errors == []


def _is_missing(reply: Response) -> bool:
    """Return whether a part of the page is not there. Its requests to the API may fail."""
    return reply.status >= 400 and reply.request.resource_type not in {"fetch", "xhr"}


def _is_ours(line: str) -> bool:
    """Return whether a line in the console reports more than a refused request."""
    return "Failed to load resource" not in line


def violations(page: Page) -> list[str]:
    """Return what axe-core finds: each rule with the elements that break it."""
    page.evaluate(files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8"))
    options = {"runOnly": {"type": "tag", "values": RULES}}
    found = page.evaluate("options => axe.run(document, options)", options)
    return [
        f"{rule['id']}: {node['target']} {node['failureSummary']}"
        for rule in found["violations"]
        for node in rule["nodes"]
    ]


def stream_of(*events: tuple[str, dict[str, Any]]) -> str:
    """Return the body of a stream of server-sent events."""
    return "".join(f"event: {name}\ndata: {json.dumps(data)}\n\n" for name, data in events)


def refuse(
    page: Page, path: str, status: int, slug: str, headers: dict[str, str] | None = None
) -> None:
    """Let the next request for a path fail with a problem document."""
    problem = {"type": f"urn:face-your-emotions:{slug}", "status": status, "detail": slug}
    answer(page, path, json.dumps(problem), "application/problem+json", status, headers)


def answer(
    page: Page,
    path: str,
    body: str,
    content_type: str,
    status: int = 200,
    headers: dict[str, str] | None = None,
) -> None:
    """Answer the next request for a path in the place of the server."""

    def fulfil(route: Route) -> None:
        more = {"content-type": content_type, **(headers or {})}
        route.fulfill(status=status, body=body, headers=more)

    page.route(f"**/{path}", fulfil, times=1)
