"""How the page's Python starts: from a snapshot, without one, further workers, what goes wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page
from starlette.types import Message, Receive, Scope, Send

from agents_server.project import Project
from agents_server.site import Site
from tests.browser.page import (
    kept,
    open_page,
    started_from,
    wait_for_own_snapshot,
    wait_until_kept,
)
from tests.browser.served import Served, gathered, with_file, with_snapshot, without_snapshot

WORKERS = 20
FIRST_VISIT_BYTES_MAX = 11_200_000
"""What a first visit may download, as it is sent: docs/boot.md says what it is made of."""

START = """
async (options) => {
  const { start } = await import("/agents.mjs");
  const config = await (await fetch("/config.json")).json();
  const { changes, ...others } = options;
  const runtime = start({ config: { ...config, ...changes }, nats: "local://", ...others });
  let from = null;
  runtime.addEventListener("phase", ({ detail }) => (from ??= detail.from ?? null));
  try {
    await runtime.running;
    const reply = await runtime.ask(`greeter-${runtime.node}`, { type: "Hello", name: "Ada" });
    return { from, reply };
  } catch (error) {
    return { name: error.name, message: error.message, phase: error.data.phase };
  }
}
"""
"""Start a runtime in the page; what its agent answers, or why there is none."""


@pytest.fixture(scope="session")
def site(snapshot: bytes) -> Site:
    """What `agents up --example hello` serves."""
    return gathered(Project.find().example("hello"))


# -- with and without a snapshot


def test_the_first_visit_starts_from_the_server_s_snapshot(
    page: Page, served: Served, complaints: list[str]
) -> None:
    open_page(page, served.url)
    assert started_from(page) == "snapshot"
    assert complaints == []


def test_without_one_the_browser_takes_its_own(
    page: Page, served: Served, site: Site, complaints: list[str]
) -> None:
    served.show(without_snapshot(site))
    open_page(page, served.url)
    assert started_from(page) == "scratch"
    put = "caches.open('agents-core-1').then(c => c.put('/snapshots/old.bin', new Response()))"
    page.evaluate(put)
    wait_for_own_snapshot(page, site.settings["snapshot"])
    assert "/snapshots/old.bin" not in kept(page)
    wait_until_kept(page)
    open_page(page, served.url)
    assert started_from(page) == "snapshot"
    assert page.evaluate(START, {})["from"] == "snapshot"
    wait_until_kept(page)
    assert site.settings["snapshot"] in kept(page)
    assert complaints == []


def test_of_its_own_ones_it_keeps_the_last_wherever_the_site_is(
    page: Page, served: Served, site: Site
) -> None:
    served.show(without_snapshot(site))
    page.goto(f"{served.url}config.json")
    old, new = (f"/some/where/snapshots/{name}.bin" for name in ("old", "new"))
    page.evaluate(f"caches.open('agents-core-1').then(c => c.put('{old}', new Response()))")
    assert page.evaluate(START, {"changes": {"snapshot": new}})["from"] == "scratch"
    wait_for_own_snapshot(page, new)
    assert old not in kept(page)


def test_whoever_wants_no_snapshot_gets_none(page: Page, served: Served) -> None:
    open_page(page, served.url)
    found = page.evaluate(START, {"changes": {"snapshot": None}})
    assert found["from"] == "scratch"
    assert found["reply"]["text"] == "hello Ada"


def test_whoever_saves_data_downloads_none(page: Page, served: Served, tmp_path: Path) -> None:
    assert look(page, served, tmp_path, "'{}'", save_data=True) == [{}]
    assert served.site.settings["snapshot"] not in served.sent


def broken(snapshot: bytes, how: str) -> bytes:
    match how:
        case "of another build of Pyodide":
            return snapshot[:16] + bytes(32) + snapshot[48:]
        case "cut":
            return snapshot[: len(snapshot) // 2]
        case "something else":
            return b"<!doctype html>" * 1000
        case _:
            return b""


@pytest.mark.parametrize("how", ["of another build of Pyodide", "cut", "something else", "empty"])
def test_falls_back_from_a_broken_snapshot(
    page: Page, served: Served, site: Site, snapshot: bytes, complaints: list[str], how: str
) -> None:
    served.show(with_snapshot(site, broken(snapshot, how)))
    open_page(page, served.url)
    assert started_from(page) == "scratch"
    assert any("without its snapshot" in text for text in complaints)


def test_falls_back_from_a_snapshot_that_can_t_be_had(
    page: Page, served: Served, complaints: list[str]
) -> None:
    page.context.route("**/*.bin", lambda route: route.fulfill(status=503, body=""))
    open_page(page, served.url)
    assert started_from(page) == "scratch"
    assert any("no snapshot" in text and "answered 503" in text for text in complaints)


def test_falls_back_from_a_restore_that_never_ends(
    page: Page, served: Served, site: Site, tmp_path: Path
) -> None:
    text = "export const restore = () => new Promise(() => {});"
    served.show(with_file(site, "/snapshot.mjs", tmp_path / "snapshot.mjs", text))
    open_page(page, served.url)
    assert started_from(page) == "scratch"


def test_forgets_its_own_snapshot_that_does_not_work(
    page: Page, served: Served, site: Site
) -> None:
    served.show(without_snapshot(site))
    open_page(page, served.url)
    wait_for_own_snapshot(page, site.settings["snapshot"])
    put = "(path) => caches.open('agents-core-1').then(c => c.put(path, new Response('no')))"
    page.evaluate(put, site.settings["snapshot"])
    found = page.evaluate(START, {})
    assert found["from"] == "scratch"
    assert found["reply"]["text"] == "hello Ada"
    assert site.settings["snapshot"] not in kept(page)


# -- after a restore

LOOK = """
import email.utils, hashlib, json, os, random, secrets, tempfile, time, uuid
from agents_core.ids import unique
json.dumps({
    "random.random": random.random(),
    "random.getrandbits": random.getrandbits(64),
    "random.Random": random.Random().random(),
    "os.urandom": os.urandom(16).hex(),
    "secrets": secrets.token_hex(16),
    "uuid.uuid1": str(uuid.uuid1()),
    "uuid.uuid4": str(uuid.uuid4()),
    "uuid.uuid7": str(uuid.uuid7()),
    "tempfile": tempfile.mktemp(),
    "email": email.utils.make_msgid(),
    "unique": unique(),
})
"""

IN_WORKERS = """
async ({ python, count, at_once, changes, saveData }) => {
  const config = { ...(await (await fetch("/config.json")).json()), ...changes };
  const run = () => new Promise((resolve, reject) => {
    const worker = new Worker("/look_worker.mjs", { type: "module" });
    worker.onerror = (event) => reject(new Error(event.message));
    worker.onmessage = ({ data }) => (worker.terminate(), resolve(data));
    worker.postMessage({ config, python, saveData });
  });
  const found = [];
  const some = async () => { while (count-- > 0) found.push(await run()); };
  await Promise.all(Array.from({ length: at_once }, some));
  return found;
}
"""

LOOK_WORKER = """
import { startPython } from "/python.mjs";
addEventListener("message", async ({ data: { config, python, saveData } }) => {
  try {
    if (saveData) Object.defineProperty(navigator, "connection", { value: { saveData } });
    const { pyodide, from } = await startPython({ config });
    postMessage({ from, value: JSON.parse(await pyodide.runPythonAsync(python)) });
  } catch (error) {
    postMessage({ from: String(error) });
  }
});
"""


def look(
    page: Page,
    served: Served,
    folder: Path,
    python: str,
    *,
    count: int = 1,
    scratch: bool = False,
    save_data: bool = False,
) -> list[Any]:
    """What Python gives as JSON in fresh workers, each restored from the snapshot, or not."""
    looked = with_file(served.site, "/look_worker.mjs", folder / "look_worker.mjs", LOOK_WORKER)
    served.show(with_file(looked, "/blank.html", folder / "blank.html", "<!doctype html>"))
    page.goto(f"{served.url}blank.html")
    changes = {"snapshot": None} if scratch else {}
    order = {"python": python, "count": count, "at_once": 4, "changes": changes}
    found: list[dict[str, Any]] = page.evaluate(IN_WORKERS, {**order, "saveData": save_data})
    assert {item["from"] for item in found} == {"scratch" if scratch or save_data else "snapshot"}
    return [item["value"] for item in found]


def test_no_two_workers_draw_the_same(page: Page, served: Served, tmp_path: Path) -> None:
    found = look(page, served, tmp_path, LOOK, count=WORKERS)
    assert len(found) == WORKERS
    for name in found[0]:
        assert len({worker[name] for worker in found}) == WORKERS, name


def test_what_workers_of_one_snapshot_share(page: Page, served: Served, tmp_path: Path) -> None:
    """docs/boot.md says so: whoever knows the snapshot knows how strings are hashed."""
    python = "import json; json.dumps(hash('a string'))"
    found = look(page, served, tmp_path, python, count=2)
    assert found[0] == found[1]


def test_is_as_if_it_had_started_here(browser: Browser, served: Served, tmp_path: Path) -> None:
    python = """
