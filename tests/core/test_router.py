"""What crosses the wire: any NATS client can send it, garbage is answered, nothing is swallowed."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from agents_core import Agent, LocalBus, Node, connect, jsonvalue, on, router
from agents_core.codec import PAYLOAD_DEPTH_MAX
from agents_core.errors import EncodeError, MailboxFull, MaxPayloadExceeded, RemoteError
from agents_core.exit import MESSAGE_CHARS_MAX
from agents_core.ids import unique
from agents_core.nats.msg import Msg
from agents_core.nats.subscription import Subscription
from tests.core.sample import Add, Counter, Events, Total, pair, until

TO = "acore.default.to.c.anybody"
CTL = "acore.default.ctl.c.anybody"


async def request(node: Node, subject: str, body: bytes) -> tuple[Any, str]:
    """The payload that comes back, and the error's code."""
    msg = await node.request(subject, body)
    code = msg.headers.get("Nats-Service-Error-Code", "")
    return jsonvalue.loads(msg.data)["payload"], code


async def test_a_plain_request_is_answered_with_the_five_fields() -> None:
    async with connect("local://") as node:
        await node.spawn(Counter, "c")
        msg = await node.request(TO, b'{"payload": {"type": "Add", "n": 5}}')
        reply = jsonvalue.loads(msg.data)
        assert sorted(reply) == ["from", "id", "payload", "timestamp", "to"]
        assert (reply["payload"], reply["from"], reply["to"]) == (5, "c", "anybody")


async def test_types_travel_in_a_header() -> None:
    async with connect("local://") as node:
        await node.spawn(Counter, "c")
        header = {"Acore-Type": "Add"}
        msg = await node.bus.request(TO, b'{"payload": {"n": 5}}', headers=header)
        assert jsonvalue.loads(msg.data)["payload"] == 5
        msg = await node.bus.request(TO, b'{"payload": "total"}')
        assert msg.headers["Acore-Type"] == "Total"


async def test_a_message_as_deep_as_may_be_arrives_and_a_deeper_one_is_not_sent() -> None:
    first, second = pair()
    async with first as one, second as two:
        await one.spawn(Counter, "c")
        deep: Any = []
        for _ in range(PAYLOAD_DEPTH_MAX - 2):
            deep = [deep]
        echo = {"type": "echo", "deep": deep}
        assert await two.agent("c").ask(echo) == {"deep": deep}
        with pytest.raises(EncodeError, match="deeper"):
            two.agent("c").tell({"deep": [deep]})


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"not json", "400"),
        (b"\xff", "400"),
        (b"[]", "400"),
        (b'{"payload": 1, "extra": 2}', "400"),
        (b'{"payload": {"type": "Add"}}', "400"),
        (b'{"payload": "nope"}', "404"),
        (rb'{"payload": "\ud800"}', "404"),
        (rb'{"payload": {"type": "\ud800"}}', "404"),
        (b'{"payload": "boom"}', "500"),
        (b"[" * 10_000, "400"),
    ],
)
async def test_what_can_not_be_handled_is_answered_with_an_error(body: bytes, code: str) -> None:
    async with connect("local://") as node:
        await node.spawn(Counter, "c")
        payload, found = await request(node, TO, body)
        assert found == code
        assert sorted(payload["error"]) == ["data", "message", "name"]
        node.publish(TO, body)  # without a reply there is nobody to tell
        assert await node.agent("c").ask("total") == Total(0)


@pytest.mark.parametrize(
    "body",
    [
        b'{"payload": {"action": "explode"}}',
        b'{"payload": {}}',
        b'{"payload": "stop"}',
        b'{"payload": {"action": "state"}}',
        b'{"payload": {"action": "state", "state": {"Store": {}}}}',
    ],
)
async def test_control_that_makes_no_sense_is_answered(body: bytes) -> None:
    async with connect("local://") as node:
        await node.spawn(Counter, "c")
        assert (await request(node, CTL, body))[1] == "400"
        node.publish(CTL, body)
        assert (await node.agent("c").info())["state"] == "running"


async def test_control_needs_no_reply() -> None:
    async with connect("local://") as node:
        events = Events(node)
        await node.spawn(Counter, "c")
        node.publish(CTL, b'{"payload": {"action": "kill"}}')
        await events.wait("restarted")


async def test_a_user_s_own_subject_is_no_message() -> None:
    async with connect("local://") as node:
        counter = await node.spawn(Counter, "c")
        node.publish("acore.default.news.c.today", b'{"payload": {"type": "Add", "n": 5}}')
        await node.bus.flush()
        assert await counter.ask(Add(0)) == 0


