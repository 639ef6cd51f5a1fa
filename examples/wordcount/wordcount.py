"""Count the words of a file: a splitter, a totals agent, and a counter wherever Python runs.

Counters pull. Each asks the splitter for a chunk, counts it, reports to the totals, and asks again;
so a slow tab takes less, and a closed one takes nothing. The sum is exact because every chunk is
handed out until it was reported, and counted once however often it is reported.

What survives a crash: the totals keep every report in their state and add them up again; the
splitter keeps which run it is in its state, and learns from the totals what is done; a counter
keeps nothing, as its chunk is handed out again.

Messages of the agents are dataclasses, below. A page, or any NATS client, sends JSON:

    to "splitter"  {"type": "start", "pace": 100}     begin a new run; milliseconds per chunk
    to "totals"    {"type": "report"}                 progress, also published as it grows
    to "totals"    {"type": "table", "limit": 50}     the most frequent words with their counts
    to "totals"    {"type": "words", "words": [...]}  the counts of these words
"""

import asyncio
import collections
import re
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, ClassVar

from agents_core import Agent, AgentsError, Child, every, on
from agents_core.bus import Status
from agents_core.errors import MailboxFull
from agents_core.ids import unique

FILE_MAX = 64 * 1024 * 1024
"""Bytes of the file; the splitter and the totals keep all of it in memory."""

WORD_MAX = 100_000
"""Characters of a word; with what else may be in its chunk, it has to fit one message."""

CHUNK_MIN, CHUNK_MAX = 512, 32 * 1024
"""Characters of a chunk, not counting the word at its end. In JSON a character takes 6 bytes at the
most, so chunk and report stay below 800 kB, and NATS takes 1 MB."""

CHUNKS = 150
"""Chunks that a file is cut into, its size permitting: enough to see them grow."""

PACE_MS = 100.0
"""Milliseconds that a counter rests after a chunk: with two counters the default file, cut into
some 150 chunks, takes about 8 s, so that one can watch it and close a tab in the middle."""

PACE_MAX_MS = 10_000.0
"""The longest rest; beyond it the page would look dead."""

LEASE_S = 3.0
"""Seconds in which a chunk has to be reported; counting one takes milliseconds, also in a tab, and
one that is late after all is still taken."""

CHECK_S = 0.5
"""Seconds between two looks at the leases and at who left."""

IDLE_S = 5.0
"""Seconds after which an idle counter asks again by itself, in case nobody called it."""

IDLE_MAX = 4096
"""Idle counters that are called when there is work, as many as a node knows others; more only ask
again by themselves."""

RETRY_S = 1.0
"""Seconds until a counter that reached nobody tries again."""

PROGRESS_S = 0.2
"""Seconds between two progress messages."""

TOP = 20
"""Words in a progress message."""

TABLE_MAX = 600_000
"""Bytes of a table, so that it fits one message."""

WORDS_MAX = 1000
"""Words that one message may ask for."""

SHOWN_MAX = 80
"""Characters of a word that are shown; a longer one is cut, and ends in an ellipsis."""

SLICE = 1024 * 1024
"""Characters counted in a row for the comparison before everybody else gets a turn."""


# -- the file


@dataclass(eq=False)
class InputMissing(AgentsError):
    """There is no such file."""

    path: str
    template: ClassVar[str] = "there is no file {path}"


@dataclass(eq=False)
class InputUnreadable(AgentsError):
    """It can't be read, or is no file: a directory, a device."""

    path: str
    reason: str
    template: ClassVar[str] = "can't read {path}: {reason}"


@dataclass(eq=False)
class InputEmpty(AgentsError):
    """It has no words."""

    path: str
    template: ClassVar[str] = "{path} has no words to count"


@dataclass(eq=False)
class InputBinary(AgentsError):
    """It is not text."""

    path: str
    reason: str
    template: ClassVar[str] = "{path} is not UTF-8 text: {reason}"


@dataclass(eq=False)
class InputTooLarge(AgentsError):
    """It is larger than `FILE_MAX`."""

    path: str
    limit: int
    template: ClassVar[str] = "{path} is larger than {limit} bytes"


@dataclass(eq=False)
class WordTooLong(AgentsError):
    """It has a word that does not fit a message; most often it is one huge line of data."""

    path: str
    line: int
    limit: int
    template: ClassVar[str] = (
        "{path}, line {line}: more than {limit} characters without a space; is it text?"
    )


def default_input() -> str:
    """The path of the prose that every CPython carries."""
    import pydoc_data.topics  # noqa: PLC0415 - a tab's Python does not have it

    return str(pydoc_data.topics.__file__)


