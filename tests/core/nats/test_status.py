"""Who listens for the status hears every change, in order."""

from __future__ import annotations

from agents_core.bus import Status
from agents_core.nats.status import StatusHolder


def test_listeners() -> None:
    holder = StatusHolder(Status.CONNECTING)
    heard: list[str] = []
    first = holder.listen(lambda status: heard.append(f"1 {status}"))
    holder.listen(lambda status: heard.append(f"2 {status}"))
    holder.set(Status.CONNECTED)
    holder.set(Status.CONNECTED)
    first()
    first()
    holder.set(Status.CLOSED)
    assert heard == ["1 connected", "2 connected", "2 closed"]
