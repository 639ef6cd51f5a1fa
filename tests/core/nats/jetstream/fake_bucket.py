"""The stream behind a bucket, in memory, at the other end of a local bus; made to fail at will."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from agents_core import jsonvalue
from agents_core.ids import unique
from agents_core.localbus import LocalBus
from agents_core.nats.headers import encode_headers
from agents_core.nats.jetstream import JetStreamContext, ObjectStore
from agents_core.nats.jetstream.header import Header
from agents_core.nats.jetstream.timestamp import from_datetime, to_datetime
from agents_core.nats.msg import Msg
from agents_core.nats.subject import matches
from tests.core.nats.jetstream.fake import CONSUMER, PREFIX

BUCKET = "b"
STREAM = f"OBJ_{BUCKET}"
TIME = 1_700_000_000_000_000_000


def error(code: int, err_code: int, words: str) -> dict[str, Any]:
    return {"error": {"code": code, "err_code": err_code, "description": words}}


NO_MESSAGE = error(404, 10037, "no message found")
NO_SEQUENCE = error(400, 10043, "sequence 1 not found")
NO_CONSUMER = error(404, 10014, "consumer not found")
NO_STREAM = error(404, 10059, "stream not found")
WRONG_SEQUENCE = error(400, 10071, "wrong last sequence: 1")
BUSY = error(503, 10008, "busy")


@dataclass
class Consumer:
    """What it has still to deliver, and who asked for it."""

    name: str
    filter: str
    queue: list[int]
    delivered: int = 0
    waiting: deque[str] = field(default_factory=deque)


class Bucket:
    """The stream `OBJ_b`. It keeps what is published on `$O.b.>`, and answers the API.

    Attributes:
        msgs: what is stored, by sequence: subject, data.
        replaced: what a message said that it replaces, by its sequence.
        published: the subjects that were published on so far.
        faults: asked, with the subject and how often it was published on, for each message: None
            to store it; `silent` to store it without an acknowledgement, `lost` to do neither,
            `nobody` for no responders, `queued` to store it at `work`; a dict for an error.
        queued: what waits for `work`; the API is answered meanwhile, as by a server.
        answers: asked, with the operation and its JSON, for each request: an answer instead of the
            usual one, b"" for none.
    """

    def __init__(self, bus: LocalBus) -> None:
        self.bus = bus
        self.msgs: dict[int, tuple[str, bytes]] = {}
        self.replaced: dict[int, str] = {}
        self.last = 0
        self.published: list[str] = []
        self.operations: list[str] = []
        self.faults: Callable[[str, int], Any] = lambda subject, times: None
        self.answers: Callable[[str, Mapping[str, Any]], Any] = lambda operation, body: None
        self.consumers: dict[str, Consumer] = {}
        self.queued: list[Msg] = []

    async def open(self) -> None:
        await self.bus.subscribe(f"$O.{BUCKET}.>", cb=self._store)
        await self.bus.subscribe(f"{PREFIX}>", cb=self._serve)

    def stored(self, subject: str) -> list[bytes]:
        """The data of what matches."""
        return [data for name, data in self.msgs.values() if matches(subject, name)]

    # -- publishing

    def _store(self, msg: Msg) -> None:
        self.published.append(msg.subject)
        fault = self.faults(msg.subject, self.published.count(msg.subject))
        if fault == "nobody":
            nobody = Msg(msg.reply, raw_headers=b"NATS/1.0 503\r\n\r\n")
            self.bus._hub.publish(nobody)
        elif isinstance(fault, dict):
            self.bus.publish(msg.reply, jsonvalue.dumps(fault))
        elif fault == "queued":
            self.queued.append(msg)
        elif fault != "lost":
            answer = self.add(msg.subject, msg.data, msg.headers)
            if fault != "silent":
                self.bus.publish(msg.reply, jsonvalue.dumps(answer))

    def work(self) -> None:
        """Store what is queued."""
        queued, self.queued = self.queued, []
        for msg in queued:
            answer = self.add(msg.subject, msg.data, msg.headers)
            self.bus.publish(msg.reply, jsonvalue.dumps(answer))

    def add(self, subject: str, data: bytes, headers: Mapping[str, str] = {}) -> dict[str, Any]:
        """Store a message and return its acknowledgement."""
        before = [seq for seq, (name, _) in self.msgs.items() if name == subject]
        expected = headers.get(Header.EXPECTED_LAST_SUBJECT_SEQUENCE)
        if expected is not None and int(expected) != max(before, default=0):
            return WRONG_SEQUENCE
        if headers.get(Header.ROLLUP):
            self.remove(before)
        self.last += 1
        self.msgs[self.last] = subject, data
        if expected is not None:
            self.replaced[self.last] = expected
        for consumer in self.consumers.values():
            if matches(consumer.filter, subject):
                consumer.queue.append(self.last)
                self._deliver(consumer)
        return {"stream": STREAM, "seq": self.last}

    def remove(self, sequences: list[int]) -> None:
        for seq in sequences:
            del self.msgs[seq]
            for consumer in self.consumers.values():
                if seq in consumer.queue:
                    consumer.queue.remove(seq)

    # -- the API

    def _serve(self, msg: Msg) -> None:
        operation = msg.subject.removeprefix(PREFIX)
        body = jsonvalue.loads(msg.data) if msg.data else {}
        self.operations.append(operation)
        answer = self.answers(operation, body)
        if answer is None:
            verb, tokens = operation.split(f".{STREAM}")[0], operation.split(".")
            answer = getattr(self, f"_{verb.lower().replace('.', '_')}")(tokens, body, msg.reply)
        if answer:
            self.bus.publish(msg.reply, jsonvalue.dumps(answer))

    def _stream_create(self, tokens: list[str], body: Any, reply: str) -> Any:
        return {"config": body, "state": {}}

    _stream_update = _stream_create

    def _stream_info(self, tokens: list[str], body: Any, reply: str) -> Any:
        found: dict[str, int] = {}
        for subject, _ in self.msgs.values():
            if matches(body.get("subjects_filter", ""), subject):
                found[subject] = found.get(subject, 0) + 1
        state = {"subjects": found, "last_seq": self.last, "messages": len(self.msgs)}
        return {"config": {"name": STREAM}, "state": state, "total": len(found)}

    def _stream_delete(self, tokens: list[str], body: Any, reply: str) -> Any:
        return {"success": True}

    def _stream_purge(self, tokens: list[str], body: Any, reply: str) -> Any:
        subject, before = body.get("filter", ">"), body.get("seq", self.last + 1)
        found = [s for s, (name, _) in self.msgs.items() if matches(subject, name) and s < before]
        self.remove(found)
        return {"success": True, "purged": len(found)}

    def _stream_msg_get(self, tokens: list[str], body: Any, reply: str) -> Any:
        subject = body.get("last_by_subj") or body["next_by_subj"]
        first = body.get("seq", 0)
        found = [s for s, (name, _) in self.msgs.items() if matches(subject, name) and s >= first]
        if not found:
            return NO_MESSAGE
        seq = found[-1] if "last_by_subj" in body else found[0]
        subject, data = self.msgs[seq]
        headers = b""
        if seq in self.replaced:
            headers = encode_headers({Header.EXPECTED_LAST_SUBJECT_SEQUENCE: self.replaced[seq]})
        return {
            "message": {
                "subject": subject,
                "seq": seq,
                "hdrs": _base64(headers),
                "data": _base64(data),
                "time": from_datetime(to_datetime(TIME + seq)),
            }
        }

    def _stream_msg_delete(self, tokens: list[str], body: Any, reply: str) -> Any:
        self.remove([body["seq"]])
        return {"success": True}

    # -- consumers

    def _consumer_create(self, tokens: list[str], body: Any, reply: str) -> Any:
        config = body["config"]
        subject = config.get("filter_subject", ">")
        queue = [seq for seq, (name, _) in self.msgs.items() if matches(subject, name)]
        match config["deliver_policy"]:
            case "by_start_sequence":
                queue = [seq for seq in queue if seq >= config["opt_start_seq"]]
            case "last_per_subject":
                last = {self.msgs[seq][0]: seq for seq in queue}
                queue = sorted(last.values())
            case "new":
                queue = []
        consumer = self.consumers[config["name"]] = Consumer(config["name"], subject, queue)
        return self._info(consumer)

    def _info(self, consumer: Consumer) -> Any:
        return {**CONSUMER, "name": consumer.name, "num_pending": len(consumer.queue)}

    def _consumer_info(self, tokens: list[str], body: Any, reply: str) -> Any:
        consumer = self.consumers.get(tokens[-1])
        return self._info(consumer) if consumer else NO_CONSUMER

    def _consumer_delete(self, tokens: list[str], body: Any, reply: str) -> Any:
        return {"success": self.consumers.pop(tokens[-1], None) is not None}

    def _consumer_msg_next(self, tokens: list[str], body: Any, reply: str) -> Any:
        consumer = self.consumers.get(tokens[-1])
        if consumer is not None:
            consumer.waiting.append(reply)
            self._deliver(consumer)

    def _deliver(self, consumer: Consumer) -> None:
        """One message to each request and as long as there are any: bounds are not looked at."""
        while consumer.queue and consumer.waiting:
            seq = consumer.queue.pop(0)
            consumer.delivered += 1
            subject, data = self.msgs[seq]
            ack = f"$JS.ACK.{STREAM}.{consumer.name}.1.{seq}.{consumer.delivered}.{TIME + seq}"
            reply = f"{ack}.{len(consumer.queue)}"
            msg = Msg(subject, data, reply)
            for subscription in list(self.bus._hub.subscriptions):
                if matches(subscription.subject, consumer.waiting[-1]):
                    subscription.deliver([msg])  # on its own subject, as a server delivers it


def _base64(data: bytes) -> str:
    from base64 import b64encode

    return b64encode(data).decode()


@asynccontextmanager
async def bucket(**options: Any) -> AsyncIterator[tuple[ObjectStore, Bucket]]:
    """A bucket, and the stream behind it."""
    name = unique()
    one, other = LocalBus(name), LocalBus(name)
    stream = Bucket(other)
    await stream.open()
    try:
        yield ObjectStore(JetStreamContext(one, **options), BUCKET), stream
    finally:
        await one.close()
        await other.close()
