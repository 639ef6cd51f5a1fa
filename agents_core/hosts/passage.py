"""The router as hosted agents see it: past the parent to those beside them, else through it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from agents_core import jsonvalue
from agents_core.codec import Encoded
from agents_core.errors import MailboxFull
from agents_core.mailbox import Envelope
from agents_core.router import ask_cell, expire

if TYPE_CHECKING:
    from agents_core.cell import Cell
    from agents_core.hosts.channel import Channel
    from agents_core.timers import Timers

WINDOW = 64
"""Messages that an agent's host has and has not yet answered; the others wait with the parent,
where they outlive the host."""


class Passage:
    """Sends for the agents of a host.

    Args:
        channel: to the parent.
        timers: for the deadlines of asks.
    """

    def __init__(self, channel: Channel, timers: Timers) -> None:
        self.cells: dict[str, Cell] = {}
        self._channel = channel
        self._timers = timers

    async def listen(self, cell: Cell) -> None:
        """See `Router.listen`; the parent sees to it."""

    def tell(self, to: str, payload: Any, sender: str) -> None:
        """See `AgentRef.tell`."""
        self._timers.check_loop()
        cell = self._beside(to)
        if cell is not None:
            cell.put(Envelope(payload, sender))
            return
        encoded = Encoded.of(payload)
        self._channel.check()
        self._channel.post("tell", to, sender, encoded.name, payload=encoded.data)

    async def ask(self, to: str, payload: Any, sender: str, timeout: float) -> Any:
        """See `AgentRef.ask`."""
        self._timers.check_loop()
        cell = self._beside(to)
        if cell is not None:
            return await ask_cell(cell, payload, sender, timeout, self._timers)
        encoded = Encoded.of(payload)
        self._channel.check()
        future: asyncio.Future[Encoded] = asyncio.get_running_loop().create_future()
        fields = (to, sender, encoded.name, timeout)
        self._channel.call(future, "ask", *fields, payload=encoded.data)
        timer = self._timers.after(timeout, lambda: expire(future, to, timeout))
        try:
            return (await future).decoded()
        finally:
            timer.cancel()

    def _beside(self, to: str) -> Cell | None:
        """The cell of an agent of this host, if it takes one more.

        Raises:
            MailboxFull: it does not. Its mailbox has room for what the parent sends all the same.
        """
        cell = self.cells.get(to)
        if cell is not None and len(cell.mailbox) >= (limit := cell.child.mailbox - WINDOW):
            raise MailboxFull(to, limit)
        return cell

    async def control(self, to: str, body: dict[str, Any], sender: str) -> Any:
        """See `Router.control`; supervisors are with the parent."""
        self._timers.check_loop()
        self._channel.check()
        return await self._channel.ask("control", to, sender, payload=jsonvalue.dumps(body))
