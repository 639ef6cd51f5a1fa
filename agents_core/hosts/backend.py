"""State of hosted agents: it stays with the parent, so that a new host finds it again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agents_core import jsonvalue
from agents_core.state.memory import check_key

if TYPE_CHECKING:
    from agents_core.hosts.channel import Channel
    from agents_core.ids import AgentId
    from agents_core.state.backend import Json, MemoryBackend


class PipeBackend:
    """The `MemoryBackend` of one agent, on the other side of the pipe.

    Args:
        agent: whose; the parent looks its backend up.
        channel: to the parent.
    """

    def __init__(self, agent: AgentId, channel: Channel) -> None:
        self._agent = agent
        self._channel = channel

    async def store(self, key: str, value: Json) -> None:
        """See `MemoryBackend.store`."""
        check_key(key)
        await self._ask("store", key, jsonvalue.dumps(value))

    async def retrieve(self, key: str) -> Json:
        """See `MemoryBackend.retrieve`."""
        found: Json = await self._ask("retrieve", key)
        return found

    async def delete(self, key: str) -> bool:
        """See `MemoryBackend.delete`."""
        return bool(await self._ask("delete", key))

    async def list_keys(self, prefix: str | None = None) -> list[str]:
        """See `MemoryBackend.list_keys`."""
        found: list[str] = await self._ask("list_keys", prefix)
        return found

    async def clear(self) -> None:
        """See `MemoryBackend.clear`."""
        await self._ask("clear", None)

    async def _ask(self, what: str, key: str | None, value: bytes = b"") -> Any:
        self._channel.check()
        return await self._channel.ask("state", self._agent, what, key, payload=value)


async def perform(backend: MemoryBackend, what: str, key: str | None, value: bytes) -> Any:
    """What `PipeBackend` asked for, done by the parent."""
    match what, key:
        case "store", str(key):
            return await backend.store(key, jsonvalue.loads(value))
        case "retrieve", str(key):
            return await backend.retrieve(key)
        case "delete", str(key):
            return await backend.delete(key)
        case "list_keys", prefix:
            return await backend.list_keys(prefix)
        case _:
            return await backend.clear()
