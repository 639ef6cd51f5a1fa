"""docs/from-nats-py.md is true, and complete: both columns run, every name of nats-py is there."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import nats.errors
import nats.js.errors
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.js.api import ConsumerConfig, StreamConfig
from nats.js.client import JetStreamContext
from nats.js.kv import KeyValue
from nats.js.manager import JetStreamManager
from nats.js.object_store import ObjectStore
from nats.micro.request import Request
from nats.micro.service import Group, Service

from agents_core import nats as nats_here
from agents_core.nats import Options, micro
from agents_core.nats import jetstream as here
from agents_server.nats_server import NatsServer
from tests.docs.page import Block, run, with_servers

PAGE = Path(__file__).parents[2] / "docs" / "from-nats-py.md"
TEXT = PAGE.read_text(encoding="utf-8")
ROW = re.compile(r"^\| `([^`]+)` \| `([^`]+)` \| [^|]*\|$", re.MULTILINE)
ROWS = 120
"""In the tables; a row that is lost, or that has no code, would not be noticed otherwise."""

MORE = "".join(
    (PAGE.parent / name).read_text(encoding="utf-8")
    for name in ("jetstream.md", "key-value.md", "object-store.md")
)
"""Each ends with what differs from nats-py."""

PAIRS = [
    (Client, nats_here.Client),
    (Subscription, nats_here.Subscription),
    (Msg, here.JSMsg),
    (JetStreamContext, here.JetStreamContext),
    (JetStreamManager, here.JetStreamContext),
    (JetStreamContext.PullSubscription, here.PullSubscription),
    (JetStreamContext.PushSubscription, here.PushSubscription),
    (KeyValue, here.KeyValue),
    (ObjectStore, here.ObjectStore),
    (StreamConfig, here.StreamConfig),
    (ConsumerConfig, here.ConsumerConfig),
    (Service, micro.Service),
    (Group, micro.Group),
    (Request, micro.Request),
]

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
        if isinstance(nc := namespace.get("nc"), Client):
            nc.options["drain_timeout"] = 1  # it waits for messages that no row reads
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


@pytest.mark.parametrize(("theirs", "ours"), PAIRS, ids=lambda kind: kind.__name__)
def test_what_is_not_here_is_mentioned(theirs: type, ours: type) -> None:
    code = " ".join(CODE.findall(TEXT + MORE))
    missing: set[str] = set()
    for name, member in vars(theirs).items():
        if name.startswith("_"):
            continue
        if not hasattr(ours, name):
            missing.add(name)
        elif inspect.isfunction(member):
            taken = inspect.signature(getattr(ours, name)).parameters
            if all(argument.kind is not argument.VAR_KEYWORD for argument in taken.values()):
                missing |= set(inspect.signature(member).parameters) - set(taken) - {"kwargs"}
    assert not {name for name in missing if not re.search(rf"\b{name}\b", code)}


@pytest.mark.parametrize("module", [nats.errors, nats.js.errors], ids=lambda it: it.__name__)
def test_every_error_is_mentioned(module: ModuleType) -> None:
    code = " ".join(CODE.findall(TEXT))
    found = inspect.getmembers(module, inspect.isclass)
    names = {name for name, kind in found if kind.__module__ == module.__name__}
    assert not {name for name in names if not re.search(rf"\b{name}\b", code)}
