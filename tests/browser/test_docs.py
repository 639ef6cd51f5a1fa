"""The guides' Python runs inside Pyodide too, in a worker, against a real nats-server."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page

from agents_server.nats_server import NatsServer
from tests.browser.tab import run_python
from tests.docs import page as pages

ROOT = Path(__file__).parents[2]
GUIDES = ("client.md", "jetstream.md", "key-value.md", "object-store.md")
PYTHON = """
import json
from tests.docs.page import blocks, run, with_servers

text = with_servers(values["text"], values["url"], values["url"])
namespace = {"__name__": "__main__"}
lines = []
for block in blocks(text):
    await run(block, values["name"], namespace)
    lines.append(block.line)
json.dumps(lines)
"""


@pytest.mark.nats
@pytest.mark.parametrize("guide", GUIDES)
def test_a_guide_runs_in_the_tab(
    guide: str, page: Page, wheel: Path, pyodide: Path, nats_server: NatsServer
) -> None:
    text = (ROOT / "docs" / guide).read_text(encoding="utf-8")
    lines = run_python(
        page,
        PYTHON,
        wheel=wheel,
        pyodide=pyodide,
        files={"tests/docs/page.py": Path(pages.__file__).read_bytes()},
        values={"text": text, "url": nats_server.websocket_url, "name": f"docs/{guide}"},
    )
    assert lines == [block.line for block in pages.blocks(text)]