def read(path: str) -> str:
    """The text of a file.

    Raises:
        InputMissing, InputUnreadable, InputEmpty, InputBinary, InputTooLarge: see there.
    """
    try:
        with open(path, "rb", opener=_open_regular) as file:
            data = file.read(FILE_MAX + 1)
    except FileNotFoundError:
        raise InputMissing(path) from None
    except (OSError, ValueError) as error:
        raise InputUnreadable(path, getattr(error, "strerror", None) or str(error)) from None
    if len(data) > FILE_MAX:
        raise InputTooLarge(path, FILE_MAX)
    if (position := data.find(0)) >= 0:
        raise InputBinary(path, f"byte {position} is NUL")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise InputBinary(path, f"byte {error.start}: {error.reason}") from None
    if not text or text.isspace():
        raise InputEmpty(path)
    return text


def _open_regular(path: str, flags: int) -> int:
    """Open a regular file; a pipe or a device could keep us waiting for ever."""
    import os  # noqa: PLC0415 - only the server reads files

    mode = os.stat(path).st_mode
    if not stat.S_ISREG(mode):
        raise OSError(None, "it is a directory" if stat.S_ISDIR(mode) else "it is not a file")
    return os.open(path, flags)


_SPACE = re.compile(r"\s")


class Book:
    """A text and how it is cut; the splitter and the totals share one.

    Args:
        path: where it is from, for people.
        text: all of it.

    Raises:
        WordTooLong: a word has more than `WORD_MAX` characters.
    """

    def __init__(self, path: str, text: str) -> None:
        self.path = path
        self._text = text
        size = min(max(len(text) // CHUNKS, CHUNK_MIN), CHUNK_MAX)
        self._cuts = [0, *self._cut(size)]
        self._words: collections.Counter[str] | None = None

    def __len__(self) -> int:
        return len(self._cuts) - 1

    def __getitem__(self, chunk: int) -> str:
        return self._text[self._cuts[chunk] : self._cuts[chunk + 1]]

    def _cut(self, size: int) -> Iterator[int]:
        """Where chunks end: at the first white space after `size` characters."""
        end, length = 0, len(self._text)
        while end < length:
            word = at = end + size
            if at >= length:
                word = at = length
            while word > end and not self._text[word - 1].isspace():
                word -= 1
            space = _SPACE.search(self._text, at, word + WORD_MAX + 1)
            if space is None and length - word > WORD_MAX:
                line = self._text.count("\n", 0, word) + 1
                raise WordTooLong(self.path, line, WORD_MAX)
            end = space.start() if space else length
            yield end

    async def words(self) -> collections.Counter[str]:
        """What the result has to be: `Counter(text.split())`, by slices, as there may be much."""
        if self._words is None:
            words: collections.Counter[str] = collections.Counter()
            start = 0
            while start < len(self._text):
                space = _SPACE.search(self._text, start + SLICE)
                end = space.start() if space else len(self._text)
                words.update(self._text[start:end].split())
                start = end
                await asyncio.sleep(0)
            self._words = words
        return self._words


# -- messages


@dataclass
class Next:
    """Counter to splitter: a chunk, please. What it had and did not report is given back.

    The reply is an object with `run`, `chunk`, `text` and `pace`, or null: nothing to do.

    Attributes:
        tab: whether it runs in a tab; the first of those begins the first run.
    """

    tab: bool = False


@dataclass
class Begin:
    """Splitter to totals: this is the run. The reply is the chunks of it that are counted."""

    run: str


@dataclass
class Count:
    """Counter to totals: the words of one chunk. The reply says whether the run is still on."""

    run: str
    chunk: int
    by: str
    words: dict[str, int]


@dataclass
class Counted:
    """Totals to splitter: this chunk is kept and need not be handed out again."""

    run: str
    chunk: int


# -- agents


class WordCounter(Agent):
    """Counts one chunk per message, so that it can be stopped and looked at between two.

    Args:
        tab: see `Next`.
    """

    def __init__(self, tab: bool = False) -> None:
        self._tab = tab

    def on_start(self) -> None:
        self._timer = self.ctx.after(0, self._due)

    @on("work")
    async def work(self) -> None:
        """Count a chunk if there is one; sent by itself, and by the splitter when there is work."""
        try:
            pause = await self._count()
        except AgentsError as error:  # no connection, nobody there, no answer: it will be back
            self.ctx.log.info("%s; trying again in %s s", error, RETRY_S)
            pause = RETRY_S
        self._rest(pause)

    async def _count(self) -> float:
        """Do one chunk; the seconds to rest."""
        job = await self.ctx.agent("splitter").ask(Next(self._tab))
        if job is None:
            return IDLE_S
        words = dict(collections.Counter(job["text"].split()))
        report = Count(job["run"], job["chunk"], self.id, words)
        await self.ctx.agent("totals").ask(report)
        return float(job["pace"]) / 1000

    def _rest(self, seconds: float) -> None:
        self._timer.cancel()  # however often it is called, one turn follows
        self._timer = self.ctx.after(seconds, self._due)

    def _due(self) -> None:
        try:
            self.ctx.ref.tell("work")
        except MailboxFull:  # somebody floods it
            self._rest(RETRY_S)


class Splitter(Agent):
    """Hands out chunks, again if need be, until the totals have all of them.

    Args:
        book: what is counted.
    """

    def __init__(self, book: Book) -> None:
        self._book = book
        self._in_step = False
        self._missing: set[int] = set()
        self._todo: collections.deque[int] = collections.deque()
        self._leases: dict[str, tuple[int, float]] = {}  # counter: chunk, deadline; one each
        self._idle: set[str] = set()
        self._there: set[str] = set()

    async def on_start(self) -> None:
        self._run: str = await self.state.get("run", "")
        self._pace: float = await self.state.get("pace", PACE_MS)

    @on("start")
    async def start(self, payload: Any) -> dict[str, Any]:
        """Begin a new run; what is left of the one before is dropped."""
        await self._begin(_number(payload, "pace", PACE_MS, PACE_MAX_MS))
        return {"run": self._run, "chunks": len(self._book), "pace": self._pace}

    async def _begin(self, pace: float) -> None:
        self._run, self._pace, self._in_step = unique(), pace, False
        await self.state.set("pace", pace)
        await self.state.set("run", self._run)
        if await self._step():
            self._call()

    async def _step(self) -> bool:
        """Agree with the totals on the run and on what is missing, once per run or restart."""
        if self._in_step:
            return True
        try:
            counted = await self.ctx.agent("totals").ask(Begin(self._run))
        except AgentsError as error:  # the next counter that asks causes the next attempt
            self.ctx.log.warning("the totals do not answer: %s", error)
            return False
        self._missing = set(range(len(self._book))) - set(counted)
        self._todo = collections.deque(sorted(self._missing))
        self._leases.clear()
        self._in_step = True
        return True

    @on
    async def hand_out(self, m: Next) -> dict[str, Any] | None:
        by = self.ctx.sender
        self._give_back(by)
        if m.tab and not self._run:
            await self._begin(PACE_MS)
        chunk = self._take() if self._run and await self._step() else None
        if chunk is None:
            if len(self._idle) < IDLE_MAX:
                self._idle.add(by)
            return None
        self._idle.discard(by)
        self._leases[by] = chunk, self.ctx.node.timers.now() + LEASE_S
        text = self._book[chunk]
        return {"run": self._run, "chunk": chunk, "text": text, "pace": self._pace}

    def _take(self) -> int | None:
        while self._todo:
            chunk = self._todo.popleft()
            if chunk in self._missing:  # else it was given back, and reported after all
                return chunk
        return None

    def _give_back(self, by: str) -> None:
        chunk, _ = self._leases.pop(by, (-1, 0.0))
        if chunk in self._missing:
            self._todo.appendleft(chunk)

    @on
    def counted(self, m: Counted) -> None:
        if m.run == self._run:
            self._missing.discard(m.chunk)

    @every(CHECK_S)
    def check(self) -> None:
        """Take chunks back from counters that left or are late."""
        there = {agent["id"] for agent in self.ctx.node.agents()}
        left, self._there = self._there - there, there
        now = self.ctx.node.timers.now()
        for by, (_, deadline) in list(self._leases.items()):
            if by in left or deadline <= now:
                self._give_back(by)
        self._idle -= left
        if self._todo:
            self._call()

    def _call(self) -> None:
        """Tell idle counters that there is work."""
        for by in self._idle:
            with suppress(AgentsError):  # it asks by itself after IDLE_S
                self.ctx.agent(by).tell("work")
        self._idle.clear()


class Totals(Agent):
    """Adds the reports up, each chunk once, and says how far it is.

    Args:
        book: what is counted.
    """

    def __init__(self, book: Book) -> None:
        self._book = book
        self._tally = Tally()
        self._exact: bool | None = None
        self._news = True
        self._quiet_until = 0.0

    async def on_start(self) -> None:
        run = await self.state.get("run", {"run": "", "began": 0.0})
        self._tally = Tally(run["run"], run["began"])
        for key in await self.state.keys("chunk:"):
            self._tally.add(int(key.removeprefix("chunk:")), await self.state.get(key))
        await self._compare()

    @on
    async def begin(self, m: Begin) -> list[int]:
        if m.run != self._tally.run:
            await self.state.clear()
            self._tally, self._exact = Tally(m.run, self.ctx.node.timers.now()), None
            await self.state.set("run", {"run": m.run, "began": self._tally.began})
            self._news = True
        return sorted(self._tally.chunks)

    @on
    async def count(self, m: Count) -> bool:
        if m.run != self._tally.run or not 0 <= m.chunk < len(self._book):
            return False
        if m.chunk not in self._tally.chunks:
            report = {"by": m.by, "words": m.words, "at": self.ctx.node.timers.now()}
            await self.state.set(f"chunk:{m.chunk}", report)
            self._tally.add(m.chunk, report)
            self._news = True
        with suppress(MailboxFull):  # it hands the chunk out once more, and is told then
            self.ctx.agent("splitter").tell(Counted(m.run, m.chunk))
        await self._compare()
        return True

    @property
    def _done(self) -> bool:
        return len(self._tally.chunks) == len(self._book)

    async def _compare(self) -> None:
        """When all is counted: is it what one process finds?"""
        if self._done and self._exact is None:
            self._exact = self._tally.words == await self._book.words()
            self._news = True
            self.ctx.log.info("counted %s: exact=%s", self._book.path, self._exact)

    @on("report")
    def report(self) -> dict[str, Any]:
        tally = self._tally
        until = tally.last if self._done else self.ctx.node.timers.now()
        return {
            "file": self._book.path,
            "run": tally.run,
            "chunks": len(self._book),
            "counted": len(tally.chunks),
            "words": tally.words.total(),
            "distinct": len(tally.words),
            "top": [[_shown(word), n] for word, n in tally.words.most_common(TOP)],
            "counters": tally.counters,
            "seconds": round(until - tally.began, 3) if tally.run else 0.0,
            "done": self._done,
            "exact": self._exact,
        }

    @every(PROGRESS_S)
    async def publish(self) -> None:
        """Say how far it is, if that is new and somebody can hear it."""
        now = self.ctx.node.timers.now
        began = now()
        if not self._news or began < self._quiet_until:
            return
        if self.ctx.node.bus.status is Status.CONNECTED:
            self._news = False
            await self.ctx.publish("wordcount.progress", self.report())
            self._quiet_until = now() + 10 * (now() - began)  # the top of millions takes a while

    @on("table")
    def table(self, payload: Any) -> dict[str, Any]:
        """The most frequent words, those of the same count by the alphabet."""
        limit = int(_number(payload, "limit", 50, len(self._tally.words)))
        ranking = sorted(self._tally.words.items(), key=lambda item: (-item[1], item[0]))
        rows: list[list[Any]] = []
        size = 0
        for word, n in ranking[:limit]:
            rows.append([_shown(word), n])
            size += 6 * len(rows[-1][0]) + 24
            if size > TABLE_MAX:
                break
        return {"run": self._tally.run, "distinct": len(ranking), "rows": rows, "done": self._done}

    @on("words")
    def words(self, payload: Any) -> dict[str, int]:
        """The counts of the words asked for."""
        asked = payload.get("words") if isinstance(payload, dict) else None
        words = asked[:WORDS_MAX] if isinstance(asked, list) else []
        return {word: self._tally.words[word] for word in words if isinstance(word, str)}


@dataclass
class Tally:
    """The sum of the reports of one run.

    Attributes:
        run: which; empty before the first.
        began, last: when it began and the last report came, on the loop's clock.
        words: how often each occurs.
        counters: per counter its chunks and words.
        chunks: those that are in the sum.
    """

    run: str = ""
    began: float = 0.0
    last: float = 0.0
    words: collections.Counter[str] = field(default_factory=collections.Counter)
    counters: dict[str, dict[str, int]] = field(default_factory=dict)
    chunks: set[int] = field(default_factory=set)

    def add(self, chunk: int, report: dict[str, Any]) -> None:
        """Add one report."""
        self.chunks.add(chunk)
        self.words.update(report["words"])
        self.last = max(self.last, report["at"])
        did = self.counters.setdefault(report["by"], {"chunks": 0, "words": 0})
        did["chunks"] += 1
        did["words"] += sum(report["words"].values())


def _number(payload: Any, name: str, default: float, most: float) -> float:
    """A number of an untyped message between 0 and `most`; what is no number is the default."""
    value = payload.get(name) if isinstance(payload, dict) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        value = default
    return min(max(value, 0.0), most)


def _shown(word: str) -> str:
    return word if len(word) <= SHOWN_MAX else word[: SHOWN_MAX - 1] + "…"


# -- who runs where


def server(node_name: str, input: str | None = None) -> list[Child]:
    """The agents of the server node.

    Args:
        node_name: its name.
        input: the file to count; by default the prose that every CPython carries.

    Raises:
        InputMissing, InputUnreadable, InputEmpty, InputBinary, InputTooLarge, WordTooLong: the
            file can't be counted.
    """
    path = input if input is not None else default_input()
    book = Book(path, read(path))
    return [
        Child(Totals, "totals", (book,)),
        Child(Splitter, "splitter", (book,)),
        Child(WordCounter, f"counter-{node_name}"),
    ]


def tab(node_name: str) -> list[Child]:
    """The agents of a tab."""
    return [Child(WordCounter, f"counter-{node_name}", (True,))]
