"""A key-value bucket on the scripted server: what it was told to store, and what it delivers."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from agents_core import jsonvalue
from agents_core.localbus import LocalBus
from agents_core.nats.headers import encode_headers
from agents_core.nats.jetstream import JetStreamContext, KeyValue
from agents_core.nats.msg import Msg
from agents_core.nats.subject import matches
from tests.core.nats.jetstream.fake import CONSUMER, Request, Server, jetstream

STREAM: dict[str, Any] = {
    "config": {"name": "KV_b", "max_msgs_per_subject": 5},
    "state": {"messages": 3, "bytes": 90, "last_seq": 9},
}
WRONG = {"error": {"code": 400, "err_code": 10071, "description": "wrong last sequence: 7"}}
WRONG_CONSTANT = {"error": {"code": 400, "err_code": 10164, "description": "wrong last sequence"}}
NO_MESSAGE = {"error": {"code": 404, "err_code": 10037, "description": "no message found"}}
NO_STREAM = {"error": {"code": 404, "err_code": 10059, "description": "stream not found"}}


def stream(last_seq: int = 9, subjects: dict[str, int] | None = None, **config: Any) -> Any:
    """An answer to `STREAM.INFO`."""
    state = {**STREAM["state"], "last_seq": last_seq}
    found: dict[str, Any] = {"config": {**STREAM["config"], **config}, "state": state}
    if subjects is not None:
        state["subjects"] = subjects
        found["total"] = len(subjects)
    return found


def consumer(pending: int, stream_seq: int = 0) -> Any:
    """An answer to `CONSUMER.CREATE`."""
    delivered = {"consumer_seq": 0, "stream_seq": stream_seq}
    return {**CONSUMER, "delivered": delivered, "num_pending": pending}


def message(key: str, seq: int) -> Any:
    """An answer to `STREAM.MSG.GET`."""
    return {"message": {"subject": f"$KV.b.{key}", "seq": seq, "time": "2023-11-14T22:13:20Z"}}


class Bucket:
    """The bucket `b`, its server, and what was stored on its subjects."""

    def __init__(self, js: JetStreamContext, server: Server, kv: KeyValue) -> None:
        self.js, self.server, self.kv = js, server, kv
        self.stored: list[Msg] = []
        self.answers: deque[Any] = deque()

    def take(self, msg: Msg) -> None:
        """Somebody stores something."""
        self.stored.append(msg)
        said = self.answers.popleft() if self.answers else {"stream": "KV_b", "seq": 7}
        self.server.bus.publish(msg.reply, jsonvalue.dumps(said))

    def deliver(
        self,
        to: Request,
        sequence: int,
        key: str,
        seq: int,
        data: bytes = b"v",
        headers: dict[str, str] | None = None,
        pending: int = 0,
        when: int = 1_700_000_000_000_000_001,
    ) -> None:
        """One message of a consumer, on its own subject, as a server delivers it."""
        consumer = to.operation.rsplit(".", 1)[1]
        ack = f"$JS.ACK.KV_b.{consumer}.1.{seq}.{sequence}.{when}"
        raw = encode_headers(headers) if headers else b""
        msg = Msg(f"$KV.b.{key}", data, f"{ack}.{pending}", raw)
        assert isinstance(self.js.bus, LocalBus)
        for subscription in list(self.js.bus._hub.subscriptions):
            if matches(subscription.subject, to.reply):
                subscription.deliver([msg])


@asynccontextmanager
async def bucket(prefix: str = "$KV", **config: Any) -> AsyncIterator[Bucket]:
    async with jetstream(timeout=1) as (js, server):
        server.answers["STREAM.INFO"] = stream(**config)
        it = Bucket(js, server, await js.key_value("b"))
        await server.bus.subscribe(f"{prefix}.>", cb=it.take)
        yield it
