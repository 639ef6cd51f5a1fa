"""The handle to an agent, wherever it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from agents_core.state import actions
from agents_core.state.actions import StateAction
from agents_core.timers import check_seconds

if TYPE_CHECKING:
    from agents_core.ids import AgentId

ASK_S = 5.0
"""Seconds that `ask` waits by default, as gen_server's call does."""


class Carrier(Protocol):
    """Who gets messages to an agent: the node's router, or a host's passage to it."""

    def tell(self, to: str, payload: Any, sender: str) -> None:
        """See `AgentRef.tell`."""
        ...

    async def ask(self, to: str, payload: Any, sender: str, timeout: float) -> Any:
        """See `AgentRef.ask`."""
        ...

    async def control(self, to: str, body: dict[str, Any], sender: str) -> Any:
        """Stop, kill, info or state, as `body` says."""
        ...


class AgentRef:
    """Sends to one agent. It stays valid over restarts and moves, as it holds nothing but the id.

    Attributes:
        id: the agent's.
    """

    __slots__ = ("_router", "_sender", "id")

    def __init__(self, id: AgentId, router: Carrier, sender: str) -> None:
        self.id = id
        self._router = router
        self._sender = sender

    def tell(self, message: Any) -> None:
        """Send, at most once, and do not wait. A plain function.

        Args:
            message: a dataclass, or a JSON value; an object with a `"type"` member, or a bare
                string, names its handler.

        Raises:
            MailboxFull: the agent is on this node and its mailbox is full.
            Unsupported: it is said in another thread, or in another event loop.
            EncodeError: it is on another node, and the message has no JSON form.
            MaxPayloadExceeded, OutboundBufferFull, ConnectionClosed: see `Bus.publish`.
        """
        self._router.tell(self.id, message, self._sender)

    async def ask(self, message: Any, timeout: float = ASK_S) -> Any:
        """Send and return the handler's reply.

        Args:
            message: as for `tell`.
            timeout: seconds to wait.

        Raises:
            AskTimeout: no reply in time; the outcome is unknown.
            AgentNotFound: no node has this agent; known at once.
            NotConnected: it is not on this node, and the connection is down.
            RemoteError: the handler raised.
            UnhandledMessage, InvalidMessage: no handler takes it, or it does not fit.
            MailboxFull, AgentStopped: it could not be handled.
            ValueError: the timeout is no number; nothing was sent.
        """
        check_seconds(timeout)
        return await self._router.ask(self.id, message, self._sender, timeout)

    async def stop(self) -> None:
        """End the agent in order; it is not restarted."""
        await self._router.control(self.id, {"action": "stop"}, self._sender)

    async def kill(self, reason: str = "") -> None:
        """End it at once, as a crash does; its supervisor decides what follows."""
        await self._router.control(self.id, {"action": "kill", "reason": reason}, self._sender)

    async def info(self) -> dict[str, Any]:
        """Its entry in its node's status: type, state, mailbox, handled, restarts."""
        found: dict[str, Any] = await self._router.control(
            self.id, {"action": "info"}, self._sender
        )
        return found

    async def state(self, action: StateAction) -> Any:
        """Do something with its state, between two of its messages, and return the result.

        What the agent asks of itself so is done at once, as by `self.state`.

        Raises:
            AskTimeout: it had no time for it in 15 s; the outcome is unknown.
            RemoteError: the backend raised, or the agent was killed meanwhile.
        """
        body = {"action": "state", "state": actions.to_json(action)}
        return await self._router.control(self.id, body, self._sender)

    def __repr__(self) -> str:
        return f"AgentRef({self.id!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AgentRef) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)
