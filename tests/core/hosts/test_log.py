"""Log records of other interpreters."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from agents_core.errors import HostLost
from agents_core.hosts import log
from agents_core.hosts.channel import Channel


class Line:
    def __init__(self) -> None:
        self.posts: list[bytes] = []

    def post(self, data: bytes) -> None:
        self.posts.append(data)


def record(text: str, **attributes: Any) -> logging.LogRecord:
    made = logging.LogRecord("agents.a", logging.INFO, "", 0, text, (), None)
    vars(made).update(attributes)
    return made


async def test_a_record_is_sent_at_once() -> None:
    line, channel = Line(), Channel({})
    channel.attach(line)
    handler = log.PipeHandler(channel)
    handler.handle(record("hello"))
    assert b'["log",0,"agents.a",20]hello' in line.posts[0]
    handler.handle(record("it has been sent already", host="h"))
    assert len(line.posts) == 1


async def test_a_record_that_is_wrong_is_reported_and_left_out(
    capsys: pytest.CaptureFixture[str],
) -> None:
    line, channel = Line(), Channel({})
    channel.attach(line)
    log.PipeHandler(channel).handle(record("%s and %s", args=(1,)))
    assert "not enough arguments" in capsys.readouterr().err
    assert not line.posts


async def test_a_flood_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    line, channel = Line(), Channel({})
    channel.attach(line)
    monkeypatch.setattr("agents_core.hosts.channel.UNREAD_BYTES_MAX", 1000)
    handler = log.PipeHandler(channel)
    for _ in range(100):
        handler.handle(record("x" * 100))
    assert 5 < len(line.posts) < 12


async def test_a_long_text_is_cut() -> None:
    line, channel = Line(), Channel({})
    channel.attach(line)
    log.PipeHandler(channel).handle(record("x" * 1_000_000))
    assert len(line.posts[0]) < log.TEXT_CHARS_MAX + 100


async def test_all_loggers_are_captured_from_a_level_on() -> None:
    root, line, channel = logging.getLogger(), Line(), Channel({})
    level = root.level
    handler = log.capture(channel, logging.WARNING)
    try:
        channel.attach(line)
        logging.getLogger("somebody").info("not this")
        logging.getLogger("somebody").warning("but this")
        assert [b"but this" in post for post in line.posts] == [True]
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
        channel.close(HostLost("h", "done"))


async def test_a_record_of_another_thread_is_sent_by_the_loop() -> None:
    line, channel = Line(), Channel({})
    channel.attach(line)
    handler = log.PipeHandler(channel)
    calls: list[Any] = []

    class Elsewhere:
        def call_soon_threadsafe(self, *call: Any) -> None:
            calls.append(call)

    handler._loop = Elsewhere()  # type: ignore[assignment]
    handler.handle(record("hello"))
    assert not line.posts
    ((send, *arguments),) = calls
    send(*arguments)
    assert b"hello" in line.posts[0]


async def test_a_record_after_the_end_of_the_loop_is_left_out() -> None:
    """As what is garbage at the end of a process complains."""
    handler = log.PipeHandler(Channel({}))

    class Closed:
        def call_soon_threadsafe(self, *_: Any) -> None:
            raise RuntimeError("Event loop is closed")

    handler._loop = Closed()  # type: ignore[assignment]
    handler.handle(record("too late"))


def test_it_is_written_here_as_if_it_came_from_here(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        log.write("agents.a", logging.INFO, "quiet", "h")
        log.write("agents.a", logging.WARNING, "100 %s", "h")
    (found,) = caplog.records
    assert (found.name, found.levelname, found.getMessage()) == ("agents.a", "WARNING", "100 %s")
    assert found.host == "h"
