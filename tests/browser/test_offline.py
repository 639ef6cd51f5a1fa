"""What the service worker keeps, and what a visit with and without the server sees of it."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserType, Page, expect
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agents_server.nats_server import NatsServer
from agents_server.project import Project
from agents_server.site import Site
from tests.browser import chromium
from tests.browser.page import kept, open_page, row, started_from, wait_until_kept
from tests.browser.served import Served, gathered, with_file

ALL = """
async () => {
  const found = {};
  for (const name of await caches.keys()) {
    const keys = await (await caches.open(name)).keys();
    found[name] = keys.map(({ url }) => url.slice(location.origin.length)).sort();
  }
  return [found, (await navigator.serviceWorker.getRegistrations()).length];
}
"""
"""What the origin has in all of its caches, and how many service workers."""


@pytest.fixture(scope="module")
def site(snapshot: bytes) -> Site:
    """What `agents up --example wordcount` serves: an example with a panel."""
    return gathered(Project.find().example("wordcount"))


def first_visit(page: Page, served: Served) -> None:
    open_page(page, served.url)
    wait_until_kept(page)
    served.statuses.clear()


def asked_for(served: Served) -> set[str]:
    return {path for path, _ in served.statuses}


def at(path: str, instead: ASGIApp, app: ASGIApp) -> ASGIApp:
    """The app, but for one path."""

    async def choose(scope: Scope, receive: Receive, send: Send) -> None:
        await (instead if scope["path"] == path else app)(scope, receive, send)

    return choose


async def silent(scope: Scope, receive: Receive, send: Send) -> None:
    """A server that takes the question and does not answer."""
    await asyncio.Event().wait()


# -- with the server


def test_a_second_visit_asks_for_nothing_but_what_is_new(
    page: Page, served: Served, complaints: list[str]
) -> None:
    first_visit(page, served)
    node = open_page(page, served.url)
    assert started_from(page) == "snapshot"
    assert asked_for(served) <= {"/config.json", "/sw.mjs"}
    expect(row(page, f"counter-{node}")).to_be_visible()
    assert complaints == []


def test_the_page_is_never_an_old_one(
    page: Page, served: Served, site: Site, tmp_path: Path
) -> None:
    first_visit(page, served)
    before = kept(page)
    shell = (site.files["/"]).read_text(encoding="utf-8").replace("agents-core", "changed", 1)
    view = site.files["/views/nodes.mjs"].read_text(encoding="utf-8")
    changed = with_file(site, "/", tmp_path / "index.html", shell)
    view += "document.documentElement.dataset.changed = 'yes';"
    served.show(with_file(changed, "/views/nodes.mjs", tmp_path / "nodes.mjs", view))
    open_page(page, served.url)
    expect(page).to_have_title("changed")
    expect(page.locator("html")).to_have_attribute("data-changed", "yes")
    assert {"/", "/views/nodes.mjs"} <= asked_for(served)
    assert "/pyodide/314.0.7/pyodide.asm.wasm" not in asked_for(served)
    wait_until_kept(page)
    after = kept(page)
    assert {path for path in after if after[path] != before[path]} == {"/", "/views/nodes.mjs"}


def test_keeps_what_there_is_and_nothing_else(page: Page, served: Served, site: Site) -> None:
    page.goto(f"{served.url}favicon.svg")
    page.evaluate("caches.open('agents-core-0').then(c => c.put('/old', new Response()))")
    page.evaluate("caches.open('mine').then(c => c.put('/mine', new Response()))")
    first_visit(page, served)
    config = page.evaluate("fetch('/config.json').then(r => r.json())")
    expected = [f"{path}?{tag}" for path, tag in config["files"].items()]
    found, workers = page.evaluate(ALL)
    assert found == {"agents-core-1": sorted(["/config.json", *expected]), "mine": ["/mine"]}
    assert set(config["files"]) == {*site.files, *site.assets}
    assert workers == 1


def test_the_policy_of_today_counts(page: Page, served: Served, nats_server: NatsServer) -> None:
    """The page may connect to where its policy says, which comes with the files that are kept."""
    first_visit(page, served)
    served.show(served.site, nats_server.websocket_url)
    open_page(page, served.url)
    expect(page.get_by_test_id("connection-status")).to_have_text("connected")
    wait_until_kept(page)
    open_page(page, served.url)
    expect(page.get_by_test_id("connection-status")).to_have_text("connected")


def test_what_changes_while_it_is_fetched_is_not_kept(page: Page, served: Served) -> None:
    app = served.app

    async def changing(scope: Scope, receive: Receive, send: Send) -> None:
        async def changed(message: Message) -> None:
            if message["type"] == "http.response.start" and scope["path"] == "/style.css":
                headers = [pair for pair in message["headers"] if pair[0] != b"etag"]
                message["headers"] = [*headers, (b"etag", b'"another"')]
            await send(message)

        await app(scope, receive, changed)

    served.app = changing
    open_page(page, served.url)
    expect(page.locator("html")).to_have_attribute("data-kept", "false")
    assert "/config.json" not in kept(page)
    assert "/style.css" not in kept(page)


def test_makes_room_for_another_server(page: Page, served: Served) -> None:
    """Who develops something else on this port wants to see that."""
    first_visit(page, served)
    served.app = PlainTextResponse("something else")
    page.goto(served.url)
    expect(page.locator("body")).to_have_text("something else")
    assert page.evaluate(ALL) == [{}, 0]


def test_gives_up_what_takes_too_long(page: Page, served: Served) -> None:
    served.app = at("/style.css", silent, served.app)
    page.goto(f"{served.url}favicon.svg")
    keep = "import('/offline.mjs').then(({ keep }) => keep({ patience: 0.5 }))"
    assert page.evaluate(keep) is False


# -- without the server


def test_a_visit_without_the_server(page: Page, served: Served, complaints: list[str]) -> None:
    first_visit(page, served)
    served.stop()
    node = open_page(page, f"{served.url}?again")
    assert started_from(page) == "snapshot"
    expect(row(page, f"counter-{node}")).to_have_attribute("data-state", "running")
    expect(page.get_by_test_id("example")).to_be_visible()
    assert page.evaluate("getComputedStyle(document.querySelector('.card')).padding") != "0px"
    wait_until_kept(page)
    assert [text for text in complaints if "ERR_CONNECTION_REFUSED" not in text] == []
    served.start()
    open_page(page, served.url)
    wait_until_kept(page)


@pytest.mark.parametrize("answer", [silent, PlainTextResponse("bad gateway", 502)])
def test_a_server_that_is_as_good_as_away(page: Page, served: Served, answer: Any) -> None:
    first_visit(page, served)
    served.app = at("/config.json", answer, served.app)
    open_page(page, served.url)
    assert started_from(page) == "snapshot"


def test_an_update_that_was_not_kept_whole_leaves_the_old_page(
    page: Page, served: Served, site: Site, tmp_path: Path
) -> None:
    first_visit(page, served)
    shell = (site.files["/"]).read_text(encoding="utf-8").replace("agents-core", "changed", 1)
    changed = with_file(site, "/", tmp_path / "index.html", shell)
    script = "throw new Error('stop here')"
    served.show(with_file(changed, "/main.mjs", tmp_path / "main.mjs", script))
    page.goto(served.url)
    expect(page).to_have_title("changed")
    served.stop()
    open_page(page, served.url)
    expect(page).to_have_title("agents-core")
    served.start()


def test_forgets_everything_when_told_to(page: Page, served: Served) -> None:
    first_visit(page, served)
    page.evaluate("import('/offline.mjs').then(({ forget }) => forget())")
    assert page.evaluate(ALL) == [{}, 0]
    first_visit(page, served)


def test_works_where_browsers_keep_nothing(browser_type: BrowserType, served: Served) -> None:
    """A page over plain http from another machine: no caches, no service worker, no locks."""
    arguments = [*chromium.ARGUMENTS, "--host-resolver-rules=MAP lan.example 127.0.0.1"]
    browser = browser_type.launch(executable_path=chromium.executable(), args=arguments)
    try:
        page = browser.new_page()
        open_page(page, served.url.replace("127.0.0.1", "lan.example"))
        assert started_from(page) == "snapshot"
        expect(page.locator("html")).to_have_attribute("data-kept", "false")
    finally:
        browser.close()


@contextmanager
def visit(browser_type: BrowserType, profile: Path) -> Iterator[Page]:
    """A page of a browser that has a profile of its own."""
    options: dict[str, Any] = {
        "executable_path": chromium.executable(),
        "args": chromium.ARGUMENTS,
    }
    context = browser_type.launch_persistent_context(profile, **options)
    try:
        yield context.new_page()
    finally:
        context.close()


def test_a_browser_that_can_not_read_its_caches_opens_the_page_from_the_server(
    browser_type: BrowserType, served: Served, tmp_path: Path
) -> None:
    """The service worker is there, and what it has kept can't be read, as on a disk that fails."""
    with visit(browser_type, tmp_path) as page:
        open_page(page, served.url)
        wait_until_kept(page)
    folder = tmp_path / "Default" / "Service Worker" / "CacheStorage"
    shutil.rmtree(folder)
    folder.write_text("no folder")
    with visit(browser_type, tmp_path) as page:
        open_page(page, served.url)
        assert started_from(page) == "snapshot"
        expect(page.locator("html")).to_have_attribute("data-kept", "false")


def test_works_where_site_data_is_blocked(
    browser_type: BrowserType, served: Served, tmp_path: Path
) -> None:
    """The browser has caches and service workers, and refuses them."""
    settings = {"profile": {"default_content_setting_values": {"cookies": 2}}}
    (tmp_path / "Default").mkdir()
    (tmp_path / "Default" / "Preferences").write_text(json.dumps(settings))
    with visit(browser_type, tmp_path) as page:
        open_page(page, served.url)
        assert started_from(page) == "snapshot"
        expect(page.locator("html")).to_have_attribute("data-kept", "false")
