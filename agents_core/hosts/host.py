"""Where a child runs: in this interpreter, or in another one with bounds of its own."""

from __future__ import annotations

from dataclasses import dataclass

from agents_core.bounds import at_least, more_than
from agents_core.errors import InvalidSpec
from agents_core.ids import agent_id

INLINE = "inline"
WORKER = "worker"

AGENTS_MAX = 100
"""Agents in one host: all of them die with it."""

MAILBOX_MAX = 10_000
"""Messages that wait for the agents of one host, all of them together."""

HEAP_BYTES = 1024**3
"""Memory of a host; what a tab's Python takes it never gives back, and at 4 GiB it can't go on."""

HEAP_BYTES_MIN = 64 * 1024**2
"""A Python of its own takes about half of that before it runs anything."""

ANSWER_S = 2.0
"""Seconds without any sign of life after which a host is taken for hung."""

ANSWER_S_MIN = 0.02
START_S = 60.0
"""Seconds for an interpreter to come up: a tab's first one has to be downloaded."""


@dataclass(frozen=True)
class Host:
    """Another interpreter: a worker of the page, or a process. `terminate` ends it for certain.

    Args:
        name: children that give the same name share it, and its death; empty for one of its own.
        agents: how many it takes.
        mailbox: messages that may wait for all of its agents together.
        heap: bytes. It is replaced when it has more; an allocation beyond a quarter above that
            fails with MemoryError, which ends it too.
        answer: seconds without a sign of life, as in an endless loop, after which it is replaced.
            A handler that computes for longer without awaiting needs more.
        start: seconds for it to come up.
        environment: variables that a process has beside those that any program needs.
        packages: what a tab's host installs: wheels by URL, or names that Pyodide knows.

    Raises:
        InvalidAgentId: the name can't be a token.
        InvalidSpec: another value makes no sense.
    """

    name: str = ""
    agents: int = AGENTS_MAX
    mailbox: int = MAILBOX_MAX
    heap: int = HEAP_BYTES
    answer: float = ANSWER_S
    start: float = START_S
    environment: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.name != "":
            agent_id(self.name)
        if self.name in {INLINE, WORKER}:
            raise InvalidSpec(f"a host can't be called {self.name!r}")
        at_least("agents of a host", self.agents, 1)
        at_least("mailbox of a host", self.mailbox, 1)
        at_least("heap of a host", self.heap, HEAP_BYTES_MIN)
        if not isinstance(self.heap, int):  # a process's bound can't be a float
            raise InvalidSpec(f"heap of a host is a whole number of bytes, not {self.heap!r}")
        at_least("answer of a host", self.answer, ANSWER_S_MIN)
        more_than("start of a host", self.start, 0)
        _texts("environment", self.environment)
        _texts("packages", self.packages)

    @classmethod
    def of(cls, where: str | Host) -> Host | None:
        """What `Child.host` says; None for this interpreter."""
        if isinstance(where, Host):
            return where
        if where == INLINE:
            return None
        if where is None or where == "":  # a host of its own has no name, but is asked for by one
            raise InvalidSpec(f"host is {INLINE}, {WORKER}, a name or a Host, not {where!r}")
        return cls() if where == WORKER else cls(where)

    @property
    def wall(self) -> int:
        """Bytes beyond which nothing can be allocated: what is between is for noticing it."""
        return self.heap + self.heap // 4


def _texts(name: str, values: tuple[str, ...]) -> None:
    """Refuse a text in place of several: it would be taken letter by letter."""
    if not isinstance(values, tuple | list) or not all(isinstance(v, str) for v in values):
        raise InvalidSpec(f"{name} of a host is a tuple of texts, not {values!r}")
