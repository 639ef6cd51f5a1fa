"""The servers that a client may connect to: those it was given, and those it learns of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from random import Random
from urllib.parse import SplitResult, unquote, urlsplit

from agents_core.errors import AgentsError, AuthorizationError, TransportError, Unsupported

PORTS = {"nats": 4222, "tls": 4222, "ws": 80, "wss": 443}
"""The schemes that a NATS server speaks, and the port each has by default."""

LEARNED_MAX = 256
"""Addresses taken from one INFO; a cluster is smaller."""


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
        if "@" in url._replace(scheme="", netloc="").geturl() and url.scheme in {"nats", "tls"}:
            raise ValueError  # a password with a slash, taken for a path
    except ValueError:  # whose words may repeat a part of the password
        reason = "host or port can't be read; percent-encode user and password"
        raise TransportError(text.rpartition("@")[2], reason) from None
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


@dataclass(slots=True)
class Server:
    """One server, and how it went with it."""

    url: SplitResult
    learned: bool = False
    attempts: int = 0
    refusal: str = ""
    """The last authorization error; the same one twice in a row is final."""


class Servers:
    """The pool. The first is tried first; a server that was tried goes to the end.

    Args:
        urls: the servers given by the user, never removed by what the cluster says.
        shuffle: in random order, so that clients spread over a cluster.
        rng: the randomness for it.
    """

    def __init__(self, urls: Sequence[str], *, shuffle: bool, rng: Random) -> None:
        self._pool = [Server(parse_url(url)) for url in urls]
        if not self._pool:
            raise TransportError("", "no server was given")
        self._rng = rng
        if shuffle:
            rng.shuffle(self._pool)

    def __len__(self) -> int:
        return len(self._pool)

    @property
    def urls(self) -> list[str]:
        """Every known server, in the order of the next attempts."""
        return [public(server.url) for server in self._pool]

    def next(self) -> Server:
        """The server to try now; it moves to the end of the pool."""
        server = self._pool.pop(0)
        self._pool.append(server)
        return server

    def failed(self, server: Server, error: AgentsError, limit: int) -> None:
        """An attempt failed: a server that was tried `limit` times in a row is given up.

        The same refusal twice in a row is final, too: more attempts would only look like an attack
        (ADR-40). A negative limit means never.
        """
        text = error.text if isinstance(error, AuthorizationError) else ""
        if (text and text == server.refusal) or 0 <= limit <= server.attempts:
            self._pool.remove(server)
        server.refusal = text

    def remove(self, server: Server) -> None:
        """Never try this one again."""
        self._pool.remove(server)

    def learn(self, addresses: Iterable[object], current: Server) -> list[str]:
        """Take the `connect_urls` of INFO and return those that are new.

        Learned ones that are no longer named are dropped, those the user gave never.
        They come as host:port, and are reached the way the current server is: its scheme,
        credentials, path and query. What is no address is passed over.
        """
        found: dict[str, SplitResult] = {}
        for address in islice((a for a in addresses if isinstance(a, str)), LEARNED_MAX):
            with suppress(AgentsError):
                url = _sibling(current.url, address)
                found[public(url)] = url
        self._pool = [
            s for s in self._pool if not s.learned or s is current or public(s.url) in found
        ]
        known = set(self.urls)
        fresh = [url for text, url in found.items() if text not in known]
        self._rng.shuffle(fresh)
        self._pool += [Server(url, learned=True) for url in fresh]
        return [public(url) for url in fresh]


def _sibling(url: SplitResult, address: str) -> SplitResult:
    """Another member of the same cluster."""
    user, at, _ = url.netloc.rpartition("@")
    other = parse_url(f"{url.scheme}://{user}{at}{address}")
    return other._replace(path=url.path, query=url.query)
