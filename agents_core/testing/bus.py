"""What every `Bus` promises, as checks that any test can call.

    for check in bus.CHECKS:
        async with make_buses() as (one, other):
            await check(one, other)

The two are connected to the same place; what one publishes, the other can receive. A check uses
fresh subjects, so buses may be used again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from agents_core.bus import Bus, Status
from agents_core.errors import (
    ConnectionClosed,
    InvalidHeader,
    InvalidSubject,
    MaxPayloadExceeded,
    NoResponders,
    Unsupported,
)
from agents_core.ids import unique
from agents_core.nats.msg import Msg
from agents_core.testing import bus_bounds, bus_requests
from agents_core.testing.check import SECONDS_MAX, Check, Raises

ORDERED_MSGS = 1000


async def carries_payload_reply_and_headers(one: Bus, other: Bus) -> None:
    """A message arrives as it was sent."""
    subject = f"bus.{unique()}"
    subscription = await other.subscribe(subject)
    await other.flush()
    for payload in (b"", b"hello", bytes(range(256)) * 100):
        one.publish(subject, payload, "reply.here", {"Name": "value", "name": "other"})
        msg = await subscription.next_msg(SECONDS_MAX)
        assert (msg.subject, msg.data, msg.reply) == (subject, payload, "reply.here")
        assert (msg.headers["Name"], msg.headers["name"]) == ("value", "other"), "headers differ"
    one.publish(subject, headers={"Status": "is a header", "Description": "too"})
    msg = await subscription.next_msg(SECONDS_MAX)
    assert (msg.status, len(msg.headers)) == (0, 2), "it was taken for the server's status"
    one.publish(subject)
    msg = await subscription.next_msg(SECONDS_MAX)
    assert (msg.data, msg.reply, dict(msg.headers)) == (b"", "", {}), "nothing was to be added"


async def keeps_the_order(one: Bus, other: Bus) -> None:
    """Messages of one publisher arrive in order, none is lost."""
    subject = f"bus.{unique()}"
    subscription = await other.subscribe(subject)
    await other.flush()
    for number in range(ORDERED_MSGS):
        one.publish(subject, str(number).encode())
    for number in range(ORDERED_MSGS):
        msg = await subscription.next_msg(SECONDS_MAX)
        assert int(msg.data) == number, f"{int(msg.data)} came instead of {number}"


async def matches_wildcards(one: Bus, other: Bus) -> None:
    """`*` is one token, `>` one or more at the end."""
    root = f"bus.{unique()}"
    star = await other.subscribe(f"{root}.*.end")
    rest = await other.subscribe(f"{root}.>")
    await other.flush()
    for tail in ("a.end", "a.b.end", "a", "z"):
        one.publish(f"{root}.{tail}", tail.encode())
    one.publish(root)  # `>` wants at least one token
    found = [(await rest.next_msg(SECONDS_MAX)).data.decode() for _ in range(4)]
    assert found == ["a.end", "a.b.end", "a", "z"], f"{found} for >"
    assert (await star.next_msg(SECONDS_MAX)).data == b"a.end"
    assert star.pending_msgs == rest.pending_msgs == 0, "more matched than should"


async def takes_tokens_that_are_no_wildcards(one: Bus, other: Bus) -> None:
    """`*` and `>` stand for something only where they are a token, and `>` at the end."""
    root = f"bus.{unique()}"
    for token in ("a*", "*a", "**", "a>", ">a", ">>"):
        subscription = await other.subscribe(f"{root}.{token}")
        await other.flush()
        one.publish(f"{root}.other")
        one.publish(f"{root}.{token}")
        msg = await subscription.next_msg(SECONDS_MAX)
        assert msg.subject == f"{root}.{token}", "it was taken for a wildcard"


async def gives_each_queue_group_one(one: Bus, other: Bus) -> None:
    """Of a queue group one member gets each message; who is in none gets all."""
    subject = f"bus.{unique()}"
    counts = {"a1": 0, "a2": 0, "b": 0, "none": 0}

    def count(name: str) -> Callable[[Msg], object]:
        def take(_: Msg) -> None:
            counts[name] += 1

        return take

    await one.subscribe(subject, "a", count("a1"))
    await other.subscribe(subject, "a", count("a2"))
    await other.subscribe(subject, "b", count("b"))
    await other.subscribe(subject, cb=count("none"))
    last = await other.subscribe(f"{subject}.last")
    await one.flush()
    await other.flush()
    for _ in range(100):
        one.publish(subject)
    one.publish(f"{subject}.last")
    await last.next_msg(SECONDS_MAX)
    await one.flush()
    assert counts["a1"] + counts["a2"] == counts["b"] == counts["none"] == 100, f"{counts}"


async def calls_back_in_order(one: Bus, other: Bus) -> None:
    """A callback may be a plain or a coroutine function; one that raises does not end it."""
    subject = f"bus.{unique()}"
    done = asyncio.Event()
    plain: list[bytes] = []
    taken: list[bytes] = []

    def keep(found: list[bytes], msg: Msg) -> None:
        found.append(msg.data)
        if len(plain) == len(taken) == 3:
            done.set()
        if len(found) == 1:
            raise ValueError("a fault of the user's")

    async def take(msg: Msg) -> None:
        await asyncio.sleep(0)
        keep(taken, msg)

    await other.subscribe(subject, cb=lambda msg: keep(plain, msg))
    await other.subscribe(subject, cb=take)
    await other.flush()
    for payload in (b"1", b"2", b"3"):
        one.publish(subject, payload)
    async with asyncio.timeout(SECONDS_MAX):
        await done.wait()
    assert plain == taken == [b"1", b"2", b"3"], f"{plain} and {taken}"


async def ends_by_count(one: Bus, other: Bus) -> None:
    """`max_msgs` and `unsubscribe(limit)` end a subscription after so many messages."""
    subject = f"bus.{unique()}"
    by_max = await other.subscribe(subject, max_msgs=2)
    by_limit = await other.subscribe(subject)
    await by_limit.unsubscribe(3)
    await other.flush()
    for number in range(5):
        one.publish(subject, str(number).encode())
    async with asyncio.timeout(SECONDS_MAX):
        assert [int(msg.data) async for msg in by_max] == [0, 1], "max_msgs"
        assert [int(msg.data) async for msg in by_limit] == [0, 1, 2], "unsubscribe(3)"


async def counts_from_the_beginning(one: Bus, other: Bus) -> None:
    """`unsubscribe(limit)` counts what arrived before it, too; enough of that ends at once."""
    subject = f"bus.{unique()}"
    later, already = await other.subscribe(subject), await other.subscribe(subject)
    await other.flush()
    for number in range(2):
        one.publish(subject, str(number).encode())
    assert [int((await later.next_msg(SECONDS_MAX)).data) for _ in range(2)] == [0, 1]
    assert int((await already.next_msg(SECONDS_MAX)).data) == 0
    await later.unsubscribe(3)
    await already.unsubscribe(1)
    await other.flush()
    for number in range(2, 5):
        one.publish(subject, str(number).encode())
    async with asyncio.timeout(SECONDS_MAX):
        assert [int(msg.data) async for msg in later] == [2], "the third is the last"
        assert [int(msg.data) async for msg in already] == [1], "what had arrived is delivered"


async def ends_at_once(one: Bus, other: Bus) -> None:
    """After `unsubscribe` nothing arrives, and who waits is told."""
    subject = f"bus.{unique()}"
    subscription = await other.subscribe(subject)
    await subscription.unsubscribe()
    await subscription.unsubscribe()
    await other.flush()
    one.publish(subject)
    await one.flush()
    with Raises(ConnectionClosed):
        await subscription.next_msg(SECONDS_MAX)


async def refuses_what_is_no_subject(one: Bus, other: Bus) -> None:
    """Before anything is sent."""
    for subject in ("", "a b", "a..b", ".a", "a.", "a\r\nb", "a.*", "a.>"):
        with Raises(InvalidSubject):
            one.publish(subject)
    with Raises(InvalidSubject):
        one.publish("a", reply="b c")
    for subject in ("", "a b", "a.>.b", "a..b"):
        with Raises(InvalidSubject):
            await one.subscribe(subject)
    with Raises(InvalidSubject):
        await one.subscribe("a", queue="b c")
    wrong: Any
    for wrong in (b"a", 3, None):
        with Raises(InvalidSubject):
            one.publish(wrong)
        with Raises(InvalidSubject):
            await one.subscribe(wrong)
    for wrong in (b"a", 3):
        with Raises(InvalidSubject):
            one.publish("a", reply=wrong)
        with Raises(InvalidSubject):
            await one.subscribe("a", queue=wrong)


async def refuses_what_is_no_payload(one: Bus, other: Bus) -> None:
    """It is bytes; what is like them is taken as it is now."""
    subject = f"bus.{unique()}"
    subscription = await other.subscribe(subject)
    await other.flush()
    wrong: Any
    for wrong in ("text", {"a": 1}, [1]):
        with Raises(TypeError):
            one.publish(subject, wrong)
    buffer: Any = bytearray(b"first")
    one.publish(subject, buffer)
    buffer[:] = b"later"
    msg = await subscription.next_msg(SECONDS_MAX)
    assert msg.data == b"first", "what is published must not change any more"


async def refuses_what_is_too_large(one: Bus, other: Bus) -> None:
    """Headers and payload together, known before sending; the bus goes on."""
    size = one.max_payload
    with Raises(MaxPayloadExceeded):
        one.publish("a", bytes(size + 1))
    with Raises(MaxPayloadExceeded):
        one.publish("a", bytes(size), headers={"A": "b"})
    with Raises(InvalidHeader):
        one.publish("a", headers={"A": "b\r\nc"})
    await one.flush()


async def ends_what_was_given_up(one: Bus, other: Bus) -> None:
    """A subscription that is not waited for to its end is none."""

    async def answers(subject: str) -> bool:
        try:
            await other.request(subject, timeout=SECONDS_MAX)
        except NoResponders:
            return False
        return True

    subjects = [f"bus.{unique()}" for _ in range(20)]
    begin = [one.subscribe(subject, "group", lambda msg: msg.respond(b"")) for subject in subjects]
    beginning = [asyncio.ensure_future(subscribe) for subscribe in begin[:-1]]
    await asyncio.sleep(0)
    beginning.append(asyncio.ensure_future(begin[-1]))
    given_up = [task.cancel() for task in beginning]
    await asyncio.wait(beginning)
    assert [task.cancelled() for task in beginning] == given_up, "its end was not heard"
    await one.flush()
    heard = [await answers(subject) for subject in subjects]
    assert heard == [not ended for ended in given_up], "one that nobody has answers"


async def flush_is_a_barrier(one: Bus, other: Bus) -> None:
    """What was published before `flush` is with the others' subscriptions when both flushed."""
    subject = f"bus.{unique()}"
    subscription = await other.subscribe(subject)
    await other.flush()
    for _ in range(100):
        one.publish(subject, bytes(1000))
    await one.flush()
    await other.flush()
    assert subscription.pending_msgs == 100, f"{subscription.pending_msgs} of 100 have arrived"
    assert await one.rtt() >= 0.0


