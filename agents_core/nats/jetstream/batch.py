"""Several messages stored as one: all of them, or none (ADR-50, server 2.12)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

from agents_core.errors import NoResponders, OutboundBufferFull
from agents_core.ids import unique
from agents_core.nats.headers import HeadersLike, with_all_values
from agents_core.nats.jetstream.api import API
from agents_core.nats.jetstream.errors import BatchEnded, InvalidAnswer, NoStreamResponse
from agents_core.nats.jetstream.header import Header
from agents_core.nats.jetstream.publish import (
    PubAck,
    PublishOptions,
    check_last,
    publish_headers,
    read_ack,
)

ACK_EVERY = 100
"""Every so many messages the server is asked whether it has them, so that an error does not wait
for the end; each time costs a round trip."""

COMMIT = "1"
COMMIT_WITHOUT = "eob"


class AtomicBatch:
    """A batch under way: `add` messages, then `commit`. Made by `js.atomic_batch()`.

    The stream needs `allow_atomic`. The server gives up a batch that waits longer than 10 s for its
    next message, and takes at most 1,000 messages in one.

    Attributes:
        id: the server's name for it.
    """

    def __init__(self, api: API) -> None:
        self.id = unique()
        self._api = api
        self._sequence = 0
        self._subject = ""
        self._ended = False

    def __len__(self) -> int:
        return self._sequence

    async def add(
        self,
        subject: str,
        payload: bytes = b"",
        headers: HeadersLike | None = None,
        msg_ttl: float | str | None = None,
        **options: Unpack[PublishOptions],
    ) -> None:
        """One more message; the arguments are those of `publish`.

        Raises:
            BatchEnded: it was committed, or an error ended it.
            NoStreamResponse: no stream stores this subject.
            APIError: the server refused the batch; nothing of it is stored.
            RequestTimeout, NotConnected: it is lost; nothing of it is stored.
        """
        sent = self._next(subject, publish_headers(headers, None, msg_ttl, options))
        try:
            if self._sequence % ACK_EVERY == 1:
                if answer := await self._ask(subject, payload, sent):
                    read_ack(answer)
                    raise InvalidAnswer("an atomic batch", "acknowledged before its commit")
            else:
                await self._publish(subject, payload, sent)
        except BaseException:  # a payload that is no bytes, too: the number it had would be missing
            self._ended = True
            raise

    async def commit(
        self,
        subject: str | None = None,
        payload: bytes = b"",
        headers: HeadersLike | None = None,
        msg_ttl: float | str | None = None,
        **options: Unpack[PublishOptions],
    ) -> PubAck:
        """Store it all, with one last message, or without one if there is no subject.

        Without a last message it needs server 2.14.

        Returns:
            The acknowledgement; `seq` is that of the last message, `batch_size` their number.

        Raises:
            InvalidOption: there is something for a last message, but no subject.
            BatchEnded: it was committed, an error ended it, or there is nothing in it.
            WrongLastSequence: the stream is not as one of the messages expects.
            BatchIncomplete: the server has given it up.
            APIError: it was refused for another reason. Nothing of it is stored in these cases.
            RequestTimeout, NotConnected: the outcome is unknown.
        """
        found = publish_headers(headers, None, msg_ttl, options)
        check_last(subject, payload, found)
        how = COMMIT if subject else COMMIT_WITHOUT
        target = subject or self._subject
        if not target:
            raise BatchEnded()
        sent = self._next(target, found)
        self._ended = True
        return read_ack(await self._ask(target, payload, sent | {Header.BATCH_COMMIT: how}))

    def _next(self, subject: str, headers: HeadersLike | None) -> dict[str, str | Sequence[str]]:
        if self._ended:
            raise BatchEnded()
        self._sequence += 1
        self._subject = subject
        found = with_all_values(headers)
        found[Header.BATCH_ID] = self.id
        found[Header.BATCH_SEQUENCE] = str(self._sequence)
        return found

    async def _ask(self, subject: str, payload: bytes, headers: HeadersLike) -> bytes:
        try:
            msg = await self._api.bus.request(subject, payload, self._api.timeout, headers)
        except NoResponders:
            raise NoStreamResponse(subject) from None
        return msg.data

    async def _publish(self, subject: str, payload: bytes, headers: HeadersLike) -> None:
        try:
            self._api.bus.publish(subject, payload, headers=headers)
        except OutboundBufferFull:
            await self._api.bus.flush(self._api.timeout)
            self._api.bus.publish(subject, payload, headers=headers)
