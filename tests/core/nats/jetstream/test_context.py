"""The context: how readers are made."""

from __future__ import annotations

from typing import Any

import pytest

from agents_core import nats
from agents_core.nats.jetstream import ConsumerConfig, DeliverPolicy, JetStreamContext
from agents_core.nats.jetstream.errors import ConsumerMismatch, InvalidName, InvalidOption
from agents_core.testing.server import ScriptedServer
from tests.core.nats.jetstream.fake import CONSUMER, NOT_FOUND, jetstream
from tests.core.nats.scripted import client


async def test_a_client_has_one() -> None:
    async with client(ScriptedServer()) as nc:
        assert isinstance(nc, nats.Client)
        js = nc.jetstream(domain="hub", timeout=7)
        assert isinstance(js, JetStreamContext)
        assert (js.bus, js.prefix, js.timeout) == (nc, "$JS.hub.API", 7)


async def test_a_consumer_is_made_if_there_is_none() -> None:
    async with jetstream() as (js, server):
        server.answers["STREAM.NAMES"] = {"total": 1, "streams": ["s"]}
        server.answers["CONSUMER.INFO"] = NOT_FOUND
        server.answers["CONSUMER.CREATE"] = CONSUMER
        subscription = await js.pull_subscribe("a", "d")
        assert (subscription.stream, subscription.consumer) == ("s", "d")
        config = (await server.expect("CONSUMER.CREATE")).body["config"]
        assert config == {
            "name": "d",
            "durable_name": "d",
            "filter_subject": "a",
            "ack_policy": "explicit",
        }
        server.answers["CONSUMER.INFO"] = CONSUMER
        await js.pull_subscribe("a", "d")
        assert await server.none("CONSUMER.CREATE")


async def test_a_consumer_that_reads_something_else_is_not_the_one_that_was_asked_for() -> None:
    async with jetstream() as (js, server):
        server.answers["CONSUMER.INFO"] = {**CONSUMER, "config": {"filter_subject": "a"}}
        assert (await js.pull_subscribe("a", "d", "s")).consumer == "d"
        assert (await js.pull_subscribe("", "d", "s")).consumer == "d"
        assert (await js.pull_subscribe_bind("d", "s")).consumer == "d"
        several = ConsumerConfig(filter_subjects=["a", "b"])
        for subject, config in (("b", None), ("a", several)):
            with pytest.raises(ConsumerMismatch, match="it reads \\['a'\\], not"):
                await js.pull_subscribe(subject, "d", "s", config)


async def test_a_consumer_without_a_durable_name() -> None:
    async with jetstream() as (js, server):
        server.answers["CONSUMER.INFO"] = NOT_FOUND
        server.answers["CONSUMER.CREATE"] = CONSUMER
        subscription = await js.pull_subscribe("a", stream="s")
        config = (await server.expect("CONSUMER.CREATE")).body["config"]
        assert (config["name"], "durable_name" in config) == (subscription.consumer, False)
        several = ConsumerConfig(name="n", filter_subjects=["a", "b"])
        assert (await js.pull_subscribe("a", stream="s", config=several)).consumer == "n"
        config = (await server.expect("CONSUMER.CREATE")).body["config"]
        assert (config["filter_subjects"], "filter_subject" in config) == (["a", "b"], False)
        await js.pull_subscribe("", stream="s", config=ConsumerConfig(durable_name="x"))
        config = (await server.expect("CONSUMER.CREATE")).body["config"]
        assert (config["name"], "filter_subject" in config) == ("x", False)


@pytest.mark.parametrize("config", [ConsumerConfig(name="n"), ConsumerConfig(durable_name="n")])
async def test_a_consumer_that_the_configuration_names_is_used_as_it_is(
    config: ConsumerConfig,
) -> None:
    async with jetstream() as (js, server):
        server.answers["CONSUMER.INFO"] = {**CONSUMER, "config": {"filter_subject": "a"}}
        assert (await js.pull_subscribe("a", stream="s", config=config)).consumer == "n"
        with pytest.raises(ConsumerMismatch):
            await js.pull_subscribe("b", stream="s", config=config)
        with pytest.raises(ConsumerMismatch):
            await js.pull_subscribe("", stream="s", config=config.evolve(filter_subject="b"))
        assert await server.none("CONSUMER.CREATE")


