"""Trying servers: the order, the pauses, who is given up, and the user's own choice."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any

import pytest

from agents_core.errors import AgentsError, AuthorizationError, CallbackCancelled, TransportError
from agents_core.nats import connector
from agents_core.nats.connector import Connector
from agents_core.nats.options import Options
from agents_core.nats.servers import Server


class Attempts:
    """A connector on servers that do what the test says, and a clock that only pauses move.

    It is what the connector knows of asyncio.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *servers: str, **options: Any) -> None:
        self.down: set[str] = set()
        self.error: Callable[[str], AgentsError] = lambda host: TransportError(host, "refused")
        self.tried: list[str] = []
        self.pauses: list[float] = []
        self.errors: list[Exception] = []
        self.now = 1000.0
        quiet = {"dont_randomize": True, "rng": Random(1)}
        made = Options(servers=servers, **(quiet | options))
        monkeypatch.setattr(connector, "asyncio", self)
        self.connector: Connector[str] = Connector(made, self.attempt, self.errors.append)

    async def attempt(self, server: Server) -> str:
        host = server.uri.hostname or ""
        self.tried.append(host)
        if host in self.down:
            raise self.error(host)
        return host

    Event = asyncio.Event

    async def wait_for(self, hurried: Coroutine[Any, Any, Any], seconds: float) -> None:
        """Nobody hurries: the pause is as long as it may be."""
        hurried.close()
        await self.sleep(seconds)
        raise TimeoutError

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds

    def time(self) -> float:
        return self.now

    def get_running_loop(self) -> Attempts:
        return self


async def test_at_first_each_is_tried_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Attempts(monkeypatch, "a", "b", "c")
    made.down = {"a", "b"}
    assert await made.connector.first() == "c"
    made.down = {"a", "b", "c"}
    made.tried.clear()
    with pytest.raises(TransportError, match="c: refused"):
        await made.connector.first()
    assert made.tried == ["a", "b", "c"]
    assert [str(error) for error in made.errors] == ["a: refused", "b: refused"] * 2
    assert made.pauses == []


