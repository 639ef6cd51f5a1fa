"""Streams: what is sent for what is wanted."""

from __future__ import annotations

from typing import Any

import pytest

from agents_core.errors import InvalidSubject
from agents_core.nats.jetstream import StreamConfig, stream_api
from agents_core.nats.jetstream.errors import InvalidAnswer, InvalidName, StreamNotFound
from tests.core.nats.jetstream.fake import jetstream

INFO = {"config": {"name": "s"}, "state": {"messages": 1}}


async def test_fields_come_from_the_configuration_and_from_arguments() -> None:
    async with jetstream() as (js, server):
        server.answers["STREAM"] = {**INFO, "did_create": True}
        config = StreamConfig(name="s", subjects=["a"], max_age=1.5)
        assert (await js.add_stream(config, max_msgs=3)).did_create
        sent = await server.expect("STREAM.CREATE.s")
        assert sent.body == {
            "name": "s",
            "subjects": ["a"],
            "max_age": 1_500_000_000,
            "max_msgs": 3,
        }
        await js.stream_info("s", deleted_details=True)
        assert (await server.expect("STREAM.INFO.s")).body == {"deleted_details": True}
        await js.update_stream(name="s")
        assert (await server.expect("STREAM.UPDATE.s")).body == {"name": "s"}
        with pytest.raises(InvalidName):
            await js.add_stream(subjects=["a"])
        with pytest.raises(TypeError):
            await js.add_stream(nmae="s")


async def test_purge() -> None:
    async with jetstream() as (js, server):
        server.answers["STREAM"] = {"success": True, "purged": 7}
        assert await js.purge_stream("s", seq=5, subject="a.>")
        assert (await server.expect("STREAM.PURGE.s")).body == {"seq": 5, "filter": "a.>"}
        assert await js.purge_stream("s", seq=0)
        assert (await server.expect("STREAM.PURGE.s")).body == {"seq": 1}
        assert await js.delete_stream("s")
        server.answers["STREAM"] = {}
        assert not await js.purge_stream("s", keep=1)


@pytest.mark.parametrize("wrong", ["", "a b", 5])
async def test_nothing_is_purged_or_found_by_what_is_no_subject(wrong: Any) -> None:
    async with jetstream() as (js, server):
        server.answers["STREAM"] = {"success": True, "streams": ["first"], "total": 1}
        for call in (
            js.purge_stream("s", subject=wrong),
            js.find_stream_name_by_subject(wrong),
            js.pull_subscribe(wrong),
            js.subscribe(wrong),
        ):
            with pytest.raises(InvalidSubject):
                await call
        assert await server.none("STREAM")


async def test_the_subjects_of_a_stream_come_in_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    async with jetstream() as (js, server):
        page = {**INFO, "total": 3, "limit": 2, "offset": 0}
        server.answers["STREAM.INFO"] = [
            page | {"state": {"subjects": {"a": 1, "b": 2}}},
            page | {"state": {"subjects": {"c": 3}}},
        ]
        info = await js.stream_info("s", ">")
        assert info.state.subjects == {"a": 1, "b": 2, "c": 3}
        assert info.extra == {}
        assert (await server.expect("STREAM.INFO")).body["offset"] == 0
        assert (await server.expect("STREAM.INFO")).body == {"offset": 2, "subjects_filter": ">"}
        server.answers["STREAM.INFO"] = page  # says that there are more, and does not send them
        assert (await js.stream_info("s", ">")).state.subjects == {}
        monkeypatch.setattr(stream_api, "PAGES_MAX", 2)
        server.answers["STREAM.INFO"] = page | {"state": {"subjects": {"a": 1}}}
        with pytest.raises(InvalidAnswer, match="more than 2 pages"):
            await js.stream_info("s", ">")


async def test_lists() -> None:
    async with jetstream() as (js, server):
        server.answers["STREAM.LIST"] = {"total": 3, "offset": 1, "streams": [INFO, INFO]}
        assert [info.config.name for info in await js.streams_info(offset=1)] == ["s", "s"]
        assert (await server.expect("STREAM.LIST")).body == {"offset": 1}
        server.answers["STREAM.NAMES"] = {"total": 0, "streams": []}
        with pytest.raises(StreamNotFound, match="no stream stores 'a'"):
            await js.find_stream_name_by_subject("a")
