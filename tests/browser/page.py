"""What tests do with the project's page."""

from __future__ import annotations

import json
from collections.abc import Callable
from time import monotonic
from typing import Any

from playwright.sync_api import Locator, Page, expect

BOOT_MS = 60_000
OWN_SNAPSHOT_S_MAX = 120
CONSOLE_S_MAX = 20
LOOKS_PER_S = 50

KEPT = """
async () => {
  const cache = await caches.open("agents-core-1");
  const paths = (await cache.keys()).map(({ url }) => url.slice(location.origin.length));
  return Object.fromEntries(paths.map((path) => path.split("?")));
}
"""
"""What the browser keeps: the tag by path; what has a name of its own has none."""


def open_page(page: Page, url: str) -> str:
    """Go there, wait until the tab's agents run, and return its node's name."""
    page.goto(url)
    expect(page.locator("html")).to_have_attribute("data-phase", "running", timeout=BOOT_MS)
    own = page.locator("[data-node]").filter(has_text="this tab").first
    return own.get_attribute("data-node") or ""


def started_from(page: Page) -> str | None:
    """What Python started from: `snapshot` or `scratch`."""
    return page.locator("html").get_attribute("data-from")


def wait_until_kept(page: Page) -> None:
    """Wait until the service worker has all files."""
    expect(page.locator("html")).to_have_attribute("data-kept", "true", timeout=BOOT_MS)


def kept(page: Page) -> dict[str, str]:
    """What the browser keeps: the tag by path, where there is one."""
    found: dict[str, str] = page.evaluate(KEPT)
    return found


def wait_for_own_snapshot(page: Page, name: str) -> None:
    """Wait until this browser has taken the snapshot of that name itself."""
    wait_until(page, lambda: name in kept(page), OWN_SNAPSHOT_S_MAX, "no snapshot was taken")


def wait_until(
    page: Page,
    condition: Callable[[], object],
    seconds: int = CONSOLE_S_MAX,
    missed: str = "it did not come in time",
) -> None:
    """Wait for what nothing in the page tells, such as what the console of a worker says."""
    end = monotonic() + seconds
    while not condition():
        assert monotonic() < end, missed
        page.wait_for_timeout(1000 / LOOKS_PER_S)


def row(page: Page, agent: str) -> Locator:
    return page.locator(f'[data-testid="agent-row"][data-agent="{agent}"]')


def ask(page: Page, agent: str, payload: Any) -> str:
    """What the dialog shows after a press of Ask: the reply as JSON, or the error."""
    row(page, agent).get_by_test_id("message").click()
    page.get_by_test_id("message-input").fill(json.dumps(payload))
    page.get_by_test_id("message-ask").click()
    result = page.get_by_test_id("message-result")
    expect(result).not_to_have_text("…")
    text = result.text_content() or ""
    page.keyboard.press("Escape")
    return text
