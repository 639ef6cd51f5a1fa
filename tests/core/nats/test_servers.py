"""The pool of servers: URLs, credentials, learning and forgetting."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from agents_core.errors import AgentsError, AuthorizationError, TransportError, Unsupported
from agents_core.nats.servers import (
    LEARNED_MAX,
    Servers,
    credentials,
    parse_url,
    public,
    split_urls,
)


def pool(*urls: str) -> Servers:
    return Servers(urls, shuffle=False, rng=Random(1))


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("localhost", "nats://localhost:4222"),
        ("localhost:1", "nats://localhost:1"),
        ("nats://u:p@localhost:", "nats://u:p@localhost:4222"),
        ("tls://[::1]", "tls://[::1]:4222"),
        ("ws://localhost/path?query=1", "ws://localhost/path?query=1"),
        ("wss://localhost", "wss://localhost"),
    ],
)
def test_urls(text: str, url: str) -> None:
    assert parse_url(text).geturl() == url


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("http://localhost", Unsupported),
        ("nats://", TransportError),
        ("nats://u:secret@", TransportError),
        ("nats://u:secret@host:port", TransportError),
        ("nats://u:secret@host:99999", TransportError),
        ("nats://u:secret/1@host", TransportError),
        ("nats://u:1/secret@host", TransportError),
        ("nats://u:1#secret@host", TransportError),
        ("ws://u:1#secret@host", TransportError),
        ("nats://u:secret", TransportError),  # what is before a comma in a password
        ("nats://[::1", TransportError),
    ],
)
def test_what_is_no_url_of_a_server(text: str, error: type[AgentsError]) -> None:
    with pytest.raises(error) as caught:
        parse_url(text)
    assert "secret" not in str(caught.value)


def test_credentials_are_in_no_public_url() -> None:
    url = parse_url("wss://u%40:p%3A@host/x")
    assert public(url) == "wss://host/x"
    assert credentials(url) == {"user": "u@", "pass": "p:"}
    assert credentials(parse_url("token@host")) == {"auth_token": "token"}
    assert credentials(parse_url("u:@host")) == {"user": "u", "pass": ""}
    assert credentials(parse_url("host")) == {}


@pytest.mark.parametrize("url", [None, 5, b"nats://u:secret@host"])
def test_a_url_that_is_no_text(url: Any) -> None:
    with pytest.raises(TransportError, match=r"^servers: a URL is a text, not \w+$"):
        pool(url)


@pytest.mark.parametrize("servers", [None, 5, b"nats://host"])
def test_servers_that_are_no_texts(servers: Any) -> None:
    with pytest.raises(TransportError, match=r"^servers: a URL is a text, not \w+$"):
        split_urls(servers)


def test_several_urls() -> None:
    assert split_urls("one, two ,three") == ["one", "two", "three"]
    assert split_urls(["one ", "two"]) == ["one", "two"]


def test_no_server_at_all() -> None:
    with pytest.raises(TransportError, match="no server was given"):
        pool()


def test_servers_are_taken_in_turn() -> None:
    servers = pool("a", "b", "c")
    assert [servers.next().uri.hostname for _ in range(4)] == ["a", "b", "c", "a"]
    first = servers.next()
    servers.failed(first, TransportError("a", "refused"), 0, patient=False)
    assert len(servers) == 2
    assert servers.urls == ["nats://c:4222", "nats://a:4222"]


def test_shuffling_is_by_the_given_randomness() -> None:
    urls = [f"h{index}" for index in range(20)]
    first, second = (Servers(urls, shuffle=True, rng=Random(7)).urls for _ in range(2))
    assert first == second != pool(*urls).urls


def test_learned_servers_come_and_go_and_given_ones_stay() -> None:
    servers = pool("a", "b")
    current = servers.next()
    fresh = servers.learn(["a:4222", "c:1", "d:2"], current)
    assert sorted(fresh) == ["nats://c:1", "nats://d:2"]
    assert servers.learn(["c:1"], current) == []
    assert sorted(servers.urls) == ["nats://a:4222", "nats://b:4222", "nats://c:1"]
    learned = next(s for s in (servers.next() for _ in range(3)) if s.learned)
    assert servers.learn([], learned) == []
    assert "nats://c:1" in servers.urls  # the one in use stays
    assert servers.learn([], current) == []
    assert sorted(servers.urls) == ["nats://a:4222", "nats://b:4222"]


def test_learned_servers_are_reached_as_the_current_one() -> None:
    servers = pool("wss://u:p@a/path?q=1")
    current = servers.next()
    assert servers.learn(["b:443"], current) == ["wss://b:443/path?q=1"]
    servers.next()
    learned = servers.next()
    assert credentials(learned.uri) == {"user": "u", "pass": "p"}


def test_what_is_no_address_is_passed_over() -> None:
    servers = pool("a")
    current = servers.next()
    learned = servers.learn(["b:1", 7, None, "", "c:99999", "[::1"], current)
    assert learned == ["nats://b:1"]


def test_no_more_are_learned_than_a_cluster_has() -> None:
    servers = pool("a")
    current = servers.next()
    for step in range(3):
        servers.learn([f"h{step}-{index}:1" for index in range(LEARNED_MAX + 10)], current)
        assert len(servers) == LEARNED_MAX + 1


def test_another_pool_takes_over_the_counts_of_those_that_stay() -> None:
    servers = pool("a", "b")
    current = servers.next()
    servers.learn(["c:1"], current)
    current.reconnects = 5
    servers.replace(["nats://x:y@a", "d"])
    assert servers.urls == ["nats://a:4222", "nats://d:4222"]
    assert [server.reconnects for server in servers] == [5, 0]
    servers.learn(["c:1"], current)  # who is connected to a server that is no longer wanted
    assert servers.urls == ["nats://a:4222", "nats://d:4222", "nats://c:1"]
    with pytest.raises(Unsupported):
        servers.replace(["e", "http://f"])
    with pytest.raises(TransportError, match="no server was given"):
        servers.replace([])
    assert len(servers) == 3


def test_another_pool_is_shuffled_like_the_first() -> None:
    urls = [f"h{index}" for index in range(20)]
    servers = Servers(["a"], shuffle=True, rng=Random(7))
    servers.replace(urls)
    assert sorted(servers.urls) == sorted(pool(*urls).urls)
    assert servers.urls != pool(*urls).urls


def test_learned_servers_are_shuffled_only_where_the_given_ones_are() -> None:
    addresses = [f"h{index}:1" for index in range(20)]
    wanted = [f"nats://{address}" for address in addresses]
    for shuffle in (False, True):
        servers = Servers(["a"], shuffle=shuffle, rng=Random(7))
        servers.learn(addresses, servers.next())
        assert (servers.urls[1:] == wanted) is not shuffle
        assert sorted(servers.urls[1:]) == sorted(wanted)


@pytest.mark.parametrize(
    ("current", "learned", "name"),
    [
        ("tls://nats.example", "10.0.0.2:4222", "nats.example"),
        ("tls://nats.example", "[2001:db8::2]:4222", "nats.example"),
        ("tls://nats.example", "two.example:4222", ""),
        ("tls://10.0.0.1", "10.0.0.2:4222", ""),
    ],
)
def test_a_server_that_is_learned_by_address_has_the_certificate_of_the_others(
    current: str, learned: str, name: str
) -> None:
    servers = pool(current)
    servers.learn([learned], servers.next())
    servers.next()
    found = servers.next()
    assert found.tls_name == name
    servers.learn([learned, "10.0.0.3:4222"], found)  # also when it is learned from a learned one
    last = next(server for server in servers if "10.0.0.3" in server.url)
    assert last.tls_name == (name or ("two.example" if "two" in learned else ""))


@pytest.mark.parametrize(
    ("limit", "patient", "left"), [(-1, False, 0), (-1, True, 1), (3, True, 0)]
)
def test_who_is_given_up(limit: int, patient: bool, left: int) -> None:
    servers = pool("a")
    server = servers.next()
    for attempt in range(1, 4):
        server.reconnects = attempt
        servers.failed(server, AuthorizationError("no"), limit, patient=patient)
    assert len(servers) == left


def test_a_server_shows_no_credentials() -> None:
    servers = pool("nats://user:secret@a")
    assert "secret" not in repr(servers.next())
    assert servers.next().url == "nats://a:4222"
