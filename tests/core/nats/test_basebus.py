"""What all buses have in common: reply subjects of their own, and how long a barrier takes."""

from __future__ import annotations

from typing import Any

import pytest

from agents_core import nats
from agents_core.errors import InvalidSubject
from agents_core.localbus import LocalBus
from agents_core.nats.options import Options
from agents_core.nats.subject import matches
from tests.core.nats.scripted import session


async def test_the_way_there_and_back_takes_as_long_as_a_barrier(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bus = LocalBus()
    times = iter([10.0, 11.5])
    monkeypatch.setattr(bus._timers, "now", lambda: next(times))
    bus.publish("a")
    assert await bus.rtt() == 1.5
    await bus.close()


@pytest.mark.parametrize("prefix", ["_INBOX.me", b"_INBOX.me"])
async def test_reply_subjects_are_the_buss_own(prefix: str | bytes) -> None:
    async with session(inbox_prefix=prefix) as (nc, _, _server):
        inboxes = {nc.new_inbox() for _ in range(3)}
        assert len(inboxes) == 3
        assert all(matches("_INBOX.me.*.i.*", inbox) for inbox in inboxes)


async def test_what_is_printed_says_where_it_is() -> None:
    async with session() as (nc, _, _server):
        assert repr(nc) == "Client('nats://one:4222', connected)"
        assert repr(await nc.subscribe("a.*")) == "Subscription('a.*')"
        assert repr(await nc.subscribe("a", queue="q")) == "Subscription('a', queue='q')"
    bus = LocalBus("room")
    await bus.close()
    assert repr(bus) == "LocalBus('local://room', closed)"


@pytest.mark.parametrize("prefix", ["", "a b", "a.>", "a.*", "a" * 2032, None, 5])
async def test_a_prefix_that_can_not_be_in_a_subject_is_refused(prefix: Any) -> None:
    with pytest.raises(InvalidSubject):
        nats.Client(Options(servers=["nats://one"], inbox_prefix=prefix))


async def test_who_wants_to_hear_of_refusals_does_until_it_does_not() -> None:
    heard: list[tuple[str, str, bool]] = []
    async with session(error_cb=None) as (nc, peer, _):
        refused = await nc.subscribe("a", "q")
        forget = nc.on_refusal(lambda error, s: heard.append((error.text, s, refused.ended)))
        publish = 'Permissions Violation for Publish to "b"'
        subscribe = 'Permissions Violation for Subscription to "a" using queue "q"'
        for text in (publish, subscribe):
            peer.error(text)
        await nc.flush()
        forget()
        peer.error(publish)
        await nc.flush()
        assert heard == [(publish, "b", False), (subscribe, "", True)]