async def drains_a_subscription(one: Bus, other: Bus) -> None:
    """Its interest ends, what was under way is handled, the bus goes on."""
    subject = f"bus.{unique()}"
    taken: list[bytes] = []

    async def take(msg: Msg) -> None:
        await asyncio.sleep(0)
        taken.append(msg.data)

    called = await other.subscribe(subject, cb=take)
    waiting = await other.subscribe(subject)
    await other.flush()
    for _ in range(100):
        one.publish(subject)
    await one.flush()
    await called.drain()
    await waiting.drain()
    await waiting.drain()
    assert len(taken) == 100, f"{len(taken)} of 100 were handled"
    assert len([msg async for msg in waiting]) == 100, "what waits is still there"
    with Raises(NoResponders):
        await one.request(subject, b"", SECONDS_MAX)


async def counts(one: Bus, other: Bus) -> None:
    """Messages and bytes, out and in."""
    subject = f"bus.{unique()}"
    subscription = await other.subscribe(subject)
    await other.flush()
    sent, received = one.stats.out_msgs, other.stats.in_msgs
    sent_bytes, received_bytes = one.stats.out_bytes, other.stats.in_bytes
    one.publish(subject, b"12345")
    await subscription.next_msg(SECONDS_MAX)
    assert (one.stats.out_msgs - sent, one.stats.out_bytes - sent_bytes) == (1, 5)
    assert (other.stats.in_msgs - received, other.stats.in_bytes - received_bytes) == (1, 5)


