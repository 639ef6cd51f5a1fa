"""Every Python block of the README and of docs/ runs, and every row of the seed's API table too."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path
from typing import Any

import pytest

from agents_server.nats_server import NatsServer

ROOT = Path(__file__).parents[2]
SEED_API = ROOT / "docs" / "seed-api.md"
FENCE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ROW = re.compile(r"^\|(?! seed |---).*$", re.MULTILINE)
CODE = re.compile(r"^\| [^|]+ \| `([^`]+)` \| [^|]*\|$")
ROWS = 57
"""In the table; a row that is lost, or that has no code, would not be noticed otherwise."""

PAGES = [
    page
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
    if page != SEED_API and FENCE.search(page.read_text(encoding="utf-8"))
]


async def run(source: str, page: Path, line: int, namespace: dict[str, Any]) -> None:
    """Run a piece of a page, with top-level await; a traceback names the line of the page."""
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    result = eval(compile("\n" * line + source, str(page), "exec", flags), namespace)
    if inspect.isawaitable(result):
        await result


def text_of(page: Path, server: NatsServer) -> str:
    """The page's text with the usual addresses replaced by the test's server."""
    text = page.read_text(encoding="utf-8")
    text = text.replace("nats://localhost:4222", server.url)
    return text.replace("ws://localhost:8080", server.websocket_url)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
async def test_python_blocks_run(
    page: Path, nats_server: NatsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The blocks of one page share a namespace, as a reader types them into one session."""
    monkeypatch.chdir(tmp_path)
    text = text_of(page, nats_server)
    namespace: dict[str, Any] = {"__name__": "__main__"}
    for block in FENCE.finditer(text):
        await run(block[1], page, text.count("\n", 0, block.start(1)), namespace)


def test_the_readme_has_examples() -> None:
    assert len(FENCE.findall((ROOT / "README.md").read_text(encoding="utf-8"))) >= 2


async def test_every_row_of_the_seed_api_runs(
    nats_server: NatsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = text_of(SEED_API, nats_server)
    namespace: dict[str, Any] = {"__name__": "__main__"}
    for block in FENCE.finditer(text):
        await run(block[1], SEED_API, text.count("\n", 0, block.start(1)), namespace)
    rows = list(ROW.finditer(text))
    assert len(rows) == ROWS
    try:
        for row in rows:
            code = CODE.fullmatch(row[0])
            assert code is not None, f"no code: {row[0]}"
            await run(code[1], SEED_API, text.count("\n", 0, row.start()), namespace)
    finally:
        await namespace["node"].close()
