"""Fixtures: Chromium, and the page on a fake responder, started once for a module.

Not once for the folder: while Playwright runs, its thread can run no other event loop.
"""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from support.page.browser import TIMEOUT_MS, chromium
from support.page.server import page_server


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    expect.set_options(timeout=TIMEOUT_MS)
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with page_server() as url:
        yield url
