"""An endpoint calls its handler, answers for it, and counts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from agents_core import LocalBus
from agents_core.errors import InvalidService, RequestTimeout, ServiceError
from agents_core.nats.micro.endpoint import Endpoint
from agents_core.nats.micro.request import Request, error_of
from agents_core.nats.micro.responses import EndpointInfo
from agents_core.nats.msg import Msg
from tests.core.nats.scripted import cancelled


@asynccontextmanager
async def endpoint(handler: Any) -> AsyncIterator[tuple[Endpoint, LocalBus]]:
    bus = LocalBus()
    found = Endpoint(EndpointInfo("e", "a.>", "q"), handler)
    await found.start(bus)
    yield found, bus
    await found.drain()
    await bus.close()


async def wait_a_turn(request: Request) -> None:
    await asyncio.sleep(0)
    request.respond(request.data)


class Awkward(Exception):
    def __repr__(self) -> str:
        raise ValueError


class Handler:
    async def __call__(self, request: Request) -> None:
        await wait_a_turn(request)


@pytest.mark.parametrize(
    "handler",
    [lambda r: r.respond(r.data), wait_a_turn, Handler()],
    ids=["plain", "coroutine", "object"],
)
async def test_requests_are_answered_and_counted(handler: Any) -> None:
    async with endpoint(handler) as (found, bus):
        for subject in ("a.b", "a.c"):
            assert (await bus.request(subject, b"x", 5)).data == b"x"
        await found.drain()  # an async handler's time is counted after its answer
        stats = found.stats()
        assert (stats.name, stats.subject, stats.queue_group) == ("e", "a.>", "q")
        assert (stats.num_requests, stats.num_errors, stats.last_error) == (2, 0, "")
        assert stats.average_processing_time == stats.processing_time // 2


async def test_processing_time_is_what_the_handler_took() -> None:
    async def slow(request: Request) -> None:
        await asyncio.sleep(0.02)
        request.respond()

    async with endpoint(slow) as (found, bus):
        await bus.request("a.b", timeout=5)
        await found.drain()
        assert found.stats().processing_time >= 19_000_000


@pytest.mark.parametrize(
    ("error", "code", "description"),
    [
        (ServiceError("404", "no such"), "404", "no such"),
        (ServiceError("not found", "no such"), "500", "ServiceError(code='not found', descri"),
        (ValueError("x\r\ny"), "500", r"ValueError('x\r\ny')"),
        (Awkward(), "500", "Awkward"),
        (ServiceError("400", ValueError("no")), "400", "no"),  # type: ignore[arg-type]
        (ServiceError("400", "\ud800 of\ntwo lines"), "400", r"\ud800 of two lines"),
        (ValueError("x" * 2_000_000), "500", "ValueError('xxx"),
    ],
    ids=["meant", "no code", "not meant", "without a text", "by an error", "odd", "long"],
)
@pytest.mark.parametrize("is_async", [False, True], ids=["plain", "coroutine"])
async def test_what_a_handler_raises_is_the_answer(
    error: Exception, code: str, description: str, is_async: bool
) -> None:
    def fail(_: Request) -> None:
        raise error

    async def fail_later(_: Request) -> None:
        raise error

    async with endpoint(fail_later if is_async else fail) as (found, bus):
        answer = error_of(await bus.request("a.b", timeout=5))
        assert answer is not None
        assert answer.code == code
        assert answer.description.startswith(description)
        stats = found.stats()
        assert (stats.num_requests, stats.num_errors) == (1, 1)
        assert stats.last_error == f"{code}:{answer.description}"


async def test_an_error_given_as_the_answer_counts_too_and_reset_forgets_it() -> None:
    async with endpoint(lambda request: request.respond_error("400", "no")) as (found, bus):
        await bus.request("a.b", timeout=5)
        assert (found.stats().num_errors, found.stats().last_error) == (1, "400:no")
        found.reset()
        stats = found.stats()
        assert (stats.num_requests, stats.num_errors, stats.last_error) == (0, 0, "")
        assert (stats.processing_time, stats.average_processing_time) == (0, 0)


@pytest.mark.parametrize("is_async", [False, True], ids=["plain", "coroutine"])
async def test_what_a_handler_waits_for_may_be_cancelled(is_async: bool) -> None:
    async def later(_: Request) -> None:
        await cancelled()

    async with endpoint(later if is_async else lambda _: cancelled().result()) as (found, bus):
        for _ in range(2):
            answer = error_of(await bus.request("a.b", timeout=5))
            assert answer is not None
            assert answer.code == "500"
        await found.drain()
        assert (found.stats().num_requests, found.stats().num_errors) == (2, 2)


async def test_a_coroutine_that_nobody_awaits_is_an_error() -> None:
    async with endpoint(lambda request: wait_a_turn(request) or None) as (_, bus):
        answer = error_of(await bus.request("a.b", timeout=5))
        assert answer is not None
        assert "coroutine" in answer.description


def test_what_can_not_be_called_is_no_handler() -> None:
    with pytest.raises(InvalidService, match="a function, plain or async"):
        Endpoint(EndpointInfo("e", "a"), "x")  # type: ignore[arg-type]


async def test_a_handler_that_raises_where_nobody_waits() -> None:
    def fail(_: Request) -> None:
        raise ServiceError("400", "no")

    async with endpoint(fail) as (found, bus):
        bus.publish("a.b")
        await bus.flush()
        assert found.stats().last_error == "400:no"


async def test_a_code_may_be_a_number() -> None:
    def fail(_: Request) -> None:
        raise ServiceError(400, "no")  # type: ignore[arg-type]

    async with endpoint(fail) as (found, bus):
        answer = error_of(await bus.request("a.b", timeout=5))
        assert answer is not None
        assert answer.code == "400"
        assert found.stats().last_error == "400:no"


async def test_an_error_for_nobody_is_one_error() -> None:
    async with endpoint(lambda request: request.respond_error(400, "no")) as (found, bus):
        bus.publish("a.b")
        await bus.flush()
        assert found.stats().num_errors == 1


async def test_an_answer_that_can_not_be_sent_does_no_harm(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(_: Request) -> None:
        raise ServiceError("400", "no")

    async with endpoint(fail) as (found, bus):
        found._handle(Msg("a.b", reply="no subject", bus=bus))
        assert "a.> can't be answered" in caplog.text
        assert found.stats().num_errors == 1
        with pytest.raises(RequestTimeout):
            await (await bus.subscribe("silent")).next_msg(0.01)


async def test_an_endpoint_that_never_started_has_nothing_to_drain() -> None:
    never = Endpoint(EndpointInfo("e", "a"), print)
    await never.leave()
    await never.drain()
    never.end()
