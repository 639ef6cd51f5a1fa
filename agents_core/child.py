"""What is to be supervised, and how: specifications as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

from agents_core.agent import Agent
from agents_core.bounds import at_least, more_than
from agents_core.errors import InvalidSpec
from agents_core.hosts.host import INLINE, Host
from agents_core.ids import AgentId, agent_id
from agents_core.restart import Restart, Strategy
from agents_core.state.backend import MemoryBackend

MAILBOX_MAX = 1000
"""Messages that wait in a mailbox before it refuses more; the seed's had no bound at all."""

SHUTDOWN_S = 5.0
"""Seconds a child has to end in order before it is killed (OTP's default for workers)."""


@dataclass(frozen=True)
class Child:
    """One agent to run.

    Args:
        cls: the agent's class.
        id: its name in the space.
        args, kwargs: for the class, at each start; nothing carries over from a crashed instance.
        restart: `permanent` (always), `transient` (unless it ended in order), `temporary` (never).
        state: `memory`, a URL such as `file:./state`, or a backend.
        mailbox: messages that may wait.
        shutdown: seconds to end in order before it is killed.
        host: `inline`, in this interpreter; `worker`, in one of its own, which can be ended
            whatever it does; the name of one that several agents share; or a `Host` with bounds.
            Its class is then imported there by name, and `args` and `kwargs` are JSON.
        deadline: seconds that the handling of one message may await before the agent is killed;
            None for no bound. One that does not await is the host's to end: see `Host.answer`.

    Raises:
        InvalidAgentId: the id, or the host's name, can't be a token of a subject.
        InvalidSpec: another value makes no sense.
    """

    cls: type[Agent]
    id: str
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    restart: Restart = "permanent"
    state: str | MemoryBackend = "memory"
    mailbox: int = MAILBOX_MAX
    shutdown: float = SHUTDOWN_S
    host: str | Host = INLINE
    deadline: float | None = None

    def __post_init__(self) -> None:
        if not (isinstance(self.cls, type) and issubclass(self.cls, Agent)):
            raise InvalidSpec(f"{self.cls!r} is not a class derived from Agent")
        agent_id(self.id)
        if not isinstance(self.args, tuple | list):  # ("text") is a text
            raise InvalidSpec(f"args is a tuple, not {self.args!r}")
        if not isinstance(self.kwargs, Mapping):
            raise InvalidSpec(f"kwargs is a dict, not {self.kwargs!r}")
        _one_of("restart", self.restart, Restart)
        made = hasattr(self.state, "retrieve") and not isinstance(self.state, type)
        if not (isinstance(self.state, str) or made):
            raise InvalidSpec(f"state is a text or a backend, not {self.state!r}")
        at_least("mailbox", self.mailbox, 1)
        at_least("shutdown", self.shutdown, 0)
        if self.deadline is not None:
            more_than("deadline", self.deadline, 0)
        Host.of(self.host)


@dataclass(frozen=True)
class Supervisor:
    """A supervisor and its children, started in order and stopped in reverse (OTP rule S1).

    Args:
        children: agents and further supervisors.
        strategy: `one_for_one`, `one_for_all` or `rest_for_one` (S4, S5, S6).
        max_restarts: restarts allowed in `max_seconds`; one more and it gives up (I1). 3 in 5 s is
            Elixir's default, `math.inf` is never.
        max_seconds: the window.
        name: shown beside its agents.
        restart: how a supervisor above treats this one.
    """

    children: list[Child | Supervisor] = field(default_factory=list)
    strategy: Strategy = "one_for_one"
    max_restarts: float = 3
    max_seconds: float = 5.0
    name: str = "supervisor"
    restart: Restart = "permanent"

    def __post_init__(self) -> None:
        agent_id(self.name)
        if not isinstance(self.children, list | tuple):  # a generator would be used up here
            raise InvalidSpec(f"children is a list of Child and Supervisor, not {self.children!r}")
        if wrong := [c for c in self.children if not isinstance(c, Child | Supervisor)]:
            raise InvalidSpec(f"{wrong[0]!r} is neither a Child nor a Supervisor")
        _one_of("strategy", self.strategy, Strategy)
        _one_of("restart", self.restart, Restart)
        at_least("max_restarts", self.max_restarts, 0)
        more_than("max_seconds", self.max_seconds, 0)


@dataclass(frozen=True)
class AgentConfig:
    """The seed's way to describe an agent; `node.spawn(cls, config.id, state=config.state)`."""

    id: AgentId
    memory_backend_type: str = "memory"

    @property
    def state(self) -> str:
        """For `Child.state`."""
        return self.memory_backend_type


def _one_of(name: str, value: str, literal: Any) -> None:
    if value not in get_args(literal):
        raise InvalidSpec(f"{name} is one of {', '.join(get_args(literal))}, not {value!r}")
