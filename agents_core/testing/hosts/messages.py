"""Checks: messages, errors, news and state get through, both ways."""

from __future__ import annotations

import asyncio
import json
import logging

from agents_core import Get, List, Store
from agents_core.errors import (
    AgentNotFound,
    EncodeError,
    InvalidMessage,
    MaxPayloadExceeded,
    RemoteError,
    UnhandledMessage,
)
from agents_core.hosts import frames
from agents_core.hosts.channel import UNREAD_BYTES_MAX
from agents_core.testing.hosts.agents import Adder, Caller, Increase, Reached, Sink
from agents_core.testing.hosts.kit import ASK_S, Kit, raises, until


async def keeps_the_order(kit: Kit) -> None:
    """What one sender tells an agent is handled in that order, each once."""
    adder = await kit.spawn(Adder, 0, False)
    for n in range(500):
        adder.tell(Increase(n))
    assert await adder.ask("seen", ASK_S) == list(range(500)), "lost, doubled, or out of order"


async def keeps_types(kit: Kit) -> None:
    """Arguments, messages and replies arrive as what they were."""
    adder = await kit.spawn(Adder, 5, kept=False)
    assert await adder.ask(Increase(2), ASK_S) == 7
    assert await adder.ask({"type": "Increase", "n": 1}, ASK_S) == 8
    assert await adder.ask("total", ASK_S) == Reached(8)


async def tells_errors(kit: Kit) -> None:
    """Each with its name and its data, as from an inline agent."""
    adder = await kit.spawn(Adder)
    with raises(UnhandledMessage, "nonsense"):
        await adder.ask("nonsense", ASK_S)
    await kit.event("unhandled", adder)
    with raises(InvalidMessage, "n is not int"):
        await adder.ask({"type": "Increase", "n": "x"}, ASK_S)
    with raises(EncodeError, "object"):
        await adder.ask("odd", ASK_S)
    with raises(EncodeError):
        await adder.ask(object(), ASK_S)
    with raises(MaxPayloadExceeded):
        await adder.ask("x" * frames.PAYLOAD_BYTES_MAX, ASK_S)
    with raises(RemoteError, "so") as caught:
        await adder.ask({"type": "fail", "why": "so"}, ASK_S)
    assert caught.error.type == "ValueError"
    assert "in fail" in caught.error.traceback, "the traceback is not that of the handler"
    await kit.event("restarted", adder)
    assert (await adder.info())["restarts"] == 1


async def knows_its_message(kit: Kit) -> None:
    """`ctx` is what it is inline."""
    caller = await kit.spawn(Caller)
    expected = [kit.node.name, "who", caller.id, kit.node.name]
    assert await caller.ask("who", ASK_S) == expected
    other = await kit.spawn(Caller, host="inline")
    found = await other.ask({"type": "ask", "to": caller.id, "what": "who"}, ASK_S)
    assert found == [other.id, *expected[1:]], found


async def is_reached_from_elsewhere(kit: Kit) -> None:
    """By a message from another node, with its type in a header; the answer has one too."""
    adder = await kit.spawn(Adder)
    to, bus = f"{kit.node.root}.to.{adder.id}.elsewhere", kit.node.bus
    body = b'{"payload": {"n": 2}}'
    msg = await bus.request(to, body, ASK_S, {"Acore-Type": "Increase"})
    assert json.loads(msg.data)["payload"] == 2
    msg = await bus.request(to, b'{"payload": "total"}', ASK_S)
    assert msg.headers["Acore-Type"] == "Reached"
    assert json.loads(msg.data)["payload"] == {"value": 2}
    msg = await bus.request(to, b'{"payload": "nonsense"}', ASK_S)
    assert msg.headers["Nats-Service-Error-Code"] == "404"


async def reaches_everybody(kit: Kit) -> None:
    """An agent beside it, one of another host, an inline one; also when it is nobody."""
    caller = await kit.spawn(Caller)
    for host in ("a", "b", "inline"):
        adder = await kit.spawn(Adder, host=host)
        tell = {"type": "tell", "to": adder.id, "numbers": [1, 2, 3]}
        await caller.ask(tell, ASK_S)
        assert await caller.ask({"type": "add", "to": adder.id, "n": 4}, ASK_S) == 10, host
        found = await caller.ask({"type": "ask", "to": adder.id, "what": "total"}, ASK_S)
        assert found == Reached(10), host
        late = {"type": "ask", "to": adder.id, "what": "wait", "timeout": 0.01}
        assert (await caller.ask(late, ASK_S))[0] == "AskTimeout", host
        why = {"type": "ask", "to": adder.id, "what": {"type": "fail", "why": "so"}}
        await adder.kill()
        await kit.event("restarted", adder)
        assert (await caller.ask(why, ASK_S))[0] == "RemoteError", host
    nobody = {"type": "ask", "to": "nobody", "what": "x"}
    assert (await caller.ask(nobody, ASK_S))[0] == AgentNotFound.__name__