import json, locale, os, sys, time
from datetime import datetime
zone = [time.timezone, time.altzone, time.tzname, time.strftime("%Z", time.localtime(0))]
summer = str(datetime(2026, 7, 1).astimezone())
json.dumps([zone, summer, locale.getlocale(), dict(os.environ), os.getcwd(), sys.argv, sys.path])
"""
    context = browser.new_context(timezone_id="America/New_York", locale="de-DE")
    page = context.new_page()
    (restored,) = look(page, served, tmp_path, python)
    (started,) = look(page, served, tmp_path, python, scratch=True)
    context.close()
    assert restored == started
    zone, summer, language, *_ = restored
    assert zone[:2] == [5 * 3600, 4 * 3600]
    assert summer == "2026-07-01 00:00:00-04:00"
    assert language == ["de_DE", "UTF-8"]


def test_the_rest_of_python_is_there(page: Page, served: Served, tmp_path: Path) -> None:
    """What the snapshot does not hold is imported from the wheel, the library and the index."""
    python = """
import asyncio, json
from importlib.metadata import version
import agents_core.testing.bus, csv, sqlite3, xml.dom.minidom
from pyodide.ffi import run_sync
import pyodide_js
await pyodide_js.loadPackage("micropip")
import micropip
await micropip.install("agents-core")  # is there already

