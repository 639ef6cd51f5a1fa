"""tell, ask, stop, kill, info and state: the same for an agent of this node and of another."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from agents_core import (
    Agent,
    AgentRef,
    Clear,
    Delete,
    Get,
    List,
    Message,
    Node,
    Store,
    connect,
    on,
    router,
)
from agents_core import node as node_module
from agents_core.errors import (
    AgentNotFound,
    AskTimeout,
    ConnectionClosed,
    EncodeError,
    InvalidAgentId,
    InvalidMessage,
    MailboxFull,
    RemoteError,
    UnhandledMessage,
)
from tests.core.sample import Add, Counter, Events, Total, pair, until

everywhere = pytest.mark.parametrize("remote", [False, True], ids=["local", "remote"])


@asynccontextmanager
async def counter(remote: bool, **options: Any) -> AsyncIterator[tuple[AgentRef, Node]]:
    """A handle to a counter, and the node that hosts it."""
    first, second = pair()
    async with first as one, second as two:
        await one.spawn(Counter, "c", **options)
        yield (two if remote else one).agent("c"), one


@everywhere
async def test_tell_and_ask(remote: bool) -> None:
    async with counter(remote) as (ref, _):
        ref.tell(Add(1))
        assert await ref.ask(Add(1)) == 2
        assert await ref.ask({"type": "Add", "n": 3}) == 5
        assert await ref.ask("total") == Total(5)


async def test_a_local_message_is_neither_encoded_nor_copied() -> None:
    class Keeper(Agent):
        def on_message(self, message: Message) -> Any:
            return message.payload

    async with connect("local://") as node:
        keeper, thing = await node.spawn(Keeper, "k"), object()
        assert await keeper.ask(thing) is thing


@everywhere
async def test_a_type_that_no_handler_takes(remote: bool) -> None:
    async with counter(remote) as (ref, _):
        for message, name in (({"type": "nope"}, "nope"), ("word", "word"), (Total(1), "Total")):
            with pytest.raises(UnhandledMessage) as caught:
                await ref.ask(message)
            assert caught.value.type == name


@everywhere
async def test_a_message_that_does_not_fit(remote: bool) -> None:
    async with counter(remote) as (ref, node):
        for bad in ({"n": "1"}, {}, {"n": 1, "m": 2}, {"n": True}):
            with pytest.raises(InvalidMessage):
                await ref.ask({"type": "Add", **bad})
        ref.tell({"type": "Add"})
        assert await ref.ask(Add(0)) == 0
        assert node.agents()[0]["restarts"] == 0


@everywhere
async def test_a_handler_that_raises(remote: bool) -> None:
    async with counter(remote) as (ref, _):
        with pytest.raises(RemoteError, match="because") as caught:
            await ref.ask({"type": "boom", "why": "because"})
        assert (caught.value.agent, caught.value.type) == ("c", "ValueError")
        assert "ValueError: because" in caught.value.traceback
        assert await ref.ask(Add(0)) == 0


async def test_an_error_s_text_that_can_not_be_sent_is_spelled_out() -> None:
    async with counter(remote=False) as (ref, _):
        with pytest.raises(RemoteError, match="ud800"):
            await ref.ask({"type": "boom", "why": "\ud800"})
        assert await ref.ask(Add(0)) == 0


@everywhere
async def test_no_reply_in_time(remote: bool) -> None:
    async with counter(remote, shutdown=0.01) as (ref, _):
        with pytest.raises(AskTimeout, match="unknown") as caught:
            await ref.ask("hang", timeout=0.01)
        assert caught.value.data() == {"agent": "c", "timeout": 0.01}
        assert isinstance(caught.value, TimeoutError)


@everywhere
@pytest.mark.parametrize("wrong", [None, "1", float("nan")])
async def test_a_timeout_that_is_no_number_is_refused_before_anything_is_sent(
    remote: bool, wrong: Any
) -> None:
    async with counter(remote) as (ref, _):
        with pytest.raises(ValueError, match="not a number of seconds"):
            await ref.ask(Add(1), timeout=wrong)
        assert await ref.ask("total") == Total(0)


@everywhere
async def test_an_agent_that_nobody_has(remote: bool) -> None:
    first, second = pair()
    async with first as one, second:
        nobody = one.agent("nobody")
        nobody.tell("x")  # at most once: to nobody
        for call in (nobody.ask("x"), nobody.stop(), nobody.kill(), nobody.info()):
            with pytest.raises(AgentNotFound, match="nobody"):
                await call


@everywhere
async def test_a_full_mailbox(remote: bool) -> None:
    async with counter(remote, mailbox=2, shutdown=0.01) as (ref, node):
        local = node.agent("c")
        local.tell("hang")
        local.tell(Add(1))
        with pytest.raises(MailboxFull, match="2 messages"):
            local.tell(Add(1))
        await until(lambda: node.agents()[0]["mailbox"] == 1)
        local.tell(Add(1))
        with pytest.raises(MailboxFull):
            await ref.ask(Add(1))


@everywhere
async def test_an_ask_that_is_given_up_is_still_handled(remote: bool) -> None:
    async with counter(remote) as (ref, node):
        asking = asyncio.create_task(ref.ask(Add(5)))
        await asyncio.sleep(0)
        asking.cancel()
        await until(lambda: node.agents()[0]["handled"] == 1)
        assert await ref.ask(Add(0)) == 5


async def test_what_has_no_json_form_can_not_leave_the_node() -> None:
    async with counter(remote=True) as (ref, _):
        for value in (object(), float("nan"), {1: 2}, "\ud800", [[object()]]):
            with pytest.raises(EncodeError):
                ref.tell(value)
            with pytest.raises(EncodeError):
                await ref.ask(value)


@everywhere
async def test_stop(remote: bool) -> None:
    async with counter(remote) as (ref, node):
        await ref.stop()
        assert node.agents() == []
        with pytest.raises(AgentNotFound):
            await ref.ask(Add(1))


@everywhere
async def test_kill(remote: bool) -> None:
    async with counter(remote) as (ref, node):
        events = Events(node)
        await ref.kill("why not")
        crash = await events.wait("crashed")
        assert crash.reason is not None
        assert (crash.reason.kind, crash.reason.message) == ("killed", "why not")
        await events.wait("restarted")
        assert await ref.ask(Add(0)) == 0


@everywhere
async def test_info(remote: bool) -> None:
    async with counter(remote) as (ref, _):
        await ref.ask(Add(1))
        assert await ref.info() == {
            "id": "c",
            "type": "Counter",
            "state": "running",
            "mailbox": 0,
            "handled": 1,
            "restarts": 0,
            "supervisor": "c",
            "host": "inline",
        }


@everywhere
async def test_state_actions_return_their_results(remote: bool) -> None:
    async with counter(remote) as (ref, _):
        assert await ref.state(Store("k", [1, None])) is None
        assert await ref.state(Get("k")) == [1, None]
        assert await ref.state(List()) == ["k"]
        assert await ref.state(Delete("k")) is True
        assert await ref.state(Delete("k")) is False
        assert await ref.state(Clear()) is None


@everywhere
async def test_state_of_an_agent_that_has_no_time(
    remote: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (node_module, router):
        monkeypatch.setattr(module, "CONTROL_S", 0.01)
    async with counter(remote, shutdown=0.01) as (ref, node):
        node.agent("c").tell("hang")
        await until(lambda: node.router.cells["c"]._runner.task)
        with pytest.raises(AskTimeout) as caught:
            await ref.state(Get("k"))
        assert caught.value.data() == {"agent": "c", "timeout": 0.01}


async def test_an_agent_reaches_its_own_state_by_its_handle() -> None:
    class Own(Agent):
        async def on_start(self) -> None:
            await self.ctx.ref.state(Store("k", 1))

        @on("read")
        async def read(self) -> Any:
            return await self.ctx.ref.state(Get("k"))

    async with connect("local://") as node, asyncio.timeout(5):
        assert await (await node.spawn(Own, "o")).ask("read") == 1


@everywhere
async def test_a_payload_is_never_a_state_action(remote: bool) -> None:
    async with counter(remote) as (ref, _):
        await ref.ask(Add(1))
        for payload in ("Clear", {"Store": {"key": "value", "value": 9}}, {"action": "kill"}):
            with pytest.raises(UnhandledMessage):
                await ref.ask(payload)
        assert await ref.state(Get("value")) == 1


async def test_a_handle_of_a_closed_node() -> None:
    async with connect("local://") as node:
        ref = await node.spawn(Counter, "c")
    with pytest.raises(ConnectionClosed):
        ref.tell(Add(1))
    for call in (ref.ask(Add(1)), ref.stop(), ref.info()):
        with pytest.raises(ConnectionClosed):
            await call


async def test_handles_are_values() -> None:
    async with connect("local://") as node:
        ref = node.agent("c")
        assert ref == node.agent("c", sender="else")
        assert ref != node.agent("d")
        assert ref != "c"
        assert len({ref, node.agent("c")}) == 1
        assert repr(ref) == "AgentRef('c')"
        with pytest.raises(InvalidAgentId):
            node.agent("a.b")


async def test_the_same_agent_may_ask_others_by_their_handles() -> None:
    class Relay(Agent):
        @on("relay")
        async def relay(self, payload: Any) -> Any:
            return await self.ctx.agent("c").ask(Add(payload["n"]))

    first, second = pair()
    async with first as one, second as two:
        await one.spawn(Counter, "c")
        await two.spawn(Relay, "r")
        assert await one.agent("r").ask({"type": "relay", "n": 4}) == 4