async def publishes(kit: Kit) -> None:
    """Below the root of the space; what can't be sent is told."""
    caller = await kit.spawn(Caller)
    news = await kit.node.subscribe(f"{kit.node.root}.news.*")
    say = {"type": "publish", "subject": "news.today", "value": {"n": 1}}
    assert await caller.ask(say, ASK_S) == ""
    assert (await news.next_msg(ASK_S)).data == b'{"n":1}'
    assert await caller.ask({**say, "subject": "not a subject"}, ASK_S) == "InvalidSubject"
    large = {**say, "value": "x" * (kit.node.bus.max_payload + 1)}
    assert await caller.ask(large, ASK_S) == "MaxPayloadExceeded"
    await news.unsubscribe()


async def has_a_node(kit: Kit) -> None:
    """What does not reach through a pipe says so."""
    caller = await kit.spawn(Caller)
    assert await caller.ask({"type": "node", "name": "version"}, ASK_S) == kit.node.version
    assert await caller.ask({"type": "node", "name": "root"}, ASK_S) == kit.node.root
    assert await caller.ask({"type": "node", "name": "host"}, ASK_S) == kit.node.host
    for name in ("subscribe", "close"):
        assert await caller.ask({"type": "node", "name": name}, ASK_S) == "Unsupported"


async def hands_its_log_on(kit: Kit) -> None:
    """With level, agent and traceback, and whose host it was."""
    records: list[logging.LogRecord] = []
    caller = await kit.spawn(Caller)
    logger = logging.getLogger(f"agents.{caller.id}")
    logger.addFilter(_Collect(records))
    await caller.ask({"type": "log", "text": "look"}, ASK_S)
    found = [record for record in records if hasattr(record, "host")]
    assert len(found) == 1, found
    assert (found[0].levelname, found[0].host) == ("WARNING", "a")
    assert found[0].getMessage().startswith("look \\ud800\nTraceback")
    assert found[0].getMessage().endswith("KeyError: 'a reason'")


class _Collect(logging.Filter):
    def __init__(self, records: list[logging.LogRecord]) -> None:
        super().__init__()
        self.records = records

    def filter(self, record: logging.LogRecord) -> bool:
        self.records.append(record)
        return True


async def keeps_state(kit: Kit) -> None:
    """With the parent: actions on it work from outside, between two messages, and it outlives."""
    adder = await kit.spawn(Adder)
    assert await adder.state(Store("total", 5)) is None
    assert await adder.state(Get("total")) == 5
    assert await adder.state(List()) == ["total"]
    await adder.kill()
    await kit.event("restarted", adder)
    assert await adder.ask(Increase(1), ASK_S) == 6
    waiting = [adder.state(Get("total")), adder.ask(Increase(1), ASK_S)]
    assert await asyncio.gather(*waiting) in ([6, 7], [7, 7])
    assert await adder.ask("read yourself", ASK_S) == 7


async def counts(kit: Kit) -> None:
    """`info` counts messages of those beside it too, as soon as the host has told of them."""
    adder, caller = await kit.spawn(Adder), await kit.spawn(Caller)
    await caller.ask({"type": "tell", "to": adder.id, "numbers": [1] * 10}, ASK_S)
    await adder.ask("total", ASK_S)

    async def counted() -> bool:
        info = await adder.info()
        assert info["host"] == "a"
        return bool(info["handled"] == 11)

    await until(counted)


async def has_bounds_on_what_it_sends(kit: Kit) -> None:
    """A sender that never pauses is told when too much waits, and goes on."""
    sink = await kit.spawn(Sink, host="inline", mailbox=10_000)
    caller = await kit.spawn(Caller)
    found = await caller.ask({"type": "flood", "to": sink.id}, ASK_S)
    assert found == "OutboundBufferFull", found

    async def taken() -> bool:
        return bool(await sink.ask({"type": "take"}, ASK_S) > 50)

    await until(taken)
    assert await caller.ask({"type": "ask", "to": sink.id, "what": "take"}, ASK_S) > 50


async def takes_large_messages(kit: Kit) -> None:
    """As fast as the host reads them: what it has not read is bounded, the others wait."""
    sink = await kit.spawn(Sink)
    message = {"type": "take", "text": "x" * (UNREAD_BYTES_MAX // 10)}
    for _ in range(40):
        sink.tell(message)
    assert await sink.ask("take", ASK_S) == 41


CHECKS = (
    keeps_the_order,
    keeps_types,
    tells_errors,
    knows_its_message,
    is_reached_from_elsewhere,
    reaches_everybody,
    publishes,
    has_a_node,
    hands_its_log_on,
    keeps_state,
    counts,
    has_bounds_on_what_it_sends,
    takes_large_messages,
)
