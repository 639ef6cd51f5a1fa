"""Every Python block of the README runs; they share a namespace, as typed into one session."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path
from typing import Any

from agents_server.nats_server import NatsServer

README = Path(__file__).parents[2] / "README.md"
FENCE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


async def test_the_readme_runs(nats_server: NatsServer) -> None:
    text = README.read_text(encoding="utf-8")
    text = text.replace("nats://localhost:4222", nats_server.url)
    text = text.replace("ws://localhost:8080", nats_server.websocket_url)
    namespace: dict[str, Any] = {"__name__": "__main__"}
    blocks = list(FENCE.finditer(text))
    assert len(blocks) == 2
    for block in blocks:
        line = text.count("\n", 0, block.start(1))  # so that a traceback names the README's line
        flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        code = compile("\n" * line + block[1], str(README), "exec", flags)
        result = eval(code, namespace)
        if inspect.isawaitable(result):
            await result
