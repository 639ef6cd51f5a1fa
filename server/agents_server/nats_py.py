"""The bus over nats-py, the default for `nats://` and `tls://` on a server.

One nats-py client is one session here: it is told not to reconnect, and a lost session is replaced
by a new one on which every subscription is made anew. So what nats-py keeps over a reconnect, and
gets wrong there, is never used.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Sequence

from agents_core.bus import DONE, Callback, Status
from agents_core.errors import (
    AgentsError,
    ConnectionClosed,
    MaxPayloadExceeded,
    NotConnected,
    RequestTimeout,
)
from agents_core.nats.basebus import BaseBus
from agents_core.nats.callbacks import Callbacks
from agents_core.nats.headers import HeadersLike, encode_headers
from agents_core.nats.options import Options
from agents_core.nats.protocol import MAX_PAYLOAD_DEFAULT, check_publish
from agents_core.nats.subscription import Bounds, Subscription
from agents_server.nats_link import Link
from agents_server.nats_message import check_text, single
from agents_server.nats_outbox import Outbox
from agents_server.nats_session import Session
from agents_server.nats_subscriptions import NatsPySubscriptions

_log = logging.getLogger("agents_server.nats_py")


class NatsPyBus(BaseBus):
    """A bus on nats-py. See `agents_core.bus.Bus` for what each method promises.

    A header that is sent has one value here, as nats-py takes no more. A subject or a queue group
    that is not UTF-8 raises `Unsupported`.

    Args:
        options: as for our own client, but for `dialer`, which is not used.
    """

    def __init__(self, options: Options) -> None:
        super().__init__(Status.CONNECTING, options.inbox_prefix)
        self.options = options
        self._callbacks = Callbacks()
        self._ending: asyncio.Task[None] | None = None
        self._outbox = Outbox(options.pending_size, self._report)
        self._subscriptions = NatsPySubscriptions(self, self._outbox, self._report, self._stats)
        self._link = Link(
            options,
            status=self._status,
            stats=self._stats,
            timers=self._timers,
            callbacks=self._callbacks,
            outbox=self._outbox,
            subscriptions=self._subscriptions,
            requests=self._requests,
            on_refused=self._refused,
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
        return self._link.session is not None

    @property
    def max_payload(self) -> int:
        """Bytes of headers and payload that the server accepts."""
        session = self._link.session
        return session.max_payload if session else MAX_PAYLOAD_DEFAULT

    @property
    def servers(self) -> list[str]:
        """Every known server, without credentials, in the order of the next attempts."""
        return self._link.connector.servers.urls

    # -- connecting

    async def connect(self) -> None:
        """Open the first session, trying each server once.

        Raises:
            AgentsError: what the last attempt raised; with `retry_on_failed_connect` only if trying
                again changes nothing, see `auth.HOPELESS`.
            ConnectionClosed: it was closed meanwhile.
        """
        task = asyncio.current_task()
        assert task is not None
        cancels = task.cancelling()
        try:
            await self._link.open()
            if task.cancelling() > cancels:  # nats-py may have swallowed it
                raise asyncio.CancelledError
        except BaseException:
            await self.close()
            raise
        if self.status is Status.CLOSED:
            raise ConnectionClosed(self.url)

    def set_server_pool(self, servers: Sequence[str]) -> None:
        """Replace the known servers, learned ones included, for reconnects from now on.

        The connection that there is goes on; `force_reconnect` leaves it. As in nats-py (ADR-40).

        Raises:
            TransportError: none was given, or one is no URL of a server.
            Unsupported: a scheme that no NATS server speaks.
            ConnectionClosed: the bus is closed.
        """
        if self.status is Status.CLOSED:
            raise ConnectionClosed(self.url)
        self._link.connector.servers.replace(servers)

    async def force_reconnect(self) -> None:
        """Leave the server, after what was published has reached it, and connect anew.

        To the next one of the pool; also to take up new credentials. Who waits for a reply is told
        `NotConnected`. Does nothing while there is no connection, or with `allow_reconnect=False`.
        A server that does not answer within `CHECK_S` is left all the same. As in nats-py (ADR-40).
        """
        await self._link.leave()

    async def suspend(self) -> None:
        """See `Bus.suspend`; without `allow_reconnect` it does nothing."""
        await self._link.suspend()

    async def resume(self) -> None:
        """See `Bus.resume`."""
        self._link.resume()

    # -- asking

    async def _listen(
        self, subject: str, cb: Callback | None, max_msgs: int, bounds: Bounds
    ) -> Subscription:
        """It takes a while here, in which no answer may have become possible."""
        subscription = await super()._listen(subject, cb, max_msgs, bounds)
        if not self.is_connected:
            subscription.end(NotConnected(self.url))
        if subscription.error is not None:
            raise subscription.error
        return subscription

    # -- sending, in order

    def publish(
        self,
        subject: str,
        payload: bytes = b"",
        reply: str = "",
        headers: HeadersLike | None = None,
    ) -> Awaitable[None]:
        """See `Bus.publish`.

        Raises:
            Unsupported: nats-py can't send these headers, or a subject that is not UTF-8.
        """
        if not self._status.is_live and self._link.session is None:
            raise ConnectionClosed(self.url)
        if type(payload) is not bytes:  # it is sent later: a buffer may be used again by then
            payload = bytes(memoryview(payload))
        size = len(payload) + (len(encode_headers(headers)) if headers else 0)
        loose = self.options.skip_subject_validation
        check_publish(subject, reply, size, self.max_payload, loose=loose)
        for text in (subject, reply):
            check_text(text)
        fields = single(headers) if headers else None

        def step(session: Session) -> Awaitable[None]:
            if size > session.max_payload:  # the server before took more
                raise MaxPayloadExceeded(size, session.max_payload)
            return session.publish(subject, payload, reply, fields)

        waiting = size + len(subject) + len(reply)
        self._outbox.check(waiting)
        self._outbox.do(step, waiting)
        self._stats.out_msgs += 1
        self._stats.out_bytes += len(payload)
        return DONE

    # -- barriers and ending

    async def ready(self) -> None:
        """See `Bus.ready`."""
        await self._outbox.ready()

    async def flush(self, timeout: float = 10.0) -> None:
        """See `Bus.flush`."""
        await self._link.flush(timeout)

    async def _drain(self) -> None:
        """Without a session what has arrived is handled, too; what waits can't be sent."""
        self._status.set(Status.DRAINING)
        seconds = self.options.drain_timeout
        try:
            async with self._timers.timeout(seconds):
                await self._subscriptions.drain(self._requests.owns, lambda: self.flush(seconds))
                if self._link.session is not None or len(self._outbox):
                    await self.flush(seconds)
        except AgentsError as error:
            self._report(error)
        except TimeoutError:
            self._report(RequestTimeout("drain", seconds))
        await self.close()

    async def close(self) -> None:
        """See `Bus.close`; whoever gives up waiting, it is done, and a second call waits for it."""
        if self.status is Status.CLOSED:
            if self._ending is not None:
                await asyncio.shield(self._ending)
            return
        self._status.set(Status.CLOSED)
        self._requests.fail_all(ConnectionClosed(self.url))
        self._subscriptions.close()
        self._timers.close()
        self._ending = asyncio.get_running_loop().create_task(self._end())
        spared = self._subscriptions.spared
        try:
            await asyncio.shield(self._ending)
            await self._callbacks.settle(self.options.connect_timeout, spared)
        finally:
            self._callbacks.cancel(spared)

    async def _end(self) -> None:
        """What `close` has to wait for."""
        await self._link.close()
        self._callbacks.call(self.options.closed_cb)

    def _report(self, error: Exception) -> None:
        """Tell the user what no call can raise."""
        _log.info("%s", error)
        self._callbacks.call(self.options.error_cb, error)
