"""The notebook of `examples/jupyterlite`, and what its kernel is for us, in a real JupyterLite."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Locator, Page, Request, expect

from agents_core import connect, nats
from agents_server.nats_server import NatsServer
from tests.app_fixture import StartApp
from tests.browser import jupyterlite
from tests.browser.beside import run_beside
from tests.browser.page import wait_until
from tests.browser.test_examples import static
from tests.browser.test_page import flags

NOTEBOOK = jupyterlite.EXAMPLE / "agents.ipynb"
NOT_RUN, RUNNING = "[ ]:", "[*]:"
KERNEL = "Python (Pyodide)"
KERNEL_MS = 120_000
"""For its Python, which installs IPython each time: 20 seconds, where nothing else is at work."""

TALL = {"width": 1000, "height": 4000}
"""Cells out of sight are not in the page."""


def notebook(cells: Sequence[str]) -> str:
    """A notebook with code in it."""
    empty = {"cell_type": "code", "execution_count": None, "metadata": {}, "outputs": []}
    kernel = {"name": "python", "display_name": KERNEL, "language": "python"}
    content: dict[str, Any] = {
        "cells": [{**empty, "id": f"cell-{n}", "source": cell} for n, cell in enumerate(cells)],
        "metadata": {"kernelspec": kernel, "language_info": {"name": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(content)


@contextmanager
def served(folder: Path, text: str) -> Iterator[str]:
    """The built site, by Python's own server, with another text as the example."""
    assert jupyterlite.SITE.is_dir(), "there is no JupyterLite site: run `make test`"
    for path in jupyterlite.SITE.iterdir():
        if path.name != "files":
            (folder / path.name).symlink_to(path)
    (folder / "files").mkdir()
    (folder / "files" / NOTEBOOK.name).write_text(text, encoding="utf-8")
    with static(folder) as url:
        yield url


def run_all(page: Page, site: str) -> None:
    """Open the notebook and run all its cells, as a user does."""
    page.set_viewport_size(TALL)
    page.goto(f"{site}/notebooks/index.html?path={NOTEBOOK.name}")
    # The cells are there before the kernel has begun to start. Who runs them then is asked for one.
    expect(page.locator(".jp-Toolbar-kernelName")).to_have_text(KERNEL, timeout=KERNEL_MS)
    for item in ("Run", "Run All Cells"):
        page.get_by_role("menuitem", name=item, exact=True).click()


def outputs(page: Page) -> list[str]:
    """What each cell has shown, as soon as all have ended; none runs after one that fails."""
    cells = page.locator(".jp-CodeCell")
    prompts = cells.locator(".jp-InputPrompt")

    def ended() -> bool:
        texts = prompts.all_text_contents()
        return texts[0] != NOT_RUN and RUNNING not in texts

    wait_until(page, ended, KERNEL_MS // 1000, "the cells did not end in time")
    shown = [cell.locator(".jp-OutputArea-output").all_inner_texts() for cell in cells.all()]
    return ["\n".join(text.strip() for text in texts) for texts in shown]


def last_output(page: Page) -> Locator:
    """Where what comes later is printed."""
    return page.locator(".jp-CodeCell").last.locator(".jp-OutputArea")


async def from_outside(url: str) -> Any:
    """A native node asks the notebook's agent, and a native client greets its subscriber."""
    async with connect(url) as node:
        answer = await node.agent("notebook-counter").ask({"type": "add", "n": 2}, timeout=10)
    client = await nats.connect(url)
    client.publish("greet.native", b"hello from outside")
    await client.drain()
    return answer


def test_the_notebook_talks_with_a_server_and_its_node(
    page: Page, tmp_path: Path, start_app: StartApp, own_nats_server: NatsServer, wheel: Path
) -> None:
    """It installs the package from `agents up`, which is of another origin."""
    app = start_app("--example", "hello", *flags(own_nats_server))
    text = NOTEBOOK.read_text(encoding="utf-8")
    for usual, here in {
        "http://127.0.0.1:8000/": app.url,
        "ws://127.0.0.1:8080": own_nats_server.websocket_url,
    }.items():
        assert usual in text
        text = text.replace(usual, here)
    (tmp_path / "site").mkdir()
    requests: list[str] = []

    def note(request: Request) -> None:
        requests.append(request.url)

    page.context.on("request", note)
    with served(tmp_path / "site", text) as site:
        run_all(page, site)
        installed, loop, heard, colour, greeting, counter = outputs(page)
        assert installed == ""
        assert loop == "True"
        assert heard == "greet.ada hello from the notebook"
        assert colour == "colour b'blue' 1"
        assert greeting.startswith("{'text': 'hello notebook', 'node': 'server-")
        assert counter == "the counter is at 1\n1"

        assert run_beside(from_outside(own_nats_server.url)) == 3
        expect(last_output(page)).to_contain_text("the counter is at 3")
        expect(last_output(page)).to_contain_text("greet.native hello from outside")
        page.goto("about:blank")
    assert (
        f"{app.url}wheels/{next(NOTEBOOK.parents[2].glob('dist/agents_core-*')).name}" in requests
    )
    known = (site, app.url, "data:", "blob:")
    assert [url for url in requests if not url.startswith(known)] == []


def test_what_the_kernel_is_for_us(page: Page, tmp_path: Path, nats_server: NatsServer) -> None:
    """A wheel in the site, our event loop beside IPython, `input`, and no shared memory."""
    cells = [
        "%pip install agents-core",
        "import agents_browser.eventloop\nagents_browser.eventloop.install()",
        f'from agents_core import nats\nnc = await nats.connect("{nats_server.websocket_url}")',
        "from agents_browser.pump import pump\ntype(pump()).__name__",
        "import asyncio\nfrom pyodide.ffi import run_sync\nrun_sync(asyncio.sleep(0.01, 'slept'))",
        "print(input('who? '), await nc.rtt() > 0, nc.is_connected)",
        "asyncio.get_running_loop().call_soon(int, 'no number')\nawait asyncio.sleep(0.01)",
        "agents_browser.eventloop.uninstall()\nawait nc.rtt() > 0",
        "await nc.close()\nnc.is_connected",
    ]
    with served(tmp_path, notebook(cells)) as site:
        run_all(page, site)
        answer = page.locator(".jp-Stdin-input")
        answer.wait_for(timeout=KERNEL_MS)
        answer.fill("Ada")
        answer.press("Enter")
        shown = outputs(page)
        page.goto("about:blank")
    assert shown[0] == shown[2] == ""
    assert (shown[1], shown[3], shown[4]) == ("True", "'Copies'", "'slept'")
    assert "Ada True True" in shown[5].splitlines()
    assert "ValueError: invalid literal" in shown[6]
    assert (shown[7], shown[8]) == ("True", "False")
