"""Push consumers: what is asked of the server to find one or to make it, and what does not fit."""

from __future__ import annotations

from typing import Any

import pytest

from agents_core.errors import Unsupported
from agents_core.nats.jetstream import ConsumerConfig, DeliverPolicy, PushSubscription
from agents_core.nats.jetstream.errors import (
    ConsumerBound,
    ConsumerMismatch,
    InvalidName,
    InvalidOption,
    StreamNotFound,
)
from tests.core.nats.jetstream.fake import CONSUMER, NOT_FOUND, Server, jetstream

EXISTS = {"error": {"code": 400, "err_code": 10148, "description": "consumer already exists"}}
NAMES = {"streams": ["s"], "total": 1}


def info(bound: bool = False, **config: Any) -> dict[str, Any]:
    wanted = {"deliver_subject": "to.me", "ack_policy": "explicit", **config}
    return {**CONSUMER, "config": wanted, "push_bound": bound}


async def created(server: Server) -> dict[str, Any]:
    """The configuration that the next consumer is to have."""
    request = await server.expect("CONSUMER.CREATE")
    assert request.body["action"] == "create"
    config: dict[str, Any] = request.body["config"]
    return config


async def test_an_ephemeral_consumer_is_made() -> None:
    async with jetstream() as (js, server):
        server.answers |= {"STREAM.NAMES": NAMES, "CONSUMER.CREATE": info()}
        subscription = await js.subscribe("a.b")
        assert (await server.expect("STREAM.NAMES")).body["subject"] == "a.b"
        config = await created(server)
        assert config.pop("deliver_subject").startswith("_INBOX.")
        assert config.pop("name")
        assert config == {"ack_policy": "explicit", "filter_subject": "a.b"}
        assert isinstance(subscription, PushSubscription)
        assert (subscription.subject, subscription.queue) == ("to.me", "")
        assert (subscription.stream, subscription.consumer) == ("s", "c")
        await subscription.unsubscribe()


async def test_arguments_go_before_the_configuration() -> None:
    async with jetstream() as (js, server):
        server.answers |= {"CONSUMER.INFO": NOT_FOUND, "CONSUMER.CREATE": info()}
        given = ConsumerConfig(
            deliver_subject="mine", idle_heartbeat=1, ack_wait=9, inactive_threshold=7
        )
        async with await js.subscribe(
            "a.b",
            durable="d",
            stream="s",
            config=given,
            deliver_policy=DeliverPolicy.NEW,
            idle_heartbeat=2,
            headers_only=True,
        ):
            assert await created(server) == {
                "name": "d",
                "durable_name": "d",
                "ack_policy": "explicit",
                "ack_wait": 9_000_000_000,
                "deliver_policy": "new",
                "deliver_subject": "mine",
                "filter_subject": "a.b",
                "headers_only": True,
                "idle_heartbeat": 2_000_000_000,
                "inactive_threshold": 7_000_000_000,
            }
        assert given == ConsumerConfig(
            deliver_subject="mine", idle_heartbeat=1, ack_wait=9, inactive_threshold=7
        )


async def test_flow_control_needs_heartbeats() -> None:
    async with jetstream() as (js, server):
        server.answers["CONSUMER.CREATE"] = info()
        for given, beat in ({}, 5), ({"idle_heartbeat": 1.5}, 1.5):
            await (await js.subscribe("a", stream="s", flow_control=True, **given)).unsubscribe()
            config = await created(server)
            assert (config["flow_control"], config["idle_heartbeat"]) == (True, beat * 1e9)


@pytest.mark.parametrize(
    ("given", "name", "durable"),
    [
        ({"queue": "q"}, "q", "q"),
        ({"queue": "q", "durable": "d"}, "d", "d"),
        ({"queue": "q", "config": ConsumerConfig(durable_name="e")}, "e", "e"),
        ({"config": ConsumerConfig(durable_name="e"), "durable": "d"}, "d", "d"),
        ({"config": ConsumerConfig(name="n")}, "n", None),
        ({"queue": "q", "config": ConsumerConfig(name="n")}, "n", None),
        ({"config": ConsumerConfig(name="n", deliver_group="q")}, "n", None),
    ],
)
async def test_names(given: dict[str, Any], name: str, durable: str | None) -> None:
    async with jetstream() as (js, server):
        server.answers |= {"CONSUMER.INFO": NOT_FOUND, "CONSUMER.CREATE": info()}
        await (await js.subscribe("a", stream="s", **given)).unsubscribe()
        assert (await server.expect("CONSUMER.INFO")).operation == f"CONSUMER.INFO.s.{name}"
        config = await created(server)
        assert (config["name"], config.get("durable_name")) == (name, durable)
        wanted = given.get("config") or ConsumerConfig()
        assert config.get("deliver_group") == (given.get("queue") or wanted.deliver_group)