async def gives_fresh_inboxes(one: Bus, other: Bus) -> None:
    """Reply subjects are private, and none comes twice."""
    inboxes = {bus.new_inbox() for bus in (one, other) for _ in range(100)}
    assert len(inboxes) == 200


async def drains(one: Bus, other: Bus) -> None:
    """What has arrived is handled, then the bus is closed."""
    subject = f"bus.{unique()}"
    taken: list[bytes] = []
    seen: list[Status] = []

    async def take(msg: Msg) -> None:
        await asyncio.sleep(0)
        taken.append(msg.data)

    await other.subscribe(subject, cb=take)
    waiting = await other.subscribe(subject)
    await other.flush()
    other.on_status(seen.append)
    for _ in range(100):
        one.publish(subject)
    await one.flush()
    await other.drain()
    assert len(taken) == 100, f"{len(taken)} of 100 were handled"
    assert len([msg async for msg in waiting]) == 100, "what waits is still there"
    assert seen == [Status.DRAINING, Status.CLOSED], f"{seen}"
    await other.drain()


async def lets_callbacks_end_when_it_drains(one: Bus, other: Bus) -> None:
    """Also of subscriptions that had ended before, and when it is told so twice."""
    taken: list[str] = []
    seen: list[Status] = []
    may_go_on = asyncio.Event()

    async def take(msg: Msg) -> None:
        await may_go_on.wait()
        taken.append(msg.subject)

    counted, left = f"bus.{unique()}", f"bus.{unique()}"
    subscriptions = [
        await other.subscribe(counted, cb=take, max_msgs=2),
        await other.subscribe(left, cb=take),
    ]
    await other.flush()
    for subject in (counted, left) * 2:
        one.publish(subject)
    await one.flush()
    await other.flush()
    await subscriptions[1].unsubscribe()
    assert all(subscription.ended for subscription in subscriptions)
    other.on_status(seen.append)
    ends = [asyncio.ensure_future(other.drain()) for _ in range(2)]
    for _ in range(10):  # as often as an end that does not wait asks the server
        await one.flush()
    may_go_on.set()
    await asyncio.gather(*ends)
    assert sorted(taken) == sorted([counted, left] * 2), f"{len(taken)} of 4 were handled"
    assert seen == [Status.DRAINING, Status.CLOSED], f"{seen}"


