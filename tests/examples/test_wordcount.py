"""The word count: exact, whatever crashes or leaves in the middle, and clear about bad files."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from agents_core import Agent, AgentsError, Node, Supervisor, connect, jsonvalue, on
from agents_core.ids import unique
from agents_core.nats.msg import Msg
from agents_server.nats_server import NatsServer

FILE = Path(__file__).parents[2] / "examples" / "wordcount" / "wordcount.py"


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("wordcount", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


wordcount = load()


class Progress:
    """Follows the totals as the page does, from a node without agents."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.last: dict[str, Any] = {"counted": 0, "done": False, "run": ""}
        self._news = asyncio.Event()

    async def listen(self) -> Progress:
        await self.node.subscribe(f"{self.node.root}.wordcount.progress", cb=self._take)
        await self.node.bus.flush()
        return self

    def _take(self, msg: Msg) -> None:
        self.last = jsonvalue.loads(msg.data)
        self._news.set()

    async def until(self, condition: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
        while not condition(self.last):
            self._news.clear()
            await self._news.wait()
        return self.last

    async def counted(self, chunks: int) -> dict[str, Any]:
        return await self.until(lambda p: p["counted"] >= chunks)


class Cluster:
    """A server node, as many tab nodes as a test opens, and a node that watches."""

    def __init__(self, url: str, server: Node, watch: Progress, text: str) -> None:
        self.url = url
        self.server = server
        self.progress = watch
        self.watch = watch.node
        self.words = Counter(text.split())
        self.tabs: list[Node] = []

    async def tab(self) -> Node:
        node = await connect(self.url, name=f"tab-{unique(6)}", space=self.space)
        self.tabs.append(node)
        await node.supervise(Supervisor(wordcount.tab(node.name), name="tab", max_restarts=20))
        return node

    @property
    def space(self) -> str:
        return self.server.root.removeprefix("acore.")

    async def start(self, pace: float = 0) -> dict[str, Any]:
        started: dict[str, Any] = await self.watch.agent("splitter").ask(
            {"type": "start", "pace": pace}
        )
        return started

    async def check(self, run: str = "") -> dict[str, Any]:
        """Wait for the end; every word has the count that one process finds."""
        progress = await self.progress.until(
            lambda p: p["done"] and p["exact"] is not None and run in {"", p["run"]}
        )
        totals = self.watch.agent("totals")
        assert progress["exact"] is True
        table = await totals.ask({"type": "table", "limit": len(self.words)})
        assert Counter(dict(table["rows"])) == self.words
        assert progress["words"] == self.words.total()
        assert progress["distinct"] == len(self.words)
        assert sum(c["chunks"] for c in progress["counters"].values()) == progress["chunks"]
        assert sum(c["words"] for c in progress["counters"].values()) == self.words.total()
        return progress


def prose(words: int = 20_000) -> str:
    """Text that is not the same everywhere, in more than one script."""
    parts = [f"w{i % 97} é{i % 31}\n\t日{i % 13}" for i in range(words // 3)]
    return " \u2003".join(parts)


@asynccontextmanager
async def cluster(
    tmp_path: Path, text: str = "", url: str = "", max_restarts: int = 20
) -> AsyncIterator[Cluster]:
    text = text or prose()
    (path := tmp_path / "input.txt").write_text(text)
    url, space = url or f"local://{unique()}", unique()
    async with (
        connect(url, name="server", space=space) as server,
        connect(url, name="watch", space=space) as watch,
    ):
        progress = await Progress(watch).listen()
        children = wordcount.server(server.name, str(path))
        await server.supervise(Supervisor(children, max_restarts=max_restarts))
        found = Cluster(url, server, progress, text)
        try:
            yield found
        finally:
            for node in found.tabs:
                await node.close()


async def test_the_first_tab_begins_the_count_and_it_is_exact(tmp_path: Path) -> None:
    async with cluster(tmp_path) as all:
        before = await all.watch.agent("totals").ask({"type": "report"})
        assert (before["run"], before["counted"], before["done"]) == ("", 0, False)
        await all.tab()
        await all.progress.counted(1)
        await all.start()
        progress = await all.check()
        assert progress["chunks"] > 100
        assert progress["seconds"] > 0


async def test_every_tab_counts(tmp_path: Path) -> None:
    async with cluster(tmp_path) as all:
        tabs = [await all.tab() for _ in range(3)]
        await all.start(pace=1)
        progress = await all.check()
        expected = {"counter-server", *(f"counter-{node.name}" for node in tabs)}
        assert set(progress["counters"]) == expected


async def test_a_late_tab_takes_part(tmp_path: Path) -> None:
    async with cluster(tmp_path) as all:
        await all.start(pace=5)
        await all.progress.counted(20)
        late = await all.tab()
        progress = await all.check()
        assert progress["counters"][f"counter-{late.name}"]["chunks"] > 0


async def test_a_tab_that_closes_in_the_middle_changes_nothing(tmp_path: Path) -> None:
    async with cluster(tmp_path) as all:
        first, _ = await all.tab(), await all.tab()
        await all.start(pace=2)
        await all.progress.until(lambda p: f"counter-{first.name}" in p.get("counters", {}))
        await first.close()
        await all.check()


class Hoarder(Agent):
    """Takes a chunk and never reports it."""

    @on("take")
    async def take(self) -> int:
        job = await self.ctx.agent("splitter").ask(wordcount.Next())
        return int(job["chunk"])

    @on("report")
    async def report(self, payload: dict[str, Any]) -> bool:
        count = wordcount.Count(payload["run"], payload["chunk"], self.id, payload["words"])
        return bool(await self.ctx.agent("totals").ask(count))


async def test_the_chunk_of_a_node_that_left_is_given_to_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wordcount, "LEASE_S", 1000.0)
    async with cluster(tmp_path, "one two") as all:
        node = await connect(all.url, name="thief", space=all.space)
        hoarder = await node.spawn(Hoarder, "hoarder")
        await all.server.agent("counter-server").stop()
        await all.start()
        seen = asyncio.Event()
        all.server.on_change(seen.set)
        while not any(agent["id"] == "hoarder" for agent in all.server.agents()):
            seen.clear()
            await seen.wait()
        assert await hoarder.ask("take") == 0
        checked = asyncio.Event()
        all.server.timers.after(2 * wordcount.CHECK_S, checked.set)
        await checked.wait()  # it has been seen at work
        await node.close()
        await all.tab()
        await all.check()


async def test_a_chunk_that_is_late_is_given_to_another_and_counted_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wordcount, "LEASE_S", 0.0)
    async with cluster(tmp_path) as all:
        hoarder = await all.watch.spawn(Hoarder, "hoarder")
        run = (await all.start(pace=5))["run"]
        chunk = await hoarder.ask("take")
        await all.check()
        report = {"type": "report", "run": run, "chunk": chunk, "words": {"late": 1}}
        assert await hoarder.ask(report) is True
        assert await hoarder.ask({**report, "run": "another"}) is False
        assert await hoarder.ask({**report, "chunk": 10**6}) is False
        found = await all.watch.agent("totals").ask({"type": "words", "words": ["late", "w1", 1]})
        assert found == {"late": 0, "w1": all.words["w1"]}


@pytest.mark.parametrize("victim", ["counter-server", "counter-tab", "splitter", "totals"])
async def test_a_crash_in_the_middle_changes_nothing(tmp_path: Path, victim: str) -> None:
    async with cluster(tmp_path) as all:
        tab = await all.tab()
        name = f"counter-{tab.name}" if victim == "counter-tab" else victim
        run = (await all.start(pace=20))["run"]
        for crash in (1, 2, 3):
            before = (await all.progress.until(lambda p: p["run"] == run))["counted"]
            await all.progress.counted(before + 10)
            await all.watch.agent(name).kill("by a test")
            while (await all.watch.agent(name).info())["restarts"] < crash:
                await asyncio.sleep(0)
        assert not all.progress.last["done"]
        await all.check(run)


async def test_a_crash_after_the_end_changes_nothing(tmp_path: Path) -> None:
    async with cluster(tmp_path) as all:
        await all.start()
        before = await all.check()
        for name in ("totals", "splitter"):
            await all.watch.agent(name).kill("by a test")
        assert await all.watch.agent("totals").ask({"type": "report"}) == before


async def test_a_second_run_counts_from_nothing(tmp_path: Path) -> None:
    async with cluster(tmp_path) as all:
        await all.tab()
        first = (await all.start())["run"]
        await all.check(first)
        second = (await all.start())["run"]
        assert second != first
        await all.check(second)
        await all.start(pace=50)
        await all.progress.counted(5)
        third = (await all.start())["run"]  # in the middle of one
        await all.check(third)


async def test_the_agents_of_a_real_server_count_together(
    tmp_path: Path, nats_server: NatsServer
) -> None:
    async with cluster(tmp_path, url=nats_server.url) as all:
        tab = await all.tab()
        run = (await all.start(pace=2))["run"]
        progress = await all.check(run)
        assert set(progress["counters"]) == {"counter-server", f"counter-{tab.name}"}


async def test_the_count_goes_on_while_the_server_is_away(
    tmp_path: Path, own_nats_server: NatsServer
) -> None:
    async with cluster(tmp_path, url=own_nats_server.url) as all:
        await all.tab()
        run = (await all.start(pace=10))["run"]
        await all.progress.until(lambda p: p["run"] == run and p["counted"] > 10)
        own_nats_server.kill()
        before = await all.server.agent("totals").ask({"type": "report"})
        after = before
        while after["counted"] < before["counted"] + 10:
            after = await all.server.agent("totals").ask({"type": "report"})
            await asyncio.sleep(0)
        own_nats_server.start()
        await all.check(run)


async def test_what_fits_no_message_is_cut(tmp_path: Path) -> None:
    """The longest words, made of what takes most room in JSON, still travel and are exact."""
    long = [chr(1 + i) * wordcount.WORD_MAX for i in range(6)]
    text = " ".join([*long, *long, *(f"{'y' * 100}{i}" for i in range(20_000))])
    async with cluster(tmp_path, text) as all:
        await all.server.agent("counter-server").stop()
        await all.tab()
        run = (await all.start())["run"]
        progress = await all.progress.until(lambda p: p["run"] == run and p["done"])
        assert progress["exact"] is True
        assert progress["top"][0] == [chr(1) * 79 + "…", 2]
        table = await all.watch.agent("totals").ask({"type": "table", "limit": 10**9})
        assert 0 < len(table["rows"]) < table["distinct"] == 20_006


@pytest.mark.parametrize("pace", [-1, 10**9, "fast", None, True, [], float("1e300")])
async def test_a_pace_that_makes_no_sense_is_bounded(tmp_path: Path, pace: Any) -> None:
    async with cluster(tmp_path, "one two") as all:
        started = await all.start(pace)
        assert 0 <= started["pace"] <= wordcount.PACE_MAX_MS
        assert (await all.check(started["run"]))["counted"] == 1
        await all.watch.agent("splitter").ask("start")


@pytest.mark.parametrize(
    "text", ["one", "one two " * 200_000, "\n" * 9 + "one", "a\x1cb\u3000c\u0085d " * 9999]
)
async def test_chunks_are_cut_between_words(tmp_path: Path, text: str) -> None:
    (path := tmp_path / "input.txt").write_text(text)
    book = wordcount.Book(str(path), wordcount.read(str(path)))
    counts: Counter[str] = Counter()
    for chunk in range(len(book)):
        counts.update(book[chunk].split())
    assert counts == Counter(text.split()) == await book.words()


def test_by_default_it_counts_the_prose_that_python_carries() -> None:
    (_, splitter, _) = wordcount.server("n")
    (book,) = splitter.args
    assert book.path.endswith("topics.py")
    assert 100 < len(book) < 200


def test_what_a_tab_runs() -> None:
    (child,) = wordcount.tab("tab-1")
    assert child.id == "counter-tab-1"
    ids = [child.id for child in wordcount.server("s", str(FILE))]
    assert ids == ["totals", "splitter", "counter-s"]


def bad(tmp_path: Path, kind: str) -> str:
    path = tmp_path / kind
    content = {
        "empty": b"",
        "blank": b" \n\t\n",
        "nul": b"text \0 text",
        "latin": "na\xefve".encode("latin-1"),
        "utf16": "text".encode("utf-16"),
        "cut": "na\xefve".encode()[:3],
        "line": b"fine\nfine too\n" + b"x" * (wordcount.WORD_MAX + 1) + b"\nfine",
        "end": b"x" * 9_000_000,
    }
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "huge":
        with path.open("wb") as file:
            file.truncate(wordcount.FILE_MAX + 1)
    elif kind in content:
        path.write_bytes(content[kind])
    return str(path)


@pytest.mark.parametrize(
    ("kind", "error", "words"),
    [
        ("missing", "InputMissing", "there is no file"),
        ("folder", "InputUnreadable", "it is a directory"),
        ("pipe", "InputUnreadable", "it is not a file"),
        ("a\0b", "InputUnreadable", "null"),
        ("empty", "InputEmpty", "no words"),
        ("blank", "InputEmpty", "no words"),
        ("nul", "InputBinary", "byte 5 is NUL"),
        ("latin", "InputBinary", "byte 2: invalid continuation"),
        ("utf16", "InputBinary", "NUL"),
        ("cut", "InputBinary", "byte 2: unexpected end"),
        ("line", "WordTooLong", "line 3: more than 100000 characters"),
        ("end", "WordTooLong", "line 1"),
        ("huge", "InputTooLarge", "larger than 67108864 bytes"),
    ],
)
def test_a_file_that_can_not_be_counted_is_refused(
    tmp_path: Path, kind: str, error: str, words: str
) -> None:
    with pytest.raises(AgentsError, match=words) as caught:
        wordcount.server("n", bad(tmp_path, kind))
    assert type(caught.value).__name__ == error
    assert kind in str(caught.value)


def test_a_huge_line_of_words_is_no_problem(tmp_path: Path) -> None:
    (path := tmp_path / "line.txt").write_text("word " * 1_000_000)
    assert len(wordcount.server("n", str(path))) == 3


def test_it_can_be_imported_where_there_are_no_files() -> None:
    """A tab's Python has no `pydoc_data`: nothing but `server` may look for it."""
    sys.modules.pop("pydoc_data.topics", None)
    load()
    assert "pydoc_data.topics" not in sys.modules