async def test_several_filters_stay() -> None:
    async with jetstream() as (js, server):
        server.answers["CONSUMER.CREATE"] = info()
        both = ConsumerConfig(filter_subjects=["a", "b"])
        await (await js.subscribe("a", stream="s", config=both)).unsubscribe()
        config = await created(server)
        assert (config["filter_subjects"], "filter_subject" in config) == (["a", "b"], False)
        await (await js.subscribe("", stream="s")).unsubscribe()
        assert "filter_subject" not in await created(server)  # the whole stream


@pytest.mark.parametrize(
    ("there", "given"),
    [
        (info(filter_subject="a"), {}),
        (info(), {}),  # reads everything, as the stream may have no other subject
        (info(filter_subjects=["b", "a"]), {"config": ConsumerConfig(filter_subjects=["a", "b"])}),
        (info(True, deliver_group="q"), {"queue": "q"}),
        (info(filter_subject="a", idle_heartbeat=5_000_000_000), {"flow_control": True}),
    ],
)
async def test_one_that_exists_is_used_as_it_is(
    there: dict[str, Any], given: dict[str, Any]
) -> None:
    async with jetstream() as (js, server):
        server.answers["CONSUMER.INFO"] = there
        async with await js.subscribe("a", stream="s", durable="d", **given) as subscription:
            assert subscription.subject == "to.me"
            assert await server.none("CONSUMER.CREATE")


@pytest.mark.parametrize(
    ("there", "given", "reason"),
    [
        (info(deliver_subject=None), {}, "use pull_subscribe"),
        (info(deliver_group="q"), {}, "its group is 'q', not ''"),
        (info(), {"queue": "q"}, "its group is '', not 'q'"),
        (info(deliver_group="q"), {"queue": "r"}, "its group is 'q', not 'r'"),
        (info(filter_subject="b"), {}, r"it reads \['b'\], not \['a'\]"),
        (info(filter_subjects=["a", "b"]), {}, r"it reads \['a', 'b'\], not \['a'\]"),
    ],
)
async def test_one_that_does_not_fit(
    there: dict[str, Any], given: dict[str, Any], reason: str
) -> None:
    async with jetstream() as (js, server):
        server.answers["CONSUMER.INFO"] = there
        with pytest.raises(ConsumerMismatch, match=reason):
            await js.subscribe("a", stream="s", durable="d", **given)


async def test_one_that_has_a_subscriber() -> None:
    async with jetstream() as (js, server):
        server.answers["CONSUMER.INFO"] = info(bound=True)
        with pytest.raises(ConsumerBound, match="'c' has a subscriber already"):
            await js.subscribe("a", stream="s", durable="c")
        with pytest.raises(ConsumerBound):
            await js.subscribe_bind("s", None, "c")


async def test_somebody_else_was_faster() -> None:
    async with jetstream() as (js, server):
        theirs = info(True, deliver_group="q")
        server.answers |= {"CONSUMER.INFO": [NOT_FOUND, theirs], "CONSUMER.CREATE": EXISTS}
        async with await js.subscribe("a", "q", stream="s") as subscription:
            assert (subscription.subject, subscription.queue) == ("to.me", "q")
        server.answers |= {"CONSUMER.INFO": [NOT_FOUND, info(True)]}
        with pytest.raises(ConsumerBound):
            await js.subscribe("a", stream="s", durable="c")


@pytest.mark.parametrize("given", [{"idle_heartbeat": 1}, {"flow_control": True}])
async def test_no_heartbeats_for_a_group(given: dict[str, Any]) -> None:
    async with jetstream() as (js, server):
        server.answers["CONSUMER.INFO"] = NOT_FOUND
        with pytest.raises(InvalidOption, match="queue: no heartbeats"):
            await js.subscribe("a", "q", stream="s", **given)
        assert await server.none("CONSUMER.CREATE")


async def test_no_such_stream() -> None:
    async with jetstream() as (js, server):
        server.answers["STREAM.NAMES"] = {"streams": None, "total": 0}
        with pytest.raises(StreamNotFound):
            await js.subscribe("a")


async def test_nothing_is_made_for_a_callback_that_cannot_be_called() -> None:
    async with jetstream() as (js, server):
        wrong: Any = "handle"
        with pytest.raises(Unsupported, match="as a callback"):
            await js.subscribe("a", cb=wrong, durable="d", stream="s")
        assert await server.none("CONSUMER")


async def test_binding_asks_nobody_if_it_knows() -> None:
    async with jetstream() as (js, server):
        config = ConsumerConfig(deliver_subject="there", deliver_group="q")
        subscription = await js.subscribe_bind("s", config, "c")
        assert (subscription.subject, subscription.queue) == ("there", "q")
        await subscription.unsubscribe()
        assert await server.none("CONSUMER")
        with pytest.raises(ConsumerMismatch, match="use pull_subscribe"):
            await js.subscribe_bind("s", ConsumerConfig(), "c")
        for names in ("a.b", "c"), ("s", ""):
            with pytest.raises(InvalidName):
                await js.subscribe_bind(names[0], config, names[1])
        server.answers["CONSUMER.INFO"] = info(deliver_subject="elsewhere")
        subscription = await js.subscribe_bind("s", None, "c")
        assert subscription.subject == "elsewhere"
        await subscription.unsubscribe()
