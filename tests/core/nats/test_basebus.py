"""What all buses have in common: reply subjects of their own, and how long a barrier takes."""

from __future__ import annotations

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


@pytest.mark.parametrize("prefix", ["", "a b", "a.>", "a.*"])
async def test_a_prefix_that_can_not_be_in_a_subject_is_refused(prefix: str) -> None:
    with pytest.raises(InvalidSubject):
        nats.Client(Options(servers=["nats://one"], inbox_prefix=prefix))
