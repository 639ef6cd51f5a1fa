"""Another interpreter, seen from the one that started it: its start, signs of life, and its end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

from agents_core.errors import AgentsError, HostLost
from agents_core.exit import Exit, Kind
from agents_core.hosts import modules
from agents_core.hosts.channel import Channel, PipeReply, Verbs
from agents_core.hosts.host import Host
from agents_core.hosts.pipe import Opener, Pipe
from agents_core.timers import Timer, Timers

TICKS = 4
"""Looks at the signs of life in the time that an interpreter has to answer.

Silence is counted in looks, not by a clock: one that comes late, because this interpreter was
blocked or suspended itself, counts as one, and the next comes after all that had arrived meanwhile
was read.
"""

CLOSE_S = 2.0
"""Seconds for an interpreter to end by itself when its agents have ended."""

MODULES_MAX = 100
"""Modules that are sent as text for one agent."""


class Interpreter:
    """One life of a host; the next one is another object.

    Args:
        spec: its bounds.
        name: for people.
        timers: for looking after it.
        verbs: what it may say beside what is about itself; and `counts`, called with what it tells
            of its agents at each sign of life, and `room`, called when it keeps up again.
        on_lost: called once, with the reason, when it is gone or given up.
    """

    def __init__(
        self,
        spec: Host,
        name: str,
        timers: Timers,
        verbs: Verbs,
        on_lost: Callable[[str], None],
    ) -> None:
        self.channel = Channel(
            {**verbs, "pong": self._take_pong, "importing": self._take_importing}
        )
        self.heap = 0
        self._spec = spec
        self._name = name
        self._timers = timers
        self._verbs = verbs
        self._on_lost = on_lost
        self._pipe: Pipe | None = None
        self._timer: Timer | None = None
        loop = asyncio.get_running_loop()
        self._ready: asyncio.Future[None] = loop.create_future()
        self._gone: asyncio.Future[None] = loop.create_future()
        self._heard = True
        self._silent = 0
        self._importing = False

    # -- the start

    async def open(self, opener: Opener, welcome: dict[str, Any]) -> None:
        """Start it, and return when it speaks.

        Raises:
            HostLost: it can't be started, or does not come up in time.
        """
        if self.channel.closed:  # given up before it began
            self._gone.set_result(None)
            await self._ready
        late = f"did not start within {self._spec.start} s"
        self._timer = self._timers.after(self._spec.start, lambda: self.terminate(late))
        self.channel.post("welcome", payload=json.dumps(welcome).encode())
        try:
            pipe = await opener(self._spec, self)
        except Exception as error:  # the platform's
            self._gone.set_result(None)
            self.terminate(str(error))
        else:
            self._pipe = pipe
            if self.channel.closed:
                pipe.terminate()  # given up meanwhile
            else:
                self.channel.attach(pipe)
        await self._ready
        if not self.channel.closed:
            self._timer.cancel()
            self._look()

    # -- what it says

    def arrived(self, data: bytes) -> None:
        """See `Receiver.arrived`."""
        self._heard = True
        full = not self.channel.room
        try:
            self.channel.arrived(data)
        except (AgentsError, LookupError, TypeError, ValueError) as error:
            self.terminate(f"said what makes no sense: {error}")
        if full and self.channel.room:
            self._verbs["room"]()

    def _take_pong(self, _: PipeReply, payload: bytes, heap: int) -> None:
        """It lives; so many bytes it has, and so much its agents have done."""
        self.heap = heap
        if not self._ready.done():
            self._ready.set_result(None)
        self._verbs["counts"](json.loads(payload))
        if heap > self._spec.heap:
            self.terminate(f"heap ceiling: {heap} bytes are more than {self._spec.heap}")

    def _take_importing(self, _: PipeReply, __: bytes, begins: bool) -> None:
        self._importing = begins

    def _look(self) -> None:
        """Ask for a sign of life, and see whether there was one since the last time."""
        self._silent = 0 if self._heard else self._silent + 1
        self._heard = False
        patience = self._spec.start if self._importing else self._spec.answer
        if self._silent * self._spec.answer >= patience * TICKS:
            doing = (
                "the import of a module took longer than" if self._importing else "no answer for"
            )
            self.terminate(f"{doing} {patience} s")
            return
        self.channel.post("ping")
        self._timer = self._timers.after(self._spec.answer / TICKS, self._look)

    # -- agents

    async def start(self, spec: dict[str, Any], before: Exit | None) -> Exit | None:
        """Start an agent; why it failed, or None.

        Raises:
            HostLost: the interpreter is gone.
        """
        body = {**spec, "before": before.to_json(whole=True) if before else None}
        sent: set[str] = set()
        while True:
            answer = await self.channel.ask("start", payload=json.dumps(body).encode())
            missing = answer.get("missing")
            if missing is None:
                failed = answer.get("exit")
                return Exit.from_json(failed) if failed else None
            texts = modules.family(missing)
            if missing in sent or missing not in texts or len(sent) + len(texts) > MODULES_MAX:
                return Exit(Kind.ERROR, "ModuleNotFoundError", f"the host has no module {missing}")
            sent |= set(texts)
            for name, (source, package) in texts.items():
                self.channel.post("module", name, package, payload=source.encode())

    # -- the end

    def terminate(self, reason: str) -> None:
        """End it at once, whatever it does."""
        if self.channel.closed:
            return
        self._lose(reason)
        if self._pipe is not None:
            self._pipe.terminate()

    def lost(self, reason: str) -> None:
        """See `Receiver.lost`."""
        if not self._gone.done():
            self._gone.set_result(None)
        if not self.channel.closed:
            self._lose(reason)

    def _lose(self, reason: str) -> None:
        if self._timer is not None:
            self._timer.cancel()
        error = HostLost(self._name, reason)
        self.channel.close(error)
        if not self._ready.done():
            self._ready.set_exception(error)
            self._ready.exception()  # who waits for it is told all the same
        self._on_lost(reason)

    async def close(self) -> None:
        """End it in order, as its agents have ended; return when it is gone."""
        if not self.channel.closed and self._ready.done():
            self.channel.post("close")
            self.channel.flush()
            await asyncio.wait([self._gone], timeout=CLOSE_S)
        self.terminate("closed")
        await self._gone
