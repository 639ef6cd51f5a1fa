"""Requests to the API: subjects, answers, pages, and what is no answer."""

from __future__ import annotations

from typing import Any

import pytest

from agents_core.errors import RequestTimeout
from agents_core.localbus import LocalBus
from agents_core.nats.jetstream import JetStreamContext, api
from agents_core.nats.jetstream.errors import (
    InvalidAnswer,
    InvalidBucketName,
    InvalidName,
    JetStreamNotEnabled,
    StreamNotFound,
)
from tests.core.nats.jetstream.fake import jetstream


async def test_an_answer_is_an_object_without_its_type() -> None:
    async with jetstream() as (js, server):
        server.answers["X"] = {"type": "io.nats.jetstream.api.v1.x_response", "a": 1}
        assert await js.request("X.y", {"b": 2}) == {"a": 1}
        request = await server.expect("X")
        assert (request.operation, request.body) == ("X.y", {"b": 2})


@pytest.mark.parametrize("said", [b"", b"no JSON", b"[]", b'"text"', b"[" * 100])
async def test_what_is_no_answer(said: bytes) -> None:
    async with jetstream() as (js, server):
        server.answers["X"] = said
        with pytest.raises(InvalidAnswer):
            await js.request("X")


async def test_a_refusal_is_a_named_error() -> None:
    async with jetstream() as (js, server):
        server.answers["X"] = {"error": {"code": 404, "err_code": 10059, "description": "gone"}}
        with pytest.raises(StreamNotFound, match="gone"):
            await js.request("X")


async def test_nobody_answers() -> None:
    bus = LocalBus()
    with pytest.raises(JetStreamNotEnabled, match=r"nobody answers on '\$JS.API.INFO'"):
        await JetStreamContext(bus).account_info()
    await bus.close()


async def test_no_answer_in_time() -> None:
    async with jetstream(timeout=0.001) as (js, _):
        with pytest.raises(RequestTimeout):
            await js.request("X")
        with pytest.raises(RequestTimeout):
            await js.request("X", timeout=0.002)


async def test_prefix_and_domain() -> None:
    async with jetstream() as (js, _):
        assert JetStreamContext(js.bus, domain="hub").prefix == "$JS.hub.API"
        assert JetStreamContext(js.bus, prefix="other.API").prefix == "other.API"
        with pytest.raises(InvalidName):
            JetStreamContext(js.bus, domain="a.b")


@pytest.mark.parametrize(
    "name", ["", None, 5, b"a", ["a"], "a.b", "a b", "a*", ">", "a/b", "a\\b", "a\tb", "x" * 256]
)
def test_names_that_are_no_tokens(name: Any) -> None:
    with pytest.raises(InvalidName):
        api.check_name(name)


def test_names() -> None:
    assert api.check_name("Orders_2-ü") == "Orders_2-ü"


@pytest.mark.parametrize("name", ["b", "A_b-9", "x" * 251])
def test_names_of_buckets(name: str) -> None:
    assert api.check_bucket(name) == name


@pytest.mark.parametrize("name", ["", "a.b", "a b", "a/b", "ä", "b\n", None, 7, "x" * 252])
def test_what_is_no_name_of_a_bucket(name: Any) -> None:
    with pytest.raises(InvalidBucketName):
        api.check_bucket(name)


async def test_pages_are_asked_for_until_the_last() -> None:
    async with jetstream() as (js, server):
        server.answers["STREAM.NAMES"] = [
            {"total": 3, "streams": ["a", "b"]},
            {"total": 3, "streams": ["c"]},
        ]
        assert await js.stream_names() == ["a", "b", "c"]
        assert (await server.expect("STREAM.NAMES")).body == {"offset": 0}
        assert (await server.expect("STREAM.NAMES")).body == {"offset": 2}
        server.answers["STREAM.NAMES"] = {"total": 9, "streams": None}
        assert await js.stream_names("a.*") == []
        assert (await server.expect("STREAM.NAMES")).body == {"offset": 0, "subject": "a.*"}


async def test_an_entry_that_nobody_in_the_cluster_describes_is_passed_over() -> None:
    async with jetstream() as (js, server):
        server.answers["CONSUMER.NAMES"] = [
            {"total": 5, "limit": 3, "consumers": ["a", "c"], "missing": ["b"]},
            {"total": 5, "limit": 3, "consumers": ["d"], "missing": ["e"]},
        ]
        assert await js.consumer_names("s") == ["a", "c", "d"]
        assert (await server.expect("CONSUMER.NAMES")).body == {"offset": 0}
        assert (await server.expect("CONSUMER.NAMES")).body == {"offset": 3}
        server.answers["CONSUMER.NAMES"] = {"total": 5, "missing": ["b"]}
        with pytest.raises(InvalidAnswer, match="limit"):
            await js.consumer_names("s")


async def test_pages_that_have_no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "PAGES_MAX", 3)
    async with jetstream() as (js, server):
        server.answers["STREAM.NAMES"] = {"total": 99, "streams": ["a"]}
        with pytest.raises(InvalidAnswer, match="more than 3 pages"):
            await js.stream_names()
        for said in ({"total": "x", "streams": ["a"]}, {"total": 1, "streams": "a"}):
            server.answers["STREAM.NAMES"] = said
            with pytest.raises(InvalidAnswer):
                await js.stream_names()
