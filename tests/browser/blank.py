"""A page that is nothing but a page, with `/agents.mjs` to use, and Python for it."""

from __future__ import annotations

import io
import zipfile
from typing import Any

from playwright.sync_api import Page

PAGE = "<!doctype html><title>a page</title>"
SHOP = """
import logging, sys, time, traceback
from dataclasses import dataclass
from agents_core import Agent, on

@dataclass
class Add:
    n: int = 1

class Counter(Agent):
    def __init__(self, step=1, *, name="counter"):
        self.step, self.name = step, name

    async def on_start(self):
        self.value = await self.state.get("value", 0)

    @on
    async def add(self, m: Add) -> int:
        self.value += m.n * self.step
        await self.state.set("value", self.value)
        return self.value

    @on("name")
    def tell_name(self):
        return self.name

    @on("echo")
    def echo(self, message):
        return message["value"]

    @on("publish")
    async def publish(self, message):
        await self.ctx.publish("shop.total", message["value"])

    @on("boom")
    def boom(self):
        return {}["nothing"]

    @on("busy")
    def busy(self, message):
        end = time.monotonic() + message["seconds"]
        while time.monotonic() < end:
            pass

    @on("flood")
    def flood(self):
        for _ in range(130):
            sys.stderr.write("x" * 1024)
        print("y" * 100_000, file=sys.stderr)

    @on("log")
    def log(self):
        for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR):
            self.ctx.log.log(level, "a word")
        try:
            1 / 0
        except ZeroDivisionError:
            self.ctx.log.exception("caught")
            traceback.print_exc()

class NoAgent:
    pass
"""
PRELUDE = """
const { start, AgentError } = await import("/agents.mjs");
const named = async (promise) => {
  try {
    await promise;
  } catch (error) {
    if (!(error instanceof AgentError)) throw error;
    return { name: error.name, message: error.message, data: error.data };
  }
  return "no error";
};
"""
RUNNING = """
const runtime = window.runtime = start({ log: "DEBUG" });
await runtime.define("shop", source);
const counter = await runtime.spawn("shop:Counter", "counter");
"""


def wheel_of(name: str, requires: str = "") -> bytes:
    """A wheel with one module, `<name>.py`, that has an agent."""
    info, requirement = f"{name}-1.0.dist-info", f"Requires-Dist: {requires}\n" if requires else ""
    files = {
        f"{name}.py": SHOP + (f"import {requires}\n" if requires else ""),
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{requirement}",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": "",
    }
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return body.getvalue()


def run(page: Page, body: str, source: str = SHOP) -> Any:
    """What the body of an async function returns, in the page."""
    return page.evaluate(f"async (source) => {{ {PRELUDE} {body} }}", source)