async def test_a_consumer_that_somebody_else_makes_at_the_same_time() -> None:
    async with jetstream() as (js, server):
        found = {**CONSUMER, "config": {"filter_subject": "a"}}
        exists = {"code": 400, "err_code": 10148, "description": "consumer already exists"}
        for subject in ("a", "b"):
            server.answers["CONSUMER.INFO"] = [NOT_FOUND, found]
            server.answers["CONSUMER.CREATE"] = {"error": exists}
            if subject == "a":
                assert (await js.pull_subscribe(subject, "d", "s")).consumer == "d"
            else:
                with pytest.raises(ConsumerMismatch):
                    await js.pull_subscribe(subject, "d", "s")


async def test_binding_checks_the_names() -> None:
    async with jetstream() as (js, _):
        bound = await js.pull_subscribe_bind(durable="c", stream="s")
        assert bound.consumer == "c"
        for arguments in (("c", None), (None, "s"), ("a.b", "s")):
            with pytest.raises(InvalidName):
                await js.pull_subscribe_bind(*arguments)


async def test_consumer_info_of_a_subscription() -> None:
    async with jetstream() as (js, server):
        server.answers["CONSUMER.INFO"] = CONSUMER
        info = await (await js.pull_subscribe_bind("c", "s")).consumer_info()
        assert info.name == "c"


@pytest.mark.parametrize(
    ("filters", "policy", "said"),
    [
        ((), DeliverPolicy.ALL, {}),
        ("a", DeliverPolicy.ALL, {"filter_subject": "a"}),
        (["a"], DeliverPolicy.ALL, {"filter_subject": "a"}),
        (["a", "b"], DeliverPolicy.ALL, {"filter_subjects": ["a", "b"]}),
        ((), DeliverPolicy.LAST_PER_SUBJECT, {"filter_subject": ">"}),
        ((), "last_per_subject", {"filter_subject": ">"}),
    ],
)
async def test_what_an_ordered_consumer_is(
    filters: str | list[str], policy: DeliverPolicy, said: dict[str, object]
) -> None:
    async with jetstream() as (js, server):
        server.answers["CONSUMER.CREATE"] = CONSUMER
        async with await js.ordered_consumer("s", filters, deliver_policy=policy):
            config = (await server.expect("CONSUMER.CREATE")).body["config"]
            assert len(config.pop("name")) == 24
            assert config == said | {
                "deliver_policy": str(policy),
                "ack_policy": "none",
                "max_deliver": 1,
                "num_replicas": 1,
                "mem_storage": True,
                "inactive_threshold": 300_000_000_000,
            }
            request = await server.pull()
            assert request.body["idle_heartbeat"] == 5_000_000_000


async def test_the_life_of_a_request_of_an_ordered_consumer_is_in_seconds() -> None:
    async with jetstream() as (js, _):
        wrong: Any = "5"
        with pytest.raises(ValueError, match="expires: '5' is not a number of seconds"):
            await js.ordered_consumer("s", expires=wrong)


async def test_a_name_is_no_configuration() -> None:
    async with jetstream() as (js, _):
        wrong: Any = "NAME"
        for call in (
            js.add_stream(wrong),
            js.update_stream(wrong),
            js.add_consumer("s", wrong),
            js.pull_subscribe("a", stream="s", config=wrong),
            js.subscribe("a", stream="s", config=wrong),
            js.subscribe_bind("s", wrong, "c"),
            js.create_key_value(wrong),
            js.update_key_value(wrong),
            js.create_object_store("b", wrong),
        ):
            with pytest.raises(InvalidOption, match=r"config: a \w+Config, not 'NAME'"):
                await call


async def test_bounds_are_checked() -> None:
    async with jetstream() as (js, server):
        server.answers["CONSUMER.CREATE"] = CONSUMER
        async with await js.ordered_consumer("s", expires=2):
            assert (await server.pull()).body["idle_heartbeat"] == 1_000_000_000
        with pytest.raises(InvalidOption):
            await js.ordered_consumer("s", heartbeat=20)
        with pytest.raises(InvalidName):
            await js.ordered_consumer("a.b")
        subscription = await js.pull_subscribe_bind("c", "s")
        with pytest.raises(InvalidOption):
            await subscription.consume(max_messages=1, max_bytes=1)
        async with await subscription.consume(max_messages=3, group="g"):
            assert (await server.pull()).body["group"] == "g"
