"""Python in a page of the documentation, run as if typed into one session."""

from __future__ import annotations

import ast
import inspect
import re
from dataclasses import dataclass
from typing import Any

FENCE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A piece of Python on a page, and the line of the page before its first."""

    source: str
    line: int


def blocks(text: str) -> list[Block]:
    """The Python blocks of a page."""
    return [Block(found[1], text.count("\n", 0, found.start(1))) for found in FENCE.finditer(text)]


def with_servers(text: str, url: str, websocket_url: str) -> str:
    """The page with the usual addresses replaced by a test's server."""
    text = text.replace("nats://localhost:4222", url)
    return text.replace("ws://localhost:8080", websocket_url)


async def run(block: Block, page: str, namespace: dict[str, Any]) -> None:
    """Run a block, with top-level await; a traceback names the line of the page."""
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    result = eval(compile("\n" * block.line + block.source, page, "exec", flags), namespace)
    if inspect.isawaitable(result):
        await result
