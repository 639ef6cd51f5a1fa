"""The user's handle to NATS: subscriptions, requests, and a connection that comes back."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

from agents_core.bus import DONE, Stats, Status
from agents_core.errors import (
    AgentsError,
    ConnectionClosed,
    NotConnected,
    OutboundBufferFull,
    PermissionsViolation,
    RequestTimeout,
    SubscriptionRefused,
)
from agents_core.nats import faults
from agents_core.nats.basebus import BaseBus
from agents_core.nats.callbacks import Callbacks
from agents_core.nats.connection import Connection
from agents_core.nats.frames import (
    FRAME_BYTES,
    encode_publish,
    lengths,
    loose_targets,
    strict_targets,
)
from agents_core.nats.headers import HeadersLike
from agents_core.nats.link import Link
from agents_core.nats.options import Options
from agents_core.nats.outbox import Outbox
from agents_core.nats.parser import Arrival, Err, Info
from agents_core.nats.servers import split_urls
from agents_core.nats.status import StatusChanges
from agents_core.nats.subscriptions import ClientSubscriptions

if TYPE_CHECKING:
    from agents_core.nats.jetstream.context import JetStreamContext

PINGS_MAX = 10_000
"""Barriers that may wait for the server at once; more are refused."""


class Client(BaseBus):
    """A NATS client. Make one with `agents_core.nats.connect`.

    See `agents_core.bus.Bus` for what each method promises.
    """

    _subscriptions: ClientSubscriptions

    def __init__(self, options: Options) -> None:
        super().__init__(Status.CONNECTING, options.inbox_prefix)
        self.options = options
        self._callbacks = Callbacks()
        self._last_error: Exception | None = None
        self._targets = loose_targets if options.skip_subject_validation else strict_targets
        self._outbox = Outbox(options.pending_size, self._stats)
        self._subscriptions = ClientSubscriptions(self.flush, self._report, self._stats)
        self._link = Link(
            self,
            options,
            status=self._status,
            stats=self._stats,
            timers=self._timers,
            callbacks=self._callbacks,
            outbox=self._outbox,
            subscriptions=self._subscriptions,
            requests=self._requests,
            on_arrival=self._on_arrival,
            on_error=self._report,
            on_end=self.close,
        )

    # -- state

    @property
    def url(self) -> str:
        """The server in use, or the one tried last; without credentials."""
        return self._link.url

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection now; as in nats-py."""
        return self._link.connection is not None

    @property
    def is_reconnecting(self) -> bool:
        """Whether there is none, and one is sought; as in nats-py."""
        return self._status.value is Status.RECONNECTING

    @property
    def is_draining(self) -> bool:
        """Whether it ends, in order; as in nats-py."""
        return self._status.value is Status.DRAINING

    @property
    def is_closed(self) -> bool:
        """Whether it was closed for good; as in nats-py."""
        return self._status.value is Status.CLOSED

    @property
    def last_error(self) -> Exception | None:
        """What `error_cb` was told last: of a closed client, why; as in nats-py."""
        return self._last_error

    @property
    def server_info(self) -> dict[str, Any]:
        """What the server says of itself in INFO, such as its version; empty before the first."""
        return dict(self._link.connector.info)

    @property
    def stats(self) -> Stats:
        """Counters since the client was made."""
        self._outbox.frames.count()
        return self._stats

    @property
    def max_payload(self) -> int:
        """Bytes of headers and payload that the server accepts."""
        return self._outbox.max_payload

    @property
    def pending_data_size(self) -> int:
        """Bytes that wait to be sent, of the `pending_size` that may; as in nats-py.

        Of what was published in this turn of the event loop a good guess.
        """
        return self._outbox.frames.size

    @property
    def servers(self) -> list[str]:
        """Every known server, without credentials, in the order of the next attempts."""
        return self._link.connector.servers.urls

    def status_changes(self) -> StatusChanges:
        """Each change of status from now on: `async for status in nc.status_changes()`.

        It ends behind `Status.CLOSED`. Of more than `status.CHANGES_MAX` that were not read the
        oldest are forgotten.
        """
        return self._status.changes()

    # -- connecting

    async def connect(self) -> None:
        """Open the first connection, trying each server once.

        Raises:
            AgentsError: what the last server's attempt raised; with `retry_on_failed_connect` only
                if trying again changes nothing, see `auth.HOPELESS`.
        """
        try:
            await self._link.open()
        except BaseException:
            await self.close()
            raise

    async def __aenter__(self) -> Self:
        """As in nats-py: `async with await nats.connect(…) as nc:` closes it at the end."""
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def set_server_pool(self, servers: Sequence[str]) -> None:
        """Replace the known servers, learned ones included, for reconnects from now on.

        The connection that there is goes on; `force_reconnect` leaves it. As in nats-py (ADR-40).

        Raises:
            TransportError: none was given, or one is no URL of a server.
            Unsupported: a scheme that no NATS server speaks.
            ConnectionClosed: the client is closed.
        """
        if self.is_closed:
            raise ConnectionClosed(self.url)
        self._link.connector.servers.replace(servers)

    async def force_reconnect(self) -> None:
        """Leave the server, after what was written is on its way, and connect anew.

        To the next one of the pool; also to take up new credentials. Who waits for a reply is told
        `NotConnected`. Does nothing while there is no connection, or with `allow_reconnect=False`.
        As in nats-py (ADR-40).
        """
        self._link.leave()

    async def suspend(self) -> None:
        """See `Bus.suspend`; without `allow_reconnect` it does nothing."""
        await self._link.suspend()

    async def resume(self) -> None:
        """See `Bus.resume`."""
        self._link.resume()

    # -- arriving

    def _on_arrival(self, connection: Connection, arrival: Arrival) -> None:
        stats, subscription_of = self._stats, self._subscriptions.get
        for sid, msgs in arrival.batches:
            subscription = subscription_of(sid)
            if subscription is not None:  # else: it was under way when its subscription ended
                subscription.deliver(msgs)
            stats.in_msgs += len(msgs)
        stats.in_bytes += arrival.size
        for event in arrival.events:
            if isinstance(event, Info):
                self._link.inform(connection)
            elif isinstance(event, Err):
                self._on_err(event.text)

    def _on_err(self, text: str) -> None:
        """Whatever the text, closing is the server's decision.

        Many of these leave the connection open.
        """
        self._stats.errors_received += 1
        error = faults.classify(text)
        if isinstance(error, PermissionsViolation | SubscriptionRefused):
            self._refused(error)
        self._report(error)

    # -- publishing

    def publish(
        self,
        subject: str,
        payload: bytes = b"",
        reply: str = "",
        headers: HeadersLike | None = None,
    ) -> Awaitable[None]:
        """See `Bus.publish`."""
        # What most messages need is done here: to call anything would take as long as that does.
        frames = self._outbox.frames
        run = frames.run
        if run is not None:
            if (
                subject == run.subject
                and len(payload) == run.length
                and len(run) < run.most
                and not (reply or headers)
                and type(payload) is bytes
            ):
                run.append(payload)
                return DONE
            frames.end_run()
        size = len(payload)
        if size < frames.room and not headers and type(payload) is bytes:
            targets = self._targets
            target = targets.with_reply(subject, reply) if reply else targets[subject]
            frames.pieces += (target, lengths[size], payload, b"\r\n")
            frames.room -= size + FRAME_BYTES
            return DONE
        max_payload = self._outbox.max_payload
        frame = encode_publish(subject, payload, reply, headers, max_payload, self._targets)
        self._outbox.send(frame)
        self._stats.out_msgs += 1
        self._stats.out_bytes += size
        if not (reply or headers):
            frames.begin_run(subject, frame)
        return DONE

    async def ready(self) -> None:
        """See `Bus.ready`."""
        await self._outbox.ready()

    def jetstream(self, **options: Any) -> JetStreamContext:
        """JetStream over this connection; the options are those of `JetStreamContext`."""
        # Imported when it is used: it takes as long as all the rest, and a tab may not need it.
        from agents_core.nats.jetstream.context import JetStreamContext  # noqa: PLC0415

        return JetStreamContext(self, **options)

    # -- barriers and ending

    async def flush(self, timeout: float = 10.0) -> None:
        """See `Bus.flush`.

        Raises:
            OutboundBufferFull: too many barriers wait already.
        """
        if self.is_closed:
            raise ConnectionClosed(self.url)
        try:
            async with self._timers.timeout(timeout):
                connection = await self._link.settled()
                if connection is None:
                    raise NotConnected(self.url)
                if connection.unanswered >= PINGS_MAX:
                    raise OutboundBufferFull(PINGS_MAX, "barriers")
                other = self._subscriptions.other
                await connection.barrier()
                if other is not None:  # what ends has to have ended there, too
                    with suppress(NotConnected):
                        await other.barrier()
        except TimeoutError:
            raise RequestTimeout("PING", timeout) from None

    async def _drain(self) -> None:
        """Without a connection what has arrived is handled, too; what waits can't be sent."""
        seconds = self.options.drain_timeout
        try:
            async with self._timers.timeout(seconds):
                await self._link.settled()
                if self.is_closed:
                    return
                self._status.set(Status.DRAINING)
                await self._subscriptions.drain(self._requests.owns, lambda: self.flush(seconds))
                if self.is_connected or self.pending_data_size:
                    await self.flush(seconds)
        except AgentsError as error:
            self._report(error)
        except TimeoutError:
            self._report(RequestTimeout("drain", seconds))
        await self.close()

    async def close(self) -> None:
        """Close at once; what waits is dropped, and whoever waits is told."""
        if self.is_closed:
            return
        self._status.set(Status.CLOSED)
        self._link.close()
        self._outbox.close()
        self._requests.fail_all(ConnectionClosed(self.url))
        self._subscriptions.close()
        self._timers.close()
        self._callbacks.call(self.options.closed_cb)
        spared = self._subscriptions.spared
        try:  # all but waiting is done by now: whoever cancels this loses nothing
            await self._callbacks.settle(self.options.connect_timeout, spared)
        finally:
            self._callbacks.cancel(spared)

    def _report(self, error: Exception) -> None:
        """Tell the user what no call can raise."""
        self._last_error = error
        self._callbacks.call(self.options.error_cb, error)


async def connect(servers: str | Sequence[str] = "nats://127.0.0.1:4222", **options: Any) -> Client:
    """Connect to a NATS server, or to one of several that form a cluster.

    Args:
        servers: `nats://`, `tls://`, `ws://` or `wss://` URLs, with credentials if need be;
            comma-separated or a list. In a browser only the WebSocket ones.
        **options: the fields of `Options`, named as in nats-py.

    Raises:
        TransportError: no server could be reached.
        AuthorizationError: the server refused the credentials.
        InvalidCredentials: they can't be read, or contradict one another.
        Unsupported: this platform has no such scheme, or can't sign; or a callback can't be called.
        ValueError: an option has a value that it can't have, see `Options`.
    """
    client = Client(Options(servers=split_urls(servers), **options))
    await client.connect()
    return client
