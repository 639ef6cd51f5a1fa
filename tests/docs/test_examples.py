"""Every Python block of the README and of docs/ runs, and every row of the seed's API table too."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from agents_server.nats_server import NatsServer
from tests.docs.page import FENCE, Block, blocks, run, with_servers

ROOT = Path(__file__).parents[2]
SEED_API = ROOT / "docs" / "seed-api.md"
ROW = re.compile(r"^\|(?! seed |---).*$", re.MULTILINE)
CODE = re.compile(r"^\| [^|]+ \| `([^`]+)` \| [^|]*\|$")
ROWS = 57
"""In the table; a row that is lost, or that has no code, would not be noticed otherwise."""

PAGES = [
    page
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
    if page != SEED_API and FENCE.search(page.read_text(encoding="utf-8"))
]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Examples write into the current folder."""
    monkeypatch.chdir(tmp_path)


def text_of(page: Path, server: NatsServer) -> str:
    """The page's text with the usual addresses replaced by the test's server."""
    return with_servers(page.read_text(encoding="utf-8"), server.url, server.websocket_url)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
async def test_python_blocks_run(path: Path, nats_server: NatsServer) -> None:
    """The blocks of one page share a namespace, as a reader types them into one session."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    for block in blocks(text_of(path, nats_server)):
        await run(block, str(path), namespace)


def test_the_readme_has_examples() -> None:
    assert len(blocks((ROOT / "README.md").read_text(encoding="utf-8"))) >= 2


async def test_every_row_of_the_seed_api_runs(nats_server: NatsServer) -> None:
    text = text_of(SEED_API, nats_server)
    namespace: dict[str, Any] = {"__name__": "__main__"}
    for block in blocks(text):
        await run(block, str(SEED_API), namespace)
    rows = list(ROW.finditer(text))
    assert len(rows) == ROWS
    try:
        for row in rows:
            code = CODE.fullmatch(row[0])
            assert code is not None, f"no code: {row[0]}"
            line = text.count("\n", 0, row.start())
            await run(Block(code[1], line), str(SEED_API), namespace)
    finally:
        await namespace["node"].close()
