"""How a client connects and behaves; names are nats-py's where nats-py has them."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from math import isnan
from random import Random, SystemRandom
from typing import Any

from agents_core.errors import CredentialsUnavailable, TransportError
from agents_core.nats.auth import Identity
from agents_core.nats.callbacks import check_callback
from agents_core.nats.servers import Server
from agents_core.nats.transport import TLS, Dialer
from agents_core.timers import check_seconds
from agents_core.version import VERSION

Notify = Callable[[], "Awaitable[None] | None"]
NotifyError = Callable[[Exception], "Awaitable[None] | None"]
ReconnectToServerHandler = Callable[[list[Server], dict[str, Any]], "tuple[Server | None, float]"]
"""Given copies of the pool and the newest INFO: the server to try next, or None for the first of
them, and the seconds to wait before."""

CALLBACKS = (
    "error_cb",
    "disconnected_cb",
    "reconnected_cb",
    "closed_cb",
    "discovered_server_cb",
    "lame_duck_mode_cb",
    "reconnect_to_server_handler",
)
"""The options that are called by the client."""

SECONDS = ("connect_timeout", "reconnect_time_wait", "ping_interval", "drain_timeout")
COUNTS = ("max_reconnect_attempts", "max_outstanding_pings", "pending_size")

_log = logging.getLogger("agents_core")


def log_error(error: Exception) -> None:
    """Say what no call can raise, and where it was raised; a failed attempt the status says."""
    level = logging.DEBUG if isinstance(error, TransportError) else logging.WARNING
    secret = isinstance(error, CredentialsUnavailable)  # its cause may name one
    trace = None if secret or error.__traceback__ is None else error
    _log.log(level, "%s", error, exc_info=trace)


@dataclass(slots=True, kw_only=True)
class Options(Identity):
    """Everything that `connect` takes: this, and the credentials of `Identity`.

    Attributes:
        servers: URLs; several are the members of one cluster.
        name: shown by the server's monitoring.
        error_cb: told about errors that no call can raise: slow consumers, the server's -ERR, a
            raising callback. By default `log_error`; None for nobody.
        disconnected_cb, reconnected_cb, closed_cb: told when that happened.
        discovered_server_cb: told when a later INFO than the first named a server that was not
            known.
        lame_duck_mode_cb: told when the server is about to go.
        allow_reconnect: come back after a loss.
        connect_timeout: seconds for one attempt, from dialling to the server's PONG.
        reconnect_time_wait: the longest pause between attempts in seconds; the first attempt is
            immediate.
        max_reconnect_attempts: per server before it is given up; -1 for never.
        retry_on_failed_connect: `connect` returns although no server answers, and goes on trying.
        reconnect_to_server_handler: called before each attempt to come back, instead of taking the
            servers in turn with a pause per round (ADR-40).
        ignore_cluster_updates: keep to the servers given, whatever others the cluster names; for
            where those can't be reached from here (ADR-40; nats.js's name).
        ignore_auth_error_abort: go on trying a server that refuses the same credentials again and
            again; without it the second time is final (nats.js's name).
        ping_interval: seconds of silence after which the server is asked whether it lives.
        max_outstanding_pings: questions in a row, none answered, after which the connection counts
            as lost.
        dont_randomize: try the servers in the order given.
        no_echo: do not receive what this connection publishes.
        tls: an `ssl.SSLContext`, with which TLS is required. By default the platform's, and TLS
            where the URL or the server asks for it. Not in a browser, which has its own.
        tls_hostname: the name to check in the certificate instead of the URL's host.
        tls_handshake_first: TLS before INFO.
        skip_subject_validation: publish to whatever may stand in a control line, such as a subject
            with a wildcard, which the server takes and delivers to nobody.
        inbox_prefix: of reply subjects; make it private where permissions are per user.
        pending_size: bytes that may wait to be sent, while connected or not; then
            `OutboundBufferFull`.
        drain_timeout: seconds for `drain`.
        dialer: opens byte pipes; the platform's by default.
        rng: for jitter and shuffling; seed it in tests.

    Raises:
        InvalidCredentials: two of the credentials contradict one another.
        Unsupported: a callback can't be called.
        ValueError: what is to be a number is none, NaN included, or would leave no pause between
            two questions or attempts; the name is no text.
    """

    servers: Sequence[str] = field(default=("nats://127.0.0.1:4222",), repr=False)
    name: str = ""
    error_cb: NotifyError | None = log_error
    disconnected_cb: Notify | None = None
    reconnected_cb: Notify | None = None
    closed_cb: Notify | None = None
    discovered_server_cb: Notify | None = None
    lame_duck_mode_cb: Notify | None = None
    allow_reconnect: bool = True
    connect_timeout: float = 2.0
    reconnect_time_wait: float = 2.0
    max_reconnect_attempts: int = 60
    retry_on_failed_connect: bool = False
    reconnect_to_server_handler: ReconnectToServerHandler | None = None
    ignore_cluster_updates: bool = False
    ignore_auth_error_abort: bool = False
    ping_interval: float = 120.0
    max_outstanding_pings: int = 2
    dont_randomize: bool = False
    no_echo: bool = False
    tls: object | None = None
    tls_hostname: str = ""
    tls_handshake_first: bool = False
    skip_subject_validation: bool = False
    inbox_prefix: str | bytes = "_INBOX"
    pending_size: int = 2 * 1024 * 1024
    drain_timeout: float = 30.0
    dialer: Dialer | None = None
    rng: Random = field(default_factory=SystemRandom)

    def __post_init__(self) -> None:
        Identity.__post_init__(self)  # no `super()`, which a class with slots does not have
        for name in CALLBACKS:  # else it would be noticed when it is needed
            if (callback := getattr(self, name)) is not None:
                check_callback(callback)
        for name in SECONDS:
            check_seconds(getattr(self, name), name)
        for name in COUNTS:  # else the first loss of the connection would be the last
            if not isinstance(count := getattr(self, name), int | float) or isnan(count):
                raise ValueError(f"{name} is a number, not {count!r}")
        if self.ping_interval <= 0 or self.reconnect_time_wait < 0:
            raise ValueError("ping_interval is more than 0, reconnect_time_wait at least 0")
        if self.name and not isinstance(self.name, str):  # the server would close the connection
            raise ValueError(f"name is a text, not {self.name!r}")

    def tls_settings(self, name: str = "") -> TLS:
        """The part that a dialer needs; `name` is to be checked where the user gave none."""
        return TLS(self.tls, self.tls_hostname or name, self.tls_handshake_first)

    def connect_fields(self) -> dict[str, Any]:
        """The JSON of CONNECT, without the credentials.

        `headers` and `no_responders` go together, and 1 is the newest protocol that servers know:
        for anything else they close the connection.
        """
        return {
            "verbose": False,
            "pedantic": False,
            "lang": "python-agents-core",
            "version": VERSION,
            "protocol": 1,
            "headers": True,
            "no_responders": True,
            "echo": not self.no_echo,
            "name": self.name,
        }
