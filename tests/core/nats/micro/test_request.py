"""Requests, and errors as answers."""

from __future__ import annotations

from typing import Any

import pytest

from agents_core import LocalBus
from agents_core.errors import InvalidHeader, InvalidService, InvalidSubject, ServiceError
from agents_core.nats.headers import Headers, encode_headers
from agents_core.nats.micro.request import (
    DESCRIPTION_CHARS_MAX,
    Request,
    error_headers,
    error_of,
)
from agents_core.nats.msg import Msg


def reply(headers: dict[str, str], data: bytes = b"") -> Msg:
    return Msg("a", data, raw_headers=encode_headers(headers) if headers else b"")


async def answered(respond: object) -> tuple[Msg, list[ServiceError]]:
    """What the requester gets, and what was counted."""
    bus, errors = LocalBus(), []
    await bus.subscribe("a", cb=lambda msg: respond(Request(msg, errors.append)))  # type: ignore[operator]
    try:
        return await bus.request("a", b"question", 5, {"K": "v"}), errors
    finally:
        await bus.close()


async def test_a_request_is_read_and_answered() -> None:
    seen = []

    def respond(request: Request) -> None:
        seen.append((request.subject, request.data, request.headers["K"]))
        request.respond(b"answer", headers={"A": "b"})

    msg, errors = await answered(respond)
    assert seen == [("a", b"question", "v")]
    assert (msg.data, dict(msg.headers), error_of(msg), errors) == (
        b"answer",
        {"A": "b"},
        None,
        [],
    )


async def test_an_exception_describes_an_error_by_its_text() -> None:
    error: Any = KeyError("x")
    msg, errors = await answered(lambda request: request.respond_error(500, error))
    assert msg.headers["Nats-Service-Error"] == "'x'"
    assert [e.description for e in errors] == ["'x'"]
    assert error_headers(500, error)["Nats-Service-Error"] == "'x'"


async def test_an_error_is_an_answer_with_two_headers() -> None:
    msg, errors = await answered(
        lambda request: request.respond_error(
            404, "no such", b"more", Headers([("A", "b"), ("A", "c")])
        )
    )
    assert dict(msg.headers) == {
        "A": "b",
        "Nats-Service-Error": "no such",
        "Nats-Service-Error-Code": "404",
    }
    assert msg.headers.get_all("A") == ["b", "c"]
    assert msg.data == b"more"
    for error in (error_of(msg), *errors):
        assert error is not None
        assert error.data() == {"code": "404", "description": "no such"}
        assert str(error) == "404: no such"


async def test_an_error_may_be_described_by_another_one() -> None:
    msg, errors = await answered(lambda request: request.respond_error(400, KeyError("k")))  # type: ignore[arg-type]
    for error in (error_of(msg), *errors):
        assert error is not None
        assert error.data() == {"code": "400", "description": "'k'"}


@pytest.mark.parametrize("code", ["", "x", "4x", "-1", "1.5", "٤", -1])
def test_a_code_is_a_number_that_everybody_can_parse(code: str | int) -> None:
    with pytest.raises(InvalidService):
        error_headers(code, "text")


def test_any_description_becomes_one_line_that_can_be_sent() -> None:
    text = "two\r\nlines\nand \ud800 " + "x" * 1000
    found = error_headers("500", text)["Nats-Service-Error"]
    assert found.startswith("two lines and \\ud800 xxx")
    encode_headers({"A": found})
    assert len(error_headers("500", "x" * 1000)["Nats-Service-Error"]) == DESCRIPTION_CHARS_MAX
    with pytest.raises(InvalidHeader):
        encode_headers({"A": text})


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"A": "b"}, None),
        ({"Nats-Service-Error": "no"}, ("500", "no")),
        ({"Nats-Service-Error-Code": "403"}, ("403", "")),
        ({"Nats-Service-Error": "no", "Nats-Service-Error-Code": "x"}, ("500", "no")),
    ],
)
def test_one_of_the_headers_is_enough(
    headers: dict[str, str], expected: tuple[str, str] | None
) -> None:
    error = error_of(reply(headers))
    assert (error and (error.code, error.description)) == expected


async def test_nobody_to_answer() -> None:
    bus = LocalBus()
    request = Request(Msg("a", bus=bus), lambda _: None)
    with pytest.raises(InvalidSubject):
        request.respond(b"x")
    with pytest.raises(InvalidSubject):
        request.respond_error("400", "x")
    await bus.close()