async def test_a_message_for_an_agent_that_has_just_gone_is_answered() -> None:
    async with connect("local://") as node:
        await node.spawn(Counter, "c")
        node.router.cells.clear()
        assert (await request(node, TO, b'{"payload": 1}'))[1] == "404"
        node._trees.clear()


class Talker(Agent):
    @on("odd")
    def odd(self) -> object:
        return object()

    @on("large")
    def large(self) -> str:
        return "x" * 2_000_000

    @on("large error")
    def large_error(self) -> None:
        raise ValueError("x" * 2_000_000)

    @on("hang")
    async def hang(self) -> None:
        await asyncio.get_running_loop().create_future()


async def test_replies_that_can_not_be_sent_are_answered_with_the_reason() -> None:
    first, second = pair()
    async with first as one, second as two:
        events = Events(one)
        await one.spawn(Talker, "t")
        talker = two.agent("t")
        with pytest.raises(EncodeError):
            await talker.ask("odd")
        with pytest.raises(MaxPayloadExceeded):
            await talker.ask("large")
        with pytest.raises(MaxPayloadExceeded):
            talker.tell("x" * 2_000_000)
        with pytest.raises(RemoteError, match="ValueError: xxx"):
            await talker.ask("large error")
        assert len((await events.wait("crashed")).reason.message) == MESSAGE_CHARS_MAX  # type: ignore[union-attr]


async def test_an_asker_that_can_not_be_told_is_not_the_agent_s_fault(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with connect("local://") as node:
        await node.spawn(Counter, "c")
        node.router.arrived(Msg(TO, b'{"payload": "total"}', reply="no.*.subject", bus=node.bus))
        counter = node.agent("c")
        assert await counter.ask("total") == Total(0)
        assert (await counter.info())["restarts"] == 0
        assert [record.levelno for record in caplog.records if "answer" in record.message] == [
            logging.WARNING
        ]


async def test_control_under_way_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(router, "CONTROLS_MAX", 2)
    first, second = pair()
    async with first as one, second as two:
        await one.spawn(Talker, "t", shutdown=0.05)
        two.agent("t").tell("hang")
        await until(lambda: one.router.cells.get("t") and one.router.cells["t"]._runner.task)
        stops = [asyncio.create_task(two.agent("t").stop()) for _ in range(2)]
        await until(lambda: len(one.router._tasks) == 2)
        with pytest.raises(MailboxFull):
            await two.agent("t").info()
        await asyncio.gather(*stops)


async def test_a_refused_local_ask_leaves_no_deadline_behind() -> None:
    async with connect("local://") as node:
        counter = await node.spawn(Counter, "c", mailbox=1)
        counter.tell("total")
        waiting = len(node.timers._heap)
        with pytest.raises(MailboxFull):
            await counter.ask("total")
        assert len(node.timers._heap) == waiting


async def test_an_answer_in_the_turn_of_its_deadline_counts() -> None:
    async with connect("local://") as node:
        counter = await node.spawn(Counter, "c")
        assert await counter.ask("total", timeout=0) == Total(0)


async def test_a_reply_of_a_type_that_is_not_known_here_is_json() -> None:
    async with connect("local://") as node:

        def answer(msg: Msg) -> None:
            body = b'{"payload": {"v": 1}}'
            msg.respond(body, headers={"Acore-Type": "FromTheFuture"})

        await node.subscribe("acore.default.to.x.*", cb=answer)
        assert await node.agent("x").ask("y") == {"v": 1}


class Unhurried(LocalBus):
    """Takes its time to subscribe, as nats-py does."""

    async def subscribe(self, *args: Any, **options: Any) -> Subscription:
        await asyncio.sleep(0)
        subscription = await super().subscribe(*args, **options)
        await asyncio.sleep(0)
        return subscription


@pytest.mark.parametrize("meanwhile", ["it stops", "another one comes back, too"])
async def test_an_agent_is_listened_for_once_and_while_it_is_there(meanwhile: str) -> None:
    hub = unique()
    async with Node(Unhurried(hub)) as node, connect(f"local://{hub}") as other:
        await node.start()
        for name in "acdefghb":  # it is the last one to be listened for
            await node.spawn(Counter, name)
        await node.suspend("frozen", leave=True)
        coming = [asyncio.create_task(node.resume())]
        if meanwhile == "it stops":
            await node.agent("b").stop()
        else:
            coming.append(asyncio.create_task(node.resume()))
        await asyncio.wait(coming)
        if meanwhile != "it stops":
            await node.agent("b").stop()
        await other.spawn(Counter, "b")
        async with connect(f"local://{hub}") as asking:
            totals = [await asking.agent("b").ask(Add(1)) for _ in range(30)]
        assert totals == list(range(1, 31))
