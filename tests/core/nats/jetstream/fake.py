"""JetStream as a test wants it: on a local bus, with scripted answers and statuses."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from agents_core import jsonvalue
from agents_core.bus import Bus, Status
from agents_core.errors import NotConnected, PermissionsViolation
from agents_core.ids import unique
from agents_core.localbus import LocalBus
from agents_core.nats.jetstream import JetStreamContext
from agents_core.nats.jetstream.flow import Flow
from agents_core.nats.msg import Msg

PREFIX = "$JS.API."
CONSUMER = {
    "name": "c",
    "stream_name": "s",
    "config": {},
    "delivered": {"consumer_seq": 0, "stream_seq": 0},
    "ack_floor": {"consumer_seq": 0, "stream_seq": 0},
    "num_pending": 0,
}
NOT_FOUND = {"error": {"code": 404, "err_code": 10014, "description": "consumer not found"}}
FLOW = Flow(10, by_count=True, threshold=5, expires=30, heartbeat=10)


@dataclass
class Request:
    """What the server was asked: the operation, its JSON, where the answer goes."""

    operation: str
    body: dict[str, Any] = field(default_factory=dict)
    reply: str = ""


class Server:
    """Answers what it is told to, by operation or by the first part of it; keeps all requests."""

    def __init__(self, bus: LocalBus) -> None:
        self.bus = bus
        self.answers: dict[str, Any] = {}
        self._requests: deque[Request] = deque()
        self._news = asyncio.Event()

    async def open(self) -> None:
        await self.bus.subscribe(f"{PREFIX}>", cb=self._take)

    def _take(self, msg: Msg) -> None:
        operation = msg.subject.removeprefix(PREFIX)
        body = jsonvalue.loads(msg.data) if msg.data else {}
        self._requests.append(Request(operation, body, msg.reply))
        self._news.set()
        for start, answer in self.answers.items():
            if operation.startswith(start):
                said = answer.pop(0) if isinstance(answer, list) else answer  # one after the other
                data = said if isinstance(said, bytes) else jsonvalue.dumps(said)
                self.bus.publish(msg.reply, data)

    async def expect(self, start: str) -> Request:
        """The next request that begins so; those before it are passed over."""
        while True:
            while self._requests:
                request = self._requests.popleft()
                if request.operation.startswith(start):
                    return request
            self._news.clear()
            await self._news.wait()

    async def pull(self) -> Request:
        """The next request for messages."""
        return await self.expect("CONSUMER.MSG.NEXT")

    async def none(self, start: str) -> bool:
        """Whether there is no such request, when everything under way has arrived."""
        await settle(self.bus)
        return not [request for request in self._requests if request.operation.startswith(start)]

    def deliver(
        self,
        to: Request,
        sequence: int,
        data: bytes = b"",
        *,
        stream_seq: int | None = None,
        pending: int = 0,
        consumer: str = "c",
        headers: dict[str, str] | None = None,
    ) -> None:
        """One message of a consumer."""
        ack = f"$JS.ACK.s.{consumer}.1.{stream_seq or sequence}.{sequence}.1700000000000000001"
        self.bus.publish(to.reply, data, f"{ack}.{pending}", headers)

    def say(self, to: Request | str, code: int, words: str = "", **headers: object) -> None:
        """A status message; `pending` stands for `Nats-Pending-Messages`, and so on."""
        names = {"pending": "Nats-Pending-Messages", "pending_bytes": "Nats-Pending-Bytes"}
        lines = [f"NATS/1.0 {code} {words}".rstrip()]
        lines += [f"{names.get(name, name)}: {value}" for name, value in headers.items()]
        raw = "\r\n".join([*lines, "", ""]).encode()
        subject = to if isinstance(to, str) else to.reply
        self.bus._hub.publish(Msg(subject, raw_headers=raw))


async def settle(bus: LocalBus) -> None:
    """Return when everything under way has arrived, and what that caused, too."""
    for _ in range(5):
        await bus.flush()
        await asyncio.sleep(0)


@asynccontextmanager
async def jetstream(**options: Any) -> AsyncIterator[tuple[JetStreamContext, Server]]:
    """A context, and the server at the other end."""
    name = unique()
    one, other = LocalBus(name), LocalBus(name)
    server = Server(other)
    await server.open()
    try:
        yield JetStreamContext(one, **options), server
    finally:
        await one.close()
        await other.close()


def set_status(js: JetStreamContext, status: Status) -> None:
    """As if the connection had changed: a local bus has none to lose."""
    assert isinstance(js.bus, LocalBus)
    if status is Status.RECONNECTING:
        js.bus._requests.fail_all(NotConnected(js.bus.url))
    js.bus._status.set(status)


def refuse(bus: Bus, subject: str, operation: str = "publish") -> None:
    """As if the server had refused that: a local bus allows everything."""
    assert isinstance(bus, LocalBus)
    bus._refused(PermissionsViolation("Permissions Violation", operation, subject))


def deafen(bus: Bus) -> None:
    """Have each subscription refused before who subscribes knows of it."""
    assert isinstance(bus, LocalBus)
    add = bus._subscriptions.add

    async def refused(subject: str, *arguments: Any) -> Any:
        subscription = await add(subject, *arguments)
        refuse(bus, subject, "subscription")
        return subscription

    bus._subscriptions.add = refused  # type: ignore[method-assign]
