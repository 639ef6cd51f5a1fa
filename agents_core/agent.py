"""What a user writes: a class with handlers, state, and a few hooks."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any, ClassVar

from agents_core.errors import UnhandledMessage
from agents_core.handlers import Handlers, collect

if TYPE_CHECKING:
    from agents_core.context import Context
    from agents_core.exit import Exit
    from agents_core.ids import AgentId
    from agents_core.message import Message
    from agents_core.state.agent_state import AgentState


TYPE_CHARS_MAX = 128
"""Characters of a type's name in an error; what is longer is no name but a text."""


class Agent:
    """Base class of agents. Hooks may be plain methods or coroutine functions.

    An agent handles one message at a time, in the order of arrival. When a handler or a hook
    raises, the instance is dropped and its supervisor decides; a restarted agent is a new instance
    with the same id, mailbox and state.

    Attributes:
        id: its name in the space.
        state: keys and values that outlive a crash.
        ctx: its node, the current message, and what it can do.
    """

    id: AgentId
    state: AgentState
    ctx: Context
    __agents_handlers__: ClassVar[Handlers] = Handlers()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.__agents_handlers__ = collect(cls)

    def on_start(self) -> Awaitable[None] | None:
        """Called before the first message; its end is the end of `spawn`."""

    def on_restart(self, reason: Exit) -> Awaitable[None] | None:
        """Called on the new instance, before `on_start`, with the reason of the one before."""

    def on_stop(self, reason: Exit) -> Awaitable[None] | None:
        """Called when the agent ends in order; not when it crashed or was killed."""

    def on_suspend(self, why: str) -> Awaitable[None] | None:
        """Called, ahead of what waits, when the agent may stop running at any moment.

        It is the time to save what matters: there may be no later one. It may also be called again,
        as when a tab is first hidden and then frozen, or be followed by nothing but more messages.

        Args:
            why: `"hidden"`: nobody looks at the tab, and it runs on; on a phone that is often the
                last that is heard. `"frozen"`: it stands still from now on. `"cached"`: the user
                has left the page, and may come back to it.
        """

    def on_resume(self, slept: float) -> Awaitable[None] | None:
        """Called, ahead of what waits, when that is over.

        Also after a sleep that nobody announced, as of a whole machine.

        Args:
            slept: seconds in which nothing ran here; 0 if the tab was only hidden.
        """

    def on_message(self, message: Message) -> Any:
        """Called for a message that no handler takes; what it returns is the reply.

        Raises:
            UnhandledMessage: always, unless overridden; it is the answer, and the agent goes on.
        """
        raise UnhandledMessage(self.id, self.ctx.type[:TYPE_CHARS_MAX])
