"""What every `Bus` promises to who reads too slowly, and to who writes too fast."""

from __future__ import annotations

from typing import Any

from agents_core.bus import Bus, PendingPolicy
from agents_core.errors import SlowConsumer, Unsupported
from agents_core.ids import unique
from agents_core.nats.msg import Msg
from agents_core.testing.check import SECONDS_MAX, Check, Raises

READY_MSGS = 10_000
"""Of 1,000 bytes each: several times what a bus lets wait."""


async def drops_the_newest_beyond_the_bound(one: Bus, other: Bus) -> None:
    """A slow reader keeps `pending_msgs_limit` messages; more are dropped and counted."""
    subject = f"bus.{unique()}"
    slow = await other.subscribe(subject, pending_msgs_limit=3)
    small = await other.subscribe(subject, pending_bytes_limit=3)
    last = await other.subscribe(f"{subject}.last")
    await other.flush()
    for number in range(10):
        one.publish(subject, str(number).encode())
    one.publish(f"{subject}.last")
    await last.next_msg(SECONDS_MAX)
    for subscription in (slow, small):
        assert (subscription.pending_msgs, subscription.dropped) == (3, 7), (
            "not what the bound says"
        )
        assert (subscription.pending_bytes, subscription.received) == (3, 10)
        assert (await subscription.next_msg(SECONDS_MAX)).data == b"0", "the oldest stay"
    assert other.stats.dropped >= 14, "drops are counted for the bus, too"


async def keeps_the_newest_where_wanted(one: Bus, other: Bus) -> None:
    """`drop_old` drops what waits longest, as long as the new one can fit at all."""
    subject = f"bus.{unique()}"
    few = await other.subscribe(subject, pending_msgs_limit=3, pending_policy="drop_old")
    small = await other.subscribe(subject, pending_bytes_limit=3, pending_policy="drop_old")
    last = await other.subscribe(f"{subject}.last")
    await other.flush()
    for number in range(10):
        one.publish(subject, str(number).encode())
    one.publish(subject, bytes(3))
    one.publish(subject, bytes(4))
    one.publish(f"{subject}.last")
    await last.next_msg(SECONDS_MAX)
    sizes = [len((await few.next_msg(SECONDS_MAX)).data) for _ in range(3)]
    assert (sizes, few.dropped) == ([1, 3, 4], 9), f"{sizes}, {few.dropped} dropped"
    msg = await small.next_msg(SECONDS_MAX)
    assert (msg.data, small.pending_msgs, small.dropped) == (bytes(3), 0, 11)


async def stops_at_a_gap_where_wanted(one: Bus, other: Bus) -> None:
    """`error` ends a subscription instead: what was kept is delivered, then the reader hears."""
    subject = f"bus.{unique()}"
    strict = await other.subscribe(subject, pending_msgs_limit=3, pending_policy="error")
    last = await other.subscribe(f"{subject}.last")
    await other.flush()
    for number in range(5):
        one.publish(subject, str(number).encode())
    one.publish(f"{subject}.last")
    await last.next_msg(SECONDS_MAX)
    assert strict.ended
    found = [(await strict.next_msg(SECONDS_MAX)).data for _ in range(3)]
    assert found == [b"0", b"1", b"2"], f"{found}"
    with Raises(SlowConsumer):
        await strict.next_msg(SECONDS_MAX)
    with Raises(SlowConsumer):
        [msg async for msg in strict]
    wrong: Any = "block"
    with Raises(Unsupported):
        await other.subscribe(subject, pending_policy=wrong)


async def never_drops_a_status(one: Bus, other: Bus) -> None:
    """By status messages a server speaks about a stream; here it says that nobody listens."""
    policies: tuple[PendingPolicy, ...] = ("drop_new", "drop_old", "error")
    for policy in policies:
        inbox = other.new_inbox()
        full = await other.subscribe(inbox, pending_msgs_limit=1, pending_policy=policy)
        await other.flush()
        other.publish(inbox, b"fills it")
        other.publish(f"bus.{unique()}", reply=inbox)
        await other.flush()
        other.publish(inbox, b"one too many")
        await other.flush()
        await other.flush()
        found = [(await full.next_msg(SECONDS_MAX)).status for _ in range(full.pending_msgs)]
        assert 503 in found, f"{policy}: {found}"
        assert full.dropped, f"{policy}: nothing was dropped, so that was no test"


async def is_ready_when_there_is_room(one: Bus, other: Bus) -> None:
    """Who waits for room between publishes is never refused, whatever the network takes."""
    subject = f"bus.{unique()}"
    arrived = 0

    def count(_: Msg) -> None:
        nonlocal arrived
        arrived += 1

    await other.subscribe(subject, cb=count)
    await other.flush()
    for _ in range(READY_MSGS):
        one.publish(subject, bytes(1000))
        await one.ready()
    await one.flush()
    await other.flush()
    assert arrived == READY_MSGS, f"{arrived} of {READY_MSGS} arrived"


CHECKS: tuple[Check, ...] = (
    drops_the_newest_beyond_the_bound,
    keeps_the_newest_where_wanted,
    stops_at_a_gap_where_wanted,
    never_drops_a_status,
    is_ready_when_there_is_room,
)
