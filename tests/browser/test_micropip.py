"""`micropip.install("agents-core")` from a node's own index, in a page of it and in another's."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Page

from tests.app import App
from tests.browser.site import serve

INSTALL = """
async ([pyodide, micropip, index]) => {
  const { loadPyodide } = await import(pyodide + "pyodide.mjs");
  const py = await loadPyodide({ indexURL: pyodide });
  await py.loadPackage(micropip);
  py.globals.set("index", index);
  return await py.runPythonAsync(`
import micropip
await micropip.install("agents-core", index_urls=index)
from agents_core import Agent, connect, on

class Greeter(Agent):
    @on("greet")
    def greet(self, payload):
        return "hello " + payload["name"]

async with connect("local://") as node:
    greeter = await node.spawn(Greeter, "greeter")
    answer = await greeter.ask({"type": "greet", "name": "Ada"})
answer`);
}
"""


def test_in_a_page_of_the_node(page: Page, app: App) -> None:
    page.goto(app.url)
    pyodide = app.get("/config.json")["pyodide"]
    answer = page.evaluate(INSTALL, [pyodide, "micropip", f"{app.url}simple/"])
    assert answer == "hello Ada"


def test_in_a_page_of_another_origin(page: Page, app: App, pyodide: Path) -> None:
    """As in JupyterLite or PyScript, which bring their own Pyodide."""
    content: dict[str, Path | bytes] = {
        "/index.html": b"<!doctype html><title>another</title>",
        **{f"/pyodide/{path.name}": path for path in pyodide.iterdir()},
    }
    project = app.get("/simple/micropip/", accept="application/vnd.pypi.simple.v1+json")
    micropip = project["files"][0]["url"]
    with serve(content) as url:
        page.goto(f"{url}/index.html")
        answer = page.evaluate(INSTALL, [f"{url}/pyodide/", micropip, f"{app.url}simple/"])
    assert answer == "hello Ada"
