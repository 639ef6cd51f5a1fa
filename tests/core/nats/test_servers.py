"""The pool of servers: URLs, credentials, learning and forgetting."""

from __future__ import annotations

from random import Random

import pytest

from agents_core.errors import AgentsError, TransportError, Unsupported
from agents_core.nats.servers import LEARNED_MAX, Servers, credentials, parse_url, public


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