async def test_a_pause_per_round_that_grows(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Attempts(monkeypatch, "a", "b", max_reconnect_attempts=5, reconnect_time_wait=0.3)
    made.down = {"a", "b"}
    assert await made.connector.again() is None
    assert made.tried == ["a", "b"] * 5
    assert len(made.pauses) == 5
    assert made.pauses[0] == 0
    for pause, most in zip(made.pauses[1:], (0.05, 0.1, 0.2, 0.3), strict=True):
        assert most / 2 <= pause <= most
    assert len(made.connector.servers) == 0


async def test_a_connection_that_lasted_begins_anew_and_one_that_did_not_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = Attempts(monkeypatch, "a", reconnect_time_wait=2.0)
    for _ in range(4):
        assert await made.connector.again() == "a"
    assert [pause > 0 for pause in made.pauses] == [False, True, True, True]
    made.now += 2.0
    assert await made.connector.again() == "a"
    assert made.pauses[-1] == 0


@pytest.mark.parametrize(("patient", "tries"), [(False, 2), (True, 60)])
async def test_the_same_refusal_again_is_final_unless_told_otherwise(
    monkeypatch: pytest.MonkeyPatch, patient: bool, tries: int
) -> None:
    made = Attempts(monkeypatch, "a", ignore_auth_error_abort=patient)
    made.down = {"a"}
    made.error = lambda _: AuthorizationError("Authorization Violation")
    assert await made.connector.again() is None
    assert len(made.tried) == tries


async def test_a_refusal_that_ended_a_connection_counts_as_the_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = Attempts(monkeypatch, "a")
    made.down = {"a"}
    made.error = lambda _: AuthorizationError("User Authentication Expired")
    (server,) = made.connector.servers
    made.connector.refused(server, AuthorizationError("User Authentication Expired"))
    assert await made.connector.again() is None
    assert made.tried == ["a"]


async def test_elsewhere_is_nowhere_when_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Attempts(monkeypatch, "a")
    assert await made.connector.elsewhere(made.connector.servers.next()) is None
    assert made.tried == []


async def test_elsewhere_each_other_is_tried_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Attempts(monkeypatch, "a", "b", "c", "d")
    current = made.connector.servers.next()
    made.down = {"b", "c"}
    assert await made.connector.elsewhere(current) == "d"
    made.down = {"b", "c", "d"}
    made.tried.clear()
    assert await made.connector.elsewhere(current) is None
    assert sorted(made.tried) == ["b", "c", "d"]


async def test_elsewhere_is_never_where_the_pool_says_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = Attempts(monkeypatch, "a", "b")
    current = made.connector.servers.next()
    sleep = made.sleep

    async def replace(_: float) -> None:
        monkeypatch.setattr(made, "sleep", sleep)
        made.connector.servers.replace(["a", "c"])

    monkeypatch.setattr(made, "sleep", replace)
    assert await made.connector.elsewhere(current) == "c"
    assert made.tried == ["c"]
    assert made.connector.servers.urls == ["nats://a:4222", "nats://c:4222"]


# -- the user's choice


async def test_the_handler_chooses_among_copies_and_sets_the_pause(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[tuple[list[str], dict[str, Any]]] = []

    def choose(servers: list[Server], about: dict[str, Any]) -> tuple[Server | None, float]:
        seen.append(([f"{s.uri.hostname} {s.reconnects}" for s in servers], about))
        servers[0].reconnects = 99  # a copy
        return (servers[-1], 0.5) if len(seen) < 3 else (None, -1.0)

    made = Attempts(monkeypatch, "a", "b", reconnect_to_server_handler=choose)
    made.connector.learn({"version": "1"}, made.connector.servers.next())
    made.down = {"a"}
    assert await made.connector.again() == "b"
    assert seen == [
        (["b 0", "a 0"], {"version": "1"}),
        (["b 0", "a 1"], {"version": "1"}),
        (["b 0", "a 2"], {"version": "1"}),
    ]
    assert made.pauses == [0.5, 0.5, 0.0]
    assert made.tried == ["a", "a", "b"]  # None is for the first of them


@pytest.mark.parametrize(
    "answer", [None, (None,), "abc", (Server(None), 1.0)], ids=["none", "short", "text", "unknown"]
)
async def test_a_handler_that_can_not_be_followed_is_reported(
    monkeypatch: pytest.MonkeyPatch, answer: Any
) -> None:
    def choose(_: list[Server], __: dict[str, Any]) -> Any:
        return answer

    made = Attempts(monkeypatch, "a", reconnect_to_server_handler=choose)
    assert await made.connector.again() == "a"
    assert len(made.errors) == 1


async def test_a_server_that_is_not_in_the_pool_is_not_dialled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def choose(servers: list[Server], _: dict[str, Any]) -> tuple[Server, float]:
        other = servers[0].uri._replace(netloc="user:secret@elsewhere:4222")
        return Server(other), 0.0

    made = Attempts(monkeypatch, "a", reconnect_to_server_handler=choose)
    assert await made.connector.again() == "a"
    assert [str(error) for error in made.errors] == [
        "nats://elsewhere:4222: the handler chose a server that is not in the pool"
    ]


async def test_a_pool_that_changes_during_the_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Attempts(monkeypatch, "a", reconnect_to_server_handler=lambda s, _: (s[0], 1.0))

    sleep = made.sleep

    async def replace(_: float) -> None:
        monkeypatch.setattr(made, "sleep", sleep)
        made.connector.servers.replace(["b"])

    monkeypatch.setattr(made, "sleep", replace)
    assert await made.connector.again() == "b"
    assert made.tried == ["b"]


async def test_the_handler_is_asked_for_a_way_out_too(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Attempts(
        monkeypatch, "a", "b", "c", reconnect_to_server_handler=lambda s, _: (s[-1], 0.25)
    )
    current = made.connector.servers.next()
    assert await made.connector.elsewhere(current) == "c"
    assert made.pauses == [0.25]


async def test_what_the_cluster_says_may_be_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    for ignore in (False, True):
        made = Attempts(monkeypatch, "a", ignore_cluster_updates=ignore)
        current = made.connector.servers.next()
        info = {"connect_urls": ["b:4222"]}
        assert made.connector.learn(info, current) is not ignore
        assert made.connector.learn(info, current) is False
        assert made.connector.info == info
        assert made.connector.learn({"connect_urls": "b:4222"}, current) is False
        assert len(made.connector.servers) == 2 - ignore


async def test_a_fault_that_has_no_name_does_not_end_the_reconnecting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = Attempts(monkeypatch, "a", "b")
    made.down = {"a"}
    made.error = lambda _: ValueError("a callback of the user's")  # type: ignore[assignment]
    assert await made.connector.again() == "b"
    assert [str(error) for error in made.errors] == ["a callback of the user's"]


async def test_a_cancellation_of_something_else_does_not_end_the_reconnecting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = Attempts(monkeypatch, "a", "b", reconnect_to_server_handler=lambda *_: stop())
    made.down = {"a"}

    def stop() -> tuple[Server | None, float]:
        raise asyncio.CancelledError

    made.error = lambda _: asyncio.CancelledError()  # type: ignore[assignment, return-value]
    assert await made.connector.again() == "b"
    assert [type(error) for error in made.errors] == [CallbackCancelled] * 3


async def test_reconnecting_can_be_cancelled() -> None:
    began = asyncio.Event()

    async def attempt(_: Server) -> str:
        began.set()
        return await asyncio.get_running_loop().create_future()

    errors: list[Exception] = []
    again = asyncio.create_task(Connector(Options(servers=["a"]), attempt, errors.append).again())
    await began.wait()
    again.cancel()
    await asyncio.wait([again])
    assert (again.cancelled(), errors) == (True, [])


async def test_a_hint_ends_the_pause() -> None:
    tried: list[int] = []

    async def attempt(server: Server) -> str:
        tried.append(server.reconnects)
        if len(tried) < 3:
            raise TransportError(server.url, "refused")
        return "made"

    options = Options(servers=["nats://a"], reconnect_time_wait=3600, max_reconnect_attempts=-1)
    patient: Connector[str] = Connector(options, attempt, lambda _: None)
    back = asyncio.create_task(patient.again())
    while not back.done():
        await asyncio.sleep(0)
        patient.hurry()
    assert await back == "made"
    assert len(tried) == 3
