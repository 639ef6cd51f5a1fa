"""The tab's end of the line to the page, without the page."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Page

from tests.browser.tab import run_python

PYTHON = """
import asyncio, json
from agents_browser.tab import Tab
from agents_core import Agent

class Slow(Agent):
    async def on_stop(self, reason):
        await asyncio.sleep(0)

async def stop_twice():
    answered, heard = asyncio.Event(), []

    def take(text):
        heard.append(json.loads(text))
        if len([message for message in heard if message["type"] == "reply"]) == 2:
            answered.set()

    tab = Tab(take, None)
    await tab.start("local://", "default", "", None)
    for id in "ab":
        await tab.node.spawn(Slow, id)
    for id in (1, 2):
        tab.receive(json.dumps({"id": id, "method": "stop"}))
    async with asyncio.timeout(30):
        await answered.wait()
    stopped = [message["event"]["agent"] for message in heard if message["type"] == "event"
        and message["event"]["kind"] == "stopped"]
    replies = [message for message in heard if message["type"] == "reply"]
    return stopped, replies

json.dumps(await stop_twice())
"""


def test_a_second_stop_waits_for_the_first(page: Page, wheel: Path, pyodide: Path) -> None:
    stopped, replies = run_python(page, PYTHON, wheel=wheel, pyodide=pyodide)
    assert stopped == ["b", "a"]
    assert replies == [{"type": "reply", "id": id, "value": None} for id in (1, 2)]
