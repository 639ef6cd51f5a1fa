"""The servers that a client may connect to: those it was given, and those it learns of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from random import Random
from urllib.parse import SplitResult, unquote, urlsplit

from agents_core.errors import AgentsError, AuthorizationError, TransportError, Unsupported

PORTS = {"nats": 4222, "tls": 4222, "ws": 80, "wss": 443}
"""The schemes that a NATS server speaks, and the port each has by default."""

LEARNED_MAX = 256
"""Addresses taken from one INFO; a cluster is smaller."""


def split_urls(servers: str | Iterable[str]) -> list[str]:
    """The URLs of a text with commas between them, or of a list.

    Raises:
        TransportError: one is no text.
    """
    if isinstance(servers, str):
        servers = servers.split(",")
    urls = list(servers) if isinstance(servers, Iterable) else [servers]
    for url in urls:
        if not isinstance(url, str):
            raise TransportError("servers", f"a URL is a text, not {type(url).__name__}")
    return [url.strip() for url in urls]


def parse_url(text: str) -> SplitResult:
    """A server's URL; `localhost:4222` means `nats://localhost:4222`.

    Raises:
        Unsupported: the scheme is not one of nats, tls, ws, wss.
        TransportError: it is no URL of a server.
    """
    if "://" not in text:
        text = f"nats://{text}"
    try:
        url = urlsplit(text)
        host, port = url.hostname, url.port
        behind = url._replace(scheme="", netloc="").geturl()
        if "@" in (behind if url.scheme in {"nats", "tls"} else url.fragment):
            raise ValueError  # a password with a slash, taken for a path
    except ValueError:  # whose words may repeat a part of the password
        reason = "host or port can't be read; percent-encode user and password"
        _, at, shown = text.rpartition("@")
        before, _, digits = shown.rpartition(":")
        if not (at or digits.isdecimal()):  # but a password, up to a comma in it
            shown = before
        raise TransportError(shown, reason) from None
    if url.scheme not in PORTS:
        raise Unsupported(f"the scheme {url.scheme}://", f"use one of {', '.join(PORTS)}")
    if not host:
        raise TransportError(text.rpartition("@")[2], "a server URL has a host")
    if port is None and url.scheme in {"nats", "tls"}:
        url = url._replace(netloc=f"{url.netloc.removesuffix(':')}:{PORTS[url.scheme]}")
    return url


def public(url: SplitResult) -> str:
    """The URL without credentials, for errors, logs and people."""
    return url._replace(netloc=url.netloc.rpartition("@")[2]).geturl()


def credentials(url: SplitResult) -> dict[str, str]:
    """What the URL's user part means: `user:password@`, or `token@`."""
    if url.username is None:
        return {}
    if url.password is None:
        return {"auth_token": unquote(url.username)}
    return {"user": unquote(url.username), "pass": unquote(url.password)}


@dataclass(slots=True, eq=False)
class Server:
    """One server of the pool, and how it went with it; named as in nats-py.

    Attributes:
        uri: where it is; may hold credentials, so it is in no `repr`.
        learned: the cluster named it, not the user.
        reconnects: attempts since it answered last.
        tls_name: the name to check in its certificate instead of its address.
        refusal: the last authorization error; the same one twice in a row is final.
    """

    uri: SplitResult = field(repr=False)
    learned: bool = False
    reconnects: int = 0
    tls_name: str = ""
    refusal: str = ""

    @property
    def url(self) -> str:
        """The URL without credentials."""
        return public(self.uri)


class Servers:
    """The pool. The first is tried first; a server that was tried goes to the end.

    Args:
        urls: the servers given by the user, never removed by what the cluster says.
        shuffle: in random order, so that clients spread over a cluster.
        rng: the randomness for it.
    """

    def __init__(self, urls: Sequence[str], *, shuffle: bool, rng: Random) -> None:
        self._shuffle, self._rng = shuffle, rng
        self._pool: list[Server] = []
        self.replace(urls)

    def __len__(self) -> int:
        return len(self._pool)

    def __iter__(self) -> Iterator[Server]:
        """Every known server, in the order of the next attempts."""
        return iter(list(self._pool))

    @property
    def urls(self) -> list[str]:
        """Their URLs, without credentials."""
        return [server.url for server in self._pool]

    def replace(self, urls: Sequence[str]) -> None:
        """Take these instead of all that were known, learned ones included (ADR-40).

        A text is one, or several with commas, as for `connect`.

        Of one that stays the attempts stay counted, as in nats-py.

        Raises:
            TransportError: none was given, or one is no URL; then nothing is changed.
            Unsupported: a scheme that no NATS server speaks.
        """
        uris = [parse_url(url) for url in split_urls(urls)]
        if not uris:
            raise TransportError("", "no server was given")
        counts = {server.url: server.reconnects for server in self._pool}
        self._pool = [Server(uri, reconnects=counts.get(public(uri), 0)) for uri in uris]
        if self._shuffle:
            self._rng.shuffle(self._pool)

    def next(self) -> Server:
        """The server to try now; it moves to the end of the pool."""
        self.take(self._pool[0])
        return self._pool[-1]

    def take(self, server: Server) -> None:
        """Have this one tried now: it moves to the end of the pool."""
        self._pool = [*(s for s in self._pool if s is not server), server]

    def failed(self, server: Server, error: Exception, limit: int, *, patient: bool) -> None:
        """An attempt failed: a server that was tried `limit` times in a row is given up.

        A negative limit means never. Unless `patient`, the same refusal twice in a row is final,
        too: more attempts would only look like an attack (ADR-40).
        """
        text = error.text if isinstance(error, AuthorizationError) else ""
        refused = bool(text) and text == server.refusal and not patient
        if refused or 0 <= limit <= server.reconnects:
            self._pool = [s for s in self._pool if s is not server]
        server.refusal = text

    def learn(self, addresses: Iterable[object], current: Server) -> list[str]:
        """Take the `connect_urls` of INFO and return those that are new.

        Learned ones that are no longer named are dropped, those the user gave never.
        They come as host:port, and are reached the way the current server is: its scheme,
        credentials, path and query. What is no address is passed over.
        """
        found: dict[str, SplitResult] = {}
        for address in islice((a for a in addresses if isinstance(a, str)), LEARNED_MAX):
            with suppress(AgentsError):
                uri = _sibling(current.uri, address)
                found[public(uri)] = uri
        self._pool = [s for s in self._pool if not s.learned or s is current or s.url in found]
        known = set(self.urls)
        fresh = [
            Server(u, True, 0, _tls_name(u, current)) for t, u in found.items() if t not in known
        ]
        if self._shuffle:
            self._rng.shuffle(fresh)
        self._pool += fresh
        return [server.url for server in fresh]


def _sibling(uri: SplitResult, address: str) -> SplitResult:
    """Another member of the same cluster."""
    user, at, _ = uri.netloc.rpartition("@")
    other = parse_url(f"{uri.scheme}://{user}{at}{address}")
    return other._replace(path=uri.path, query=uri.query)


def _tls_name(uri: SplitResult, current: Server) -> str:
    """Servers name one another by address, their certificates by name: theirs is the current's."""
    name = current.tls_name or current.uri.hostname or ""
    return name if _is_address(uri.hostname or "") and not _is_address(name) else ""


def _is_address(host: str) -> bool:
    return ":" in host or host.replace(".", "").isdigit()
