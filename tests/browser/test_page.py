"""The page as people use it: real Chromium, real `agents up`, real nats-server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nats
import pytest
from playwright.sync_api import BrowserContext, Page, Route, expect

from agents_server.nats_server import NatsServer
from tests.app_fixture import StartApp
from tests.browser.beside import run_beside
from tests.browser.page import (
    BOOT_MS,
    ask,
    open_page,
    row,
    started_from,
    wait_for_own_snapshot,
)
from tests.browser.site import serve

COUNT_MS = 60_000


def test_boots_by_named_phases(page: Page, start_app: StartApp, complaints: list[str]) -> None:
    app = start_app("--example", "hello")
    page.add_init_script("""
        window.phases = [];
        const look = () => phases.push(document.documentElement.dataset.phase);
        const what = { attributes: true, subtree: true, attributeFilter: ["data-phase"] };
        new MutationObserver(look).observe(document, what);
    """)
    node = open_page(page, app.url)
    phases = page.evaluate("[...new Set(phases)]")
    assert phases == ["loading", "starting", "connecting", "spawning", "running"]
    expect(page.get_by_test_id("connection-status")).to_have_text("connected")
    expect(page.get_by_test_id("connection-rtt")).to_contain_text("ms")
    expect(row(page, f"greeter-{node}")).to_have_attribute("data-state", "running")
    expect(row(page, "greeter-server")).to_have_attribute("data-state", "running")
    assert complaints == []


def test_asks_from_tab_to_server_and_back(page: Page, start_app: StartApp) -> None:
    app = start_app("--example", "hello")
    node = open_page(page, app.url)
    expect(row(page, "greeter-server")).to_be_visible()
    from_tab = ask(page, f"greeter-{node}", {"type": "Introduce", "to": "greeter-server"})
    assert json.loads(from_tab)["text"] == f"hello greeter-{node}"
    assert json.loads(from_tab)["node"].startswith("server-")
    from_server = ask(page, "greeter-server", {"type": "Introduce", "to": f"greeter-{node}"})
    assert json.loads(from_server) == {"text": "hello greeter-server", "node": node}


def test_nats_py_talks_to_both(
    page: Page, start_app: StartApp, own_nats_server: NatsServer
) -> None:
    app = start_app("--example", "hello", *flags(own_nats_server))
    node = open_page(page, app.url)

    async def talk() -> list[Any]:
        connection = await nats.connect(own_nats_server.url)
        replies = []
        for agent in ("greeter-server", f"greeter-{node}"):
            body = json.dumps({"payload": {"type": "Hello", "name": "Ada"}}).encode()
            reply = await connection.request(f"acore.default.to.{agent}.visitor", body, timeout=5)
            replies.append(json.loads(reply.data)["payload"])
        await connection.close()
        return replies

    on_server, in_tab = run_beside(talk())
    assert on_server["text"] == in_tab["text"] == "hello Ada"
    assert on_server["node"].startswith("server-")
    assert in_tab["node"] == node


def test_comes_back_after_the_server_was_killed(
    page: Page, start_app: StartApp, own_nats_server: NatsServer
) -> None:
    app = start_app("--example", "hello", *flags(own_nats_server))
    node = open_page(page, app.url)
    expect(row(page, "greeter-server")).to_be_visible()
    own = f"greeter-{node}"
    own_nats_server.kill()
    status = page.get_by_test_id("connection-status")
    expect(status).to_have_text("reconnecting")
    assert json.loads(ask(page, own, {"type": "Hello", "name": "Ada"}))["text"] == "hello Ada"
    lost = ask(page, own, {"type": "Introduce", "to": "greeter-server"})
    assert lost.startswith("RemoteError")
    assert "NotConnected" in lost
    expect(row(page, own)).to_have_attribute("data-restarts", "1")  # its handler raised
    own_nats_server.start()
    expect(status).to_have_text("connected")
    expect(page.get_by_test_id("connection-reconnects")).to_have_text("1")
    # The server's node comes back in its own time, and its agents are listed meanwhile.
    assert app.read_until(": reconnecting")
    assert app.read_until(": connected")
    expect(row(page, "greeter-server")).to_be_visible(timeout=20_000)
    there = ask(page, own, {"type": "Introduce", "to": "greeter-server"})
    assert json.loads(there)["node"].startswith("server-")
    back = ask(page, "greeter-server", {"type": "Introduce", "to": own})
    assert json.loads(back)["node"] == node


def test_words_are_counted_exactly_although_a_tab_closes(
    context: BrowserContext, page: Page, start_app: StartApp
) -> None:
    app = start_app("--example", "wordcount")
    first = open_page(page, app.url)
    other = context.new_page()
    second = open_page(other, app.url)
    page.get_by_role("button", name="Count again").click()
    expect(row(page, f"counter-{second}")).not_to_have_attribute("data-handled", "0")
    other.close()
    row(page, f"counter-{first}").get_by_test_id("crash").click()
    expect(row(page, f"counter-{first}")).to_have_attribute("data-restarts", "1")
    crash = page.locator(f'[data-kind="crashed"][data-agent="counter-{first}"]').first
    expect(crash).to_be_visible()
    restart = page.locator(f'[data-kind="restarted"][data-agent="counter-{first}"]').first
    expect(restart).to_be_visible()
    expect(page.locator(".wordcount-badge")).to_contain_text("exact", timeout=COUNT_MS)
    expect(row(page, f"counter-{second}")).to_be_hidden(timeout=20_000)


def test_a_traceback_is_shown_on_demand(page: Page, start_app: StartApp) -> None:
    app = start_app("--example", "hello")
    node = open_page(page, app.url)
    missing = ask(page, f"greeter-{node}", {"type": "Introduce", "to": "nobody"})
    assert "AgentNotFound" in missing
    entry = page.locator(f'[data-kind="crashed"][data-agent="greeter-{node}"]')
    traceback = entry.locator("pre")
    expect(traceback).to_be_hidden()
    entry.locator("summary").click()
    expect(traceback).to_contain_text("in introduce")


def test_stops_an_agent(page: Page, start_app: StartApp) -> None:
    app = start_app("--example", "hello")
    open_page(page, app.url)
    row(page, "greeter-server").get_by_test_id("stop").click()
    expect(page.get_by_role("status").filter(has_text="was stopped")).to_be_visible()
    expect(row(page, "greeter-server")).to_be_hidden()


@pytest.mark.parametrize("query", ["", "?nats=local://"])
def test_works_without_a_server(
    page: Page, start_app: StartApp, complaints: list[str], query: str
) -> None:
    app = start_app("--example", "hello", *([] if query else ["--no-nats"]))
    node = open_page(page, app.url + query)
    expect(page.get_by_test_id("connection-status")).to_have_text("this tab only")
    own = f"greeter-{node}"
    assert json.loads(ask(page, own, {"type": "Hello", "name": "Ada"}))["node"] == node
    assert "AgentNotFound" in ask(page, own, {"type": "Introduce", "to": "greeter-server"})
    assert [text for text in complaints if "crashed" not in text] == []


def test_says_why_it_failed_and_tries_again(page: Page, start_app: StartApp) -> None:
    app = start_app("--example", "hello")

    def refuse(route: Route) -> None:
        route.fulfill(status=503, body="")

    page.context.route("**/*.wasm", refuse)
    page.goto(app.url)
    expect(page.locator("html")).to_have_attribute("data-phase", "failed", timeout=BOOT_MS)
    expect(page.get_by_test_id("failure")).to_contain_text("pyodide.asm.wasm")
    page.context.unroute("**/*.wasm", refuse)
    page.get_by_test_id("retry").click()
    expect(page.locator("html")).to_have_attribute("data-phase", "running", timeout=BOOT_MS)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_fits_a_narrow_screen(
    page: Page, start_app: StartApp, complaints: list[str], scheme: Any
) -> None:
    app = start_app("--example", "wordcount")
    page.set_viewport_size({"width": 360, "height": 780})
    page.emulate_media(color_scheme=scheme)
    open_page(page, app.url)
    expect(page.get_by_test_id("agent-row")).to_have_count(4)
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    unnamed = page.get_by_role("button", name="").evaluate_all(
        "all => all.filter(b => !(b.ariaLabel || b.textContent)).length"
    )
    assert unnamed == 0
    assert complaints == []


def test_takes_pyodide_from_elsewhere(page: Page, start_app: StartApp, pyodide: Path) -> None:
    with serve({f"/{path.name}": path for path in pyodide.iterdir()}) as elsewhere:
        app = start_app("--example", "hello", "--pyodide-url", f"{elsewhere}/")
        node = open_page(page, app.url)
        expect(row(page, f"greeter-{node}")).to_be_visible()
        assert started_from(page) == "scratch"
        wait_for_own_snapshot(page, app.get("/config.json")["snapshot"])
        open_page(page, app.url)
        assert started_from(page) == "snapshot"


def flags(server: NatsServer) -> list[str]:
    return ["--nats", server.url, "--nats-websocket", server.websocket_url]
