"""docs/from-nats-py.md is true, and complete: both columns run, every name of nats-py is there."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import nats.errors
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.js.object_store import ObjectStore
from nats.micro.service import Group, Service

from agents_core.nats import Options
from agents_server.nats_server import NatsServer
from tests.docs.page import Block, run, with_servers

PAGE = Path(__file__).parents[2] / "docs" / "from-nats-py.md"
TEXT = PAGE.read_text(encoding="utf-8")
ROW = re.compile(r"^\| `([^`]+)` \| `([^`]+)` \| [^|]*\|$", re.MULTILINE)
ROWS = 114
"""In the tables; a row that is lost, or that has no code, would not be noticed otherwise."""

CODE = re.compile(r"`([^`\n]+)`")


@pytest.mark.parametrize("column", [1, 2], ids=["nats-py", "here"])
async def test_both_columns_run(column: int, nats_server: NatsServer) -> None:
    text = with_servers(TEXT, nats_server.url, nats_server.websocket_url)
    rows = list(ROW.finditer(text))
    assert len(rows) == ROWS
    namespace: dict[str, Any] = {"__name__": "__main__"}
    for row in rows:
        block = Block(row[column], text.count("\n", 0, row.start()))
        await run(block, str(PAGE), namespace)
    assert namespace["nc"].is_closed


def test_the_options_are_compared_completely() -> None:
    section = TEXT.partition("## Options")[2].partition("\n## ")[0]
    same, _, table = section.partition("| option |")
    theirs = set(inspect.signature(Client.connect).parameters) - {"self"}
    ours = set(Options.__dataclass_fields__)
    named = {name for row in table.splitlines()[2:] for name in CODE.findall(row.split("|")[1])}
    assert set(CODE.findall(same)) == (theirs & ours) - named
    assert theirs ^ ours <= named <= theirs | ours


@pytest.mark.parametrize("kind", [Client, Subscription, Msg, ObjectStore, Service, Group])
def test_every_public_name_is_mentioned(kind: type) -> None:
    code = " ".join(CODE.findall(TEXT))
    names = {name for name in vars(kind) if not name.startswith("_")}
    assert not {name for name in names if not re.search(rf"\b{name}\b", code)}


def test_every_error_is_mentioned() -> None:
    code = " ".join(CODE.findall(TEXT))
    names = {name for name, value in vars(nats.errors).items() if inspect.isclass(value)}
    assert not {name for name in names if not re.search(rf"\b{name}\b", code)}
