"""Every Python block of the README and of docs/ runs, and every row of the seed's API table too."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path
from types import CodeType
from typing import Any

import pytest

from agents_server.nats_server import NatsServer

ROOT = Path(__file__).parents[2]
SEED_API = ROOT / "docs" / "seed-api.md"
FENCE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ROW = re.compile(r"^\| (?P<seed>.+?) \| `(?P<ours>.+)` \|$", re.MULTILINE)
PAGES = [
    page
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
    if page != SEED_API and FENCE.search(page.read_text(encoding="utf-8"))
]


def compiled(source: str, page: Path, line: int) -> CodeType:
    """Compile a block with top-level await, so that a traceback names the line of the page."""
    tree = compile(
        "\n" * line + source, str(page), "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    )
    return compile(tree, str(page), "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


async def run(source: str, page: Path, line: int, namespace: dict[str, Any]) -> None:
    result = eval(compiled(source, page, line), namespace)
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
    for match in FENCE.finditer(text):
        line = text.count("\n", 0, match.start(1))
        await run(match[1], page, line, namespace)


async def test_every_row_of_the_seed_api_runs(
    nats_server: NatsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The right-hand cells of docs/seed-api.md run from top to bottom in one namespace."""
    monkeypatch.chdir(tmp_path)
    text = text_of(SEED_API, nats_server)
    rows = list(ROW.finditer(text))
    assert len(rows) >= 40, "the table lost rows"
    namespace: dict[str, Any] = {"__name__": "__main__"}
    for match in FENCE.finditer(text):
        await run(match[1], SEED_API, text.count("\n", 0, match.start(1)), namespace)
    for row in rows:
        line = text.count("\n", 0, row.start())
        await run(row["ours"].replace("\\|", "|"), SEED_API, line, namespace)
    await namespace["node"].close()
