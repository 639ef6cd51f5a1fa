"""JetStream: what one side stores, configures and acknowledges, the other side sees."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

from agents_core import nats
from agents_core.ids import unique
from agents_core.nats.jetstream import (
    AckPolicy,
    ConsumerConfig,
    DeliverPolicy,
    Header,
    RetentionPolicy,
    StorageType,
    SubjectTransform,
)
from agents_core.nats.jetstream.errors import ConsumerNotFound, NoHeartbeat
from tests.interop.cases.case import Case, NatsJs


async def a_stream_of_js(nc: nats.Client, js: NatsJs) -> None:
    """We read the configuration of a stream of nats.js, change it, and lose nothing of it."""
    name, ours = unique(), nc.jetstream()
    await js.run(
        """
        const jsm = await nats.jetstreamManager(nc);
        await jsm.streams.add({
          name, subjects: [`${name}.>`], storage: "memory", retention: "workqueue",
          max_age: nats.nanos(90_500), max_msgs: 100, allow_direct: true, metadata: { a: "b" },
          subject_transform: { src: `${name}.x.>`, dest: `${name}.y.>` },
        });
        """,
        name=name,
    )
    config = (await ours.stream_info(name)).config
    assert (config.storage, config.retention) == (StorageType.MEMORY, RetentionPolicy.WORK_QUEUE)
    assert (config.max_age, config.allow_direct) == (90.5, True)
    assert config.subject_transform == SubjectTransform(f"{name}.x.>", f"{name}.y.>")
    await ours.update_stream(config, max_msgs=7)
    said = await js.run(
        "const jsm = await nats.jetstreamManager(nc); return (await jsm.streams.info(name)).config",
        name=name,
    )
    assert (said["max_msgs"], said["max_age"], said["metadata"]["a"]) == (7, 90_500_000_000, "b")
    assert said["subject_transform"] == {"src": f"{name}.x.>", "dest": f"{name}.y.>"}


async def a_consumer_of_ours(nc: nats.Client, js: NatsJs) -> None:
    """nats.js reads the configuration of a consumer of ours, pauses it and lets it go on."""
    name, ours = unique(), nc.jetstream()
    await ours.add_stream(name=name, subjects=[f"{name}.>"], storage=StorageType.MEMORY)
    start = datetime.now(UTC) - timedelta(hours=1)
    await ours.add_consumer(
        name,
        durable_name="d",
        deliver_policy=DeliverPolicy.BY_START_TIME,
        opt_start_time=start,
        filter_subjects=[f"{name}.a", f"{name}.b"],
        backoff=[0.5, 2],
        max_deliver=3,
    )
    said: dict[str, Any] = await js.run(
        """
        const jsm = await nats.jetstreamManager(nc);
        const { config } = await jsm.consumers.info(name, "d");
        await jsm.consumers.pause(name, "d", new Date(Date.now() + 3_600_000));
        return config;
        """,
        name=name,
    )
    assert said["backoff"] == [500_000_000, 2_000_000_000]
    assert said["filter_subjects"] == [f"{name}.a", f"{name}.b"]
    assert (said["ack_policy"], said["deliver_policy"]) == ("explicit", "by_start_time")
    assert datetime.fromisoformat(said["opt_start_time"].replace("Z", "+00:00")) == start
    info = await ours.consumer_info(name, "d")
    assert info.paused
    assert info.pause_remaining is not None
    assert 3500 < info.pause_remaining <= 3600
    await js.run(
        "const jsm = await nats.jetstreamManager(nc); await jsm.consumers.resume(name, 'd')",
        name=name,
    )
    assert not (await ours.consumer_info(name, "d")).paused


async def messages_stored_by_js(nc: nats.Client, js: NatsJs) -> None:
    """We read what nats.js published: by consuming, in order, and without a consumer."""
    name, ours = unique(), nc.jetstream()
    await ours.add_stream(
        name=name, subjects=[f"{name}.>"], storage=StorageType.MEMORY, allow_direct=True
    )
    acks = await js.run(
        """
        const client = nats.jetstream(nc), headers = nats.headers();
        headers.append("K", "v"); headers.append("K", "w ✓");
        const one = await client.publish(`${name}.a`, bytes("\\u00ff"), { headers, msgID: "one" });
        const again = await client.publish(`${name}.a`, "x", { msgID: "one" });
        const expect = { lastSequence: 1, streamName: name };
        const two = await client.publish(`${name}.b`, "two", { expect });
        return [one.seq, again.seq, again.duplicate, two.seq];
        """,
        name=name,
    )
    assert acks == [1, 1, True, 2]
    subscription = await ours.pull_subscribe(f"{name}.>", "d", name)
    async with await subscription.consume() as messages:
        async for msg in messages:
            await msg.ack_sync()
            if msg.metadata.num_pending == 0:
                break
    async with await ours.ordered_consumer(name) as ordered:
        first = await anext(aiter(ordered))
    assert (first.subject, first.data) == (f"{name}.a", b"\xff")
    assert (first.headers.get_all("K"), first.headers[Header.MSG_ID]) == (["v", "w ✓"], "one")
    stored = await ours.get_msg(name, 1, direct=True)
    assert (stored.data, stored.headers.get_all("K")) == (b"\xff", ["v", "w ✓"])
    floor = await js.run(
        "return (await (await nats.jetstream(nc).consumers.get(name, 'd')).info()).ack_floor",
        name=name,
    )
    assert floor["stream_seq"] == 2


async def messages_stored_by_us(nc: nats.Client, js: NatsJs) -> None:
    """nats.js reads what we published, and what its acknowledgements say is what happens."""
    name, ours = unique(), nc.jetstream()
    await ours.add_stream(
        name=name,
        subjects=[f"{name}.>"],
        storage=StorageType.MEMORY,
        allow_atomic=True,
        allow_batched=True,
    )
    await ours.publish(f"{name}.a", b"\xff", headers={"K": ["v", "w ✓"]}, msg_id="one")
    for number in range(2, 5):
        await ours.publish_async(f"{name}.a", b"%d" % number)
    await ours.publish_async_completed()
    batch = ours.atomic_batch()
    await batch.add(f"{name}.a", b"5")
    await batch.commit(f"{name}.a", b"6")
    async with ours.fast_ingest() as ingest:
        await ingest.add(f"{name}.a", b"7", headers={"K": "x"})
        await ingest.add(f"{name}.a", b"8")
    await ours.add_consumer(name, ConsumerConfig(durable_name="d", ack_policy=AckPolicy.EXPLICIT))
    found = await js.run(
        """
        const consumer = await nats.jetstream(nc).consumers.get(name, "d"), found = [];
        for await (const msg of await consumer.fetch({ max_messages: 8, expires: 5000 })) {
          found.push([latin1(msg.data), msg.seq, msg.headers?.values("K") ?? []]);
          if (msg.seq === 2) msg.nak();
          else if (msg.seq === 3) msg.term("no use");
          else if (msg.seq === 6) await msg.ackAck();
          else msg.ack();
        }
        return found;
        """,
        name=name,
    )
    assert [item[0] for item in found] == ["\xff", "2", "3", "4", "5", "6", "7", "8"]
    assert (found[0], found[6]) == (["\xff", 1, ["v", "w ✓"]], ["7", 7, ["x"]])
    (again,) = await (await ours.pull_subscribe_bind("d", name)).fetch(10)
    assert (again.data, again.metadata.num_delivered) == (b"2", 2)


async def our_acknowledgements(nc: nats.Client, js: NatsJs) -> None:
    """What we refuse is delivered to nats.js; what we acknowledge or give up is not."""
    name, ours = unique(), nc.jetstream()
    await ours.add_stream(name=name, subjects=[f"{name}.>"], storage=StorageType.MEMORY)
    for number in range(4):
        await ours.publish(f"{name}.a", b"%d" % number)
    subscription = await ours.pull_subscribe(f"{name}.a", "d", name)
    messages = await subscription.fetch(4)
    while len(messages) < 4:
        messages += await subscription.fetch(4)
    messages[0].ack()
    messages[1].term("no use")
    messages[2].nak(0.01)
    await messages[3].ack_sync()
    found = await js.run(
        """
        const consumer = await nats.jetstream(nc).consumers.get(name, "d");
        const msg = await consumer.next({ expires: 5000 });
        await msg.ackAck();
        return [msg.string(), msg.info.deliveryCount, (await consumer.info()).num_ack_pending];
        """,
        name=name,
    )
    assert found == ["2", 2, 0]


async def a_consumer_shared(nc: nats.Client, js: NatsJs) -> None:
    """Both sides consume at once: every message goes to one of them, once."""
    name, ours = unique(), nc.jetstream()
    await ours.add_stream(name=name, subjects=[f"{name}.>"], storage=StorageType.MEMORY)
    subscription = await ours.pull_subscribe(f"{name}.a", "d", name)
    await js.run(
        """
        kept.seen = [];
        const consumer = await nats.jetstream(nc).consumers.get(name, "d");
        kept.messages = await consumer.consume({
          max_messages: 5, callback: (msg) => { kept.seen.push(msg.seq); msg.ack(); },
        });
        """,
        name=name,
    )
    seen: list[int] = []
    async with await subscription.consume(max_messages=5) as messages:
        for _ in range(100):
            await ours.publish_async(f"{name}.a")
        await ours.publish_async_completed()

        async def read() -> None:
            async for msg in messages:
                seen.append(msg.metadata.sequence.stream)
                msg.ack()

        reading = asyncio.create_task(read())
        while (await ours.consumer_info(name, "d")).ack_floor.stream_seq < 100:
            await asyncio.sleep(0)
    await reading
    theirs = await js.run("kept.messages.stop(); return kept.seen")
    assert sorted([*seen, *theirs]) == list(range(1, 101))
    assert seen
    assert theirs


async def a_push_consumer_of_js(nc: nats.Client, js: NatsJs) -> None:
    """We subscribe to one that nats.js made, with flow control, and find out when it deletes it."""
    name, ours = unique(), nc.jetstream()
    await ours.add_stream(name=name, subjects=[f"{name}.>"], storage=StorageType.MEMORY)
    await js.run(
        """
        const jsm = await nats.jetstreamManager(nc), client = nats.jetstream(nc);
        await jsm.consumers.add(name, {
          durable_name: "d", deliver_subject: nats.createInbox(), ack_policy: "explicit",
          filter_subject: `${name}.a`, flow_control: true, idle_heartbeat: nats.nanos(100),
        });
        for (let number = 0; number < 5; number++) await client.publish(`${name}.a`, `${number}`);
        """,
        name=name,
    )
    errors: list[Exception] = []
    subscription = await ours.subscribe(f"{name}.a", durable="d", error_cb=errors.append)
    for number in range(5):
        msg = await subscription.next_msg(5)
        assert (msg.data, msg.metadata.consumer) == (b"%d" % number, "d")
        await msg.ack_sync()
    info = await js.run(
        """
        const jsm = await nats.jetstreamManager(nc), info = await jsm.consumers.info(name, "d");
        await jsm.consumers.delete(name, "d");
        return info;
        """,
        name=name,
    )
    assert (info["push_bound"], info["ack_floor"]["stream_seq"]) == (True, 5)
    try:
        await subscription.next_msg(None)
    except ConsumerNotFound:
        assert isinstance(errors[0], NoHeartbeat)
    else:
        raise AssertionError


async def a_push_consumer_of_ours(nc: nats.Client, js: NatsJs) -> None:
    """nats.js reads by one that we made: what we had not acknowledged, and then all by itself."""
    name, ours = unique(), nc.jetstream()
    await ours.add_stream(name=name, subjects=[f"{name}.>"], storage=StorageType.MEMORY)
    for number in range(4):
        await ours.publish(f"{name}.a", b"%d" % number)
    config = ConsumerConfig(ack_wait=0.2)
    subscription = await ours.subscribe(f"{name}.a", durable="d", config=config)
    await (await subscription.next_msg()).ack_sync()
    await subscription.unsubscribe()
    await nc.flush()
    found = await js.run(
        """
        const consumer = await nats.jetstream(nc).consumers.getPushConsumer(name, "d");
        const found = new Set(), messages = await consumer.consume();
        for await (const msg of messages) {
          found.add(msg.string());
          await msg.ackAck();
          if (found.size === 3) break;
        }
        return [...found].sort();
        """,
        name=name,
    )
    assert found == ["1", "2", "3"]
    assert (await ours.consumer_info(name, "d")).ack_floor.stream_seq == 4


CASES: list[Case] = [
    a_stream_of_js,
    a_consumer_of_ours,
    messages_stored_by_js,
    messages_stored_by_us,
    our_acknowledgements,
    a_consumer_shared,
    a_push_consumer_of_js,
    a_push_consumer_of_ours,
]