async def answer():
    async with asyncio.timeout(5):
        await asyncio.sleep(0)
    return version("agents-core")

json.dumps([run_sync(answer()), sqlite3.connect(":memory:").execute("select 1").fetchall()])
"""
    (found,) = look(page, served, tmp_path, python)
    assert found == [served.site.settings["version"], [[1]]]


def test_calls_c_functions_the_fast_way(page: Page, served: Served, tmp_path: Path) -> None:
    """As Pyodide does when it starts from scratch; a snapshot itself has the slow way in it."""
    python = """
import json
from pyodide_js import _module
offset = _module.HEAP32[_module["__PyEM_EMSCRIPTEN_TRAMPOLINE_OFFSET"] // 4]
json.dumps(_module.HEAP32[(_module["__PyRuntime"] + offset) // 4])
""".replace('_module["', 'getattr(_module, "').replace('"]', '")')
    (found,) = look(page, served, tmp_path, python)
    assert found > 0


# -- further workers, bytes, and a start that does not get on


def test_further_workers_share_the_compiled_code(page: Page, served: Served) -> None:
    open_page(page, served.url)
    found = page.evaluate(START, {})
    assert found["from"] == "snapshot"
    first, further = page.workers
    names = "performance.getEntriesByType('resource').map(({ name }) => name).join()"
    assert "pyodide.asm.wasm" in first.evaluate(names)
    assert "pyodide.asm.wasm" not in further.evaluate(names)


def test_a_first_visit_downloads_no_more_than_it_may(page: Page, served: Served) -> None:
    open_page(page, served.url)
    started = sum(served.sent.values())
    assert 0 < started <= FIRST_VISIT_BYTES_MAX
    wait_until_kept(page)
    twice = [path for (path, status), count in served.statuses.items() if status == 200 < count]
    large = [path for path in served.statuses if served.sent[path[0]] > 100_000 and path[1] == 200]
    assert twice == []
    assert len(large) >= 4
    assert [served.statuses[path] for path in large] == [1] * len(large)


def test_progress_is_told_in_bytes(page: Page, served: Served) -> None:
    page.goto(f"{served.url}favicon.svg")
    found = page.evaluate("""
async () => {
  const { start } = await import("/agents.mjs");
  const config = await (await fetch("/config.json")).json();
  const runtime = start({ config });
  const files = {};
  runtime.addEventListener("progress", ({ detail: { file, loaded, total } }) =>
    (files[file] ??= []).push([loaded, total]));
  await runtime.running;
  return [files, config.bytes];
}
""")
    files, expected = found
    assert {name.rpartition(".")[2] for name in files} == {
        "bin",
        "json",
        "py",
        "wasm",
        "whl",
        "zip",
    }
    for reports in files.values():
        loaded = [report[0] for report in reports]
        assert loaded == sorted(loaded)
        assert loaded[-1] == reports[-1][1]
    total = sum(reports[-1][0] for reports in files.values())
    assert total == pytest.approx(expected, rel=0.01)


def test_a_start_without_progress_fails_by_name(page: Page, served: Served) -> None:
    page.goto(f"{served.url}favicon.svg")
    page.context.route("**/*.wasm", lambda route: None)  # never answered
    found = page.evaluate(START, {"patience": 2})
    assert found == {"name": "Stalled", "message": "nothing happened for 2 s", "phase": "loading"}


def test_a_start_that_loops_for_ever_fails_by_name(
    page: Page, served: Served, site: Site, tmp_path: Path
) -> None:
    text = "export function restore() { for (;;); }"
    served.show(with_file(site, "/snapshot.mjs", tmp_path / "snapshot.mjs", text))
    page.goto(f"{served.url}favicon.svg")
    assert page.evaluate(START, {"patience": 2})["name"] == "Stalled"
    page.close()  # with what the worker had not read yet


@pytest.mark.parametrize("name", ["pyodide.asm.wasm", "python_stdlib.zip", "agents_core"])
def test_a_download_that_breaks_off_fails_by_name(page: Page, served: Served, name: str) -> None:
    page.goto(f"{served.url}favicon.svg")
    app = served.app

    async def breaking(scope: Scope, receive: Receive, send: Send) -> None:
        async def half(message: Message) -> None:
            if name in scope["path"] and message["type"] == "http.response.body":
                body = message["body"]
                await send({**message, "body": body[: len(body) // 2], "more_body": True})
                raise ConnectionResetError
            await send(message)

        await app(scope, receive, half)

    served.app = breaking
    found = page.evaluate(START, {})
    assert found["name"] == "Failed"
    assert name in found["message"]


def test_code_that_can_t_be_compiled_fails_by_name(page: Page, served: Served) -> None:
    page.goto(f"{served.url}favicon.svg")
    garbage = {"body": "no code", "content_type": "application/wasm"}
    page.context.route("**/*.wasm", lambda route: route.fulfill(**garbage))
    found = page.evaluate(START, {})
    assert found["name"] == "Failed"
    assert found["message"].startswith("pyodide.asm.wasm: ")