async def lets_handlers_ask_while_it_drains(one: Bus, other: Bus) -> None:
    """What has arrived can be handled to its end, if that is an answer of somebody else's."""
    subject, helper = f"bus.{unique()}", f"bus.{unique()}"
    answers: list[bytes] = []
    draining = asyncio.Event()

    async def handle(_: Msg) -> None:
        await draining.wait()
        answers.append((await other.request(helper, b"", SECONDS_MAX)).data)
        answers.extend(
            [m.data async for m in other.request_many(helper, b"", SECONDS_MAX, max_msgs=1)]
        )

    await one.subscribe(helper, cb=lambda msg: msg.respond(b"help"))
    await one.flush()
    await other.subscribe(subject, cb=handle)
    await other.flush()
    for _ in range(3):
        one.publish(subject)
    await one.flush()
    other.on_status(lambda _: draining.set())
    await other.drain()
    assert answers == [b"help"] * 6, f"{answers}"


async def is_over_when_closed(one: Bus, other: Bus) -> None:
    """After `close` every call says so, and who waits is told at once."""
    subject = f"bus.{unique()}"
    await one.subscribe(subject)
    await one.flush()
    waiting = await other.subscribe(subject)
    waits = asyncio.ensure_future(waiting.next_msg(SECONDS_MAX))
    asks = asyncio.ensure_future(other.request(subject, b"", SECONDS_MAX))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await other.close()
    for told in (waits, asks):
        with Raises(ConnectionClosed):
            await told
    assert other.status is Status.CLOSED
    with Raises(ConnectionClosed):
        other.publish(subject)
    with Raises(ConnectionClosed):
        await other.subscribe(subject)
    with Raises(ConnectionClosed):
        await other.request(subject)
    with Raises(ConnectionClosed):
        await other.flush()
    with Raises(ConnectionClosed):
        await other.ready()
    await other.close()


async def has_plain_listeners(one: Bus, _: Bus) -> None:
    """Nobody would await an async one."""

    async def late(status: Status) -> None: ...

    wrong: Any
    for wrong in (late, None):
        with Raises(Unsupported):
            one.on_status(wrong)


async def forgets_listeners(one: Bus, other: Bus) -> None:
    """`on_status` tells about changes until its function is called."""
    seen: list[Status] = []
    forget = other.on_status(seen.append)
    forget()
    forget()
    await other.close()
    assert seen == [], f"{seen}"


async def goes_away_and_comes_back(one: Bus, other: Bus) -> None:
    """After `suspend` and `resume` it hears what it subscribes to, and what waited is sent."""
    heard, sent = f"bus.{unique()}", f"bus.{unique()}"
    here, there = await one.subscribe(heard), await other.subscribe(sent)
    await one.flush()
    await other.flush()
    one.publish(sent, b"last")
    await one.suspend()
    assert (await there.next_msg(SECONDS_MAX)).data == b"last"
    one.publish(sent, b"meanwhile")
    await one.resume()
    assert (await there.next_msg(SECONDS_MAX)).data == b"meanwhile"
    await one.resume()  # a hint, while all is well
    await one.flush()
    other.publish(heard, b"back")
    assert (await here.next_msg(SECONDS_MAX)).data == b"back"


CHECKS: tuple[Check, ...] = (
    carries_payload_reply_and_headers,
    keeps_the_order,
    matches_wildcards,
    takes_tokens_that_are_no_wildcards,
    gives_each_queue_group_one,
    calls_back_in_order,
    ends_by_count,
    counts_from_the_beginning,
    ends_at_once,
    *bus_bounds.CHECKS,
    *bus_requests.CHECKS,
    refuses_what_is_no_subject,
    refuses_what_is_no_payload,
    refuses_what_is_too_large,
    ends_what_was_given_up,
    flush_is_a_barrier,
    drains_a_subscription,
    counts,
    goes_away_and_comes_back,
    gives_fresh_inboxes,
    drains,
    lets_callbacks_end_when_it_drains,
    lets_handlers_ask_while_it_drains,
    is_over_when_closed,
    has_plain_listeners,
    forgets_listeners,
)
