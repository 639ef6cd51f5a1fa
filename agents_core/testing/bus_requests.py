"""What every `Bus` promises to who asks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from agents_core.bus import Bus
from agents_core.errors import ConnectionClosed, InvalidSubject, NoResponders, RequestTimeout
from agents_core.ids import unique
from agents_core.nats.msg import Msg
from agents_core.nats.requests import is_empty
from agents_core.testing.check import SECONDS_MAX, Check, Raises


async def answers_requests(one: Bus, other: Bus) -> None:
    """A request gets its own answer, also when many are under way."""
    subject = f"bus.{unique()}"

    def double(msg: Msg) -> None:
        msg.respond(msg.data * 2, headers={"Answer": "yes"})

    await other.subscribe(subject, cb=double)
    await other.flush()
    asked = [one.request(subject, str(n).encode(), SECONDS_MAX) for n in range(50)]
    answers = await asyncio.gather(*asked)
    assert [msg.data for msg in answers] == [str(n).encode() * 2 for n in range(50)], "mixed up"
    assert answers[0].headers["Answer"] == "yes", "the headers of an answer are lost"


async def knows_when_nobody_answers(one: Bus, other: Bus) -> None:
    """Nobody subscribes: `NoResponders`, long before the timeout. Nobody answers: in time."""
    subject = f"bus.{unique()}"
    with Raises(NoResponders):
        await one.request(subject, b"", SECONDS_MAX)
    await other.subscribe(subject)
    await other.flush()
    with Raises(RequestTimeout):
        await one.request(subject, b"", 0.05)


async def gathers_answers(one: Bus, other: Bus) -> None:
    """One question, many answers: until the time is over, or what is given ends it earlier."""
    subject = f"bus.{unique()}"

    def answer(msg: Msg) -> None:
        for number in range(3):
            msg.respond(str(number).encode())
        msg.respond(b"", {"End": "yes"})

    await other.subscribe(subject, cb=answer)
    await other.flush()
    wanted = [b"0", b"1", b"2", b""]
    asked = [msg.data async for msg in one.request_many(subject, b"?", 0.2)]
    assert asked == wanted, f"{asked} within the time"
    asked = [msg.data async for msg in one.request_many(subject, b"?", SECONDS_MAX, stall=0.1)]
    assert asked == wanted, f"{asked} until none came any more"
    asked = [msg.data async for msg in one.request_many(subject, b"?", SECONDS_MAX, max_msgs=2)]
    assert asked == wanted[:2], f"{asked} until two came"
    replies = one.request_many(subject, b"?", SECONDS_MAX, sentinel=is_empty)
    asked = [msg.data async for msg in replies]
    assert asked == wanted[:3], f"{asked} until the empty one"
    replies = one.request_many(subject, b"?", SECONDS_MAX, {"Question": "yes"})
    assert (await anext(replies)).data == b"0"  # the rest is not wanted
    many = [one.request_many(subject, b"?", SECONDS_MAX, sentinel=is_empty) for _ in range(3)]
    counts = await asyncio.gather(*(_count(replies) for replies in many))
    assert counts == [3, 3, 3], f"{counts} of three that were under way together"


async def _count(replies: AsyncIterator[Msg]) -> int:
    return len([msg async for msg in replies])


async def knows_when_nobody_gathers(one: Bus, other: Bus) -> None:
    """Nobody subscribes: `NoResponders`. Nobody answers: no answers. A closed bus: an error."""
    subject = f"bus.{unique()}"
    with Raises(NoResponders):
        await _count(one.request_many(subject, b"", SECONDS_MAX))
    await other.subscribe(subject)
    await other.flush()
    assert await _count(one.request_many(subject, b"", 0.05)) == 0
    with Raises(InvalidSubject):
        await _count(one.request_many("a b"))
    asking = asyncio.ensure_future(_count(one.request_many(subject, b"", SECONDS_MAX)))
    await asyncio.sleep(0)
    await one.close()
    with Raises(ConnectionClosed):
        await asking
    with Raises(ConnectionClosed):
        await _count(one.request_many(subject))


async def refuses_what_is_no_time(one: Bus, other: Bus) -> None:
    """A timeout that is not a number would never be over, and may stop the event loop's others."""
    subject = f"bus.{unique()}"
    subscription, never = await one.subscribe(subject), float("nan")
    for call in (
        one.request(subject, timeout=never),
        anext(one.request_many(subject, timeout=never)),
        anext(one.request_many(subject, stall=never)),
        one.flush(never),
        one.rtt(never),
        subscription.next_msg(never),
    ):
        with Raises(ValueError):
            await call
    await subscription.unsubscribe()


CHECKS: tuple[Check, ...] = (
    answers_requests,
    knows_when_nobody_answers,
    gathers_answers,
    knows_when_nobody_gathers,
    refuses_what_is_no_time,
)
