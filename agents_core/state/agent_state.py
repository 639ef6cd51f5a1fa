"""One agent's part of a backend."""

from __future__ import annotations

from typing import Any, assert_never

from agents_core.errors import AgentStopped, InvalidKey
from agents_core.ids import AgentId
from agents_core.state.actions import Clear, Delete, Get, List, StateAction, Store
from agents_core.state.backend import KEY_BYTES_MAX, Json, MemoryBackend


class AgentState:
    """Keys and values of one agent; its keys in the backend begin with `<agent id>:`.

    Args:
        agent: whose state it is.
        backend: where it is kept; several agents may share one.
    """

    def __init__(self, agent: AgentId, backend: MemoryBackend) -> None:
        self.agent = agent
        self.backend = backend
        self._prefix = f"{agent}:"
        self._ended = False

    def end(self) -> None:
        """Its instance is gone, and what outlives it changes nothing; called by its cell."""
        self._ended = True

    def _check(self) -> None:
        if self._ended:
            raise AgentStopped(self.agent)

    def _key(self, key: str) -> str:
        """What it is called in the backend, which checks the rest."""
        if not isinstance(key, str):
            raise InvalidKey(str(key), KEY_BYTES_MAX)
        return self._prefix + key

    async def get(self, key: str, default: Any = None) -> Any:
        """The value of `key`, or `default` if there is none (a stored null counts as none).

        Raises:
            InvalidKey: the key is no text.
        """
        value = await self.backend.retrieve(self._key(key))
        return default if value is None else value

    async def set(self, key: str, value: Any) -> None:
        """Keep a JSON value; when this returns it is as durable as the backend promises.

        Raises:
            InvalidKey: the key is no text, or too long.
            EncodeError: the value has no JSON form.
            AgentStopped: whose `self.state` it is has ended; the next instance may run already.
        """
        self._check()
        await self.backend.store(self._key(key), value)

    async def delete(self, key: str) -> bool:
        """Forget `key`; True if it was there; raises as `set` does."""
        self._check()
        return await self.backend.delete(self._key(key))

    async def keys(self, prefix: str = "") -> list[str]:
        """This agent's keys that begin with `prefix`, sorted."""
        found = await self.backend.list_keys(self._key(prefix))
        return [key.removeprefix(self._prefix) for key in found]

    async def items(self) -> dict[str, Json]:
        """Everything of this agent."""
        return {key: await self.get(key) for key in await self.keys()}

    async def clear(self) -> None:
        """Forget everything of this agent, and nothing of others."""
        for key in await self.keys():
            await self.delete(key)

    async def handle(self, action: StateAction) -> Json:
        """Do what an action says and return its result."""
        match action:
            case Store(key, value):
                await self.set(key, value)
                return None
            case Get(key):
                value = await self.get(key)
                return value  # type: ignore[no-any-return]
            case Delete(key):
                return await self.delete(key)
            case Clear():
                await self.clear()
                return None
            case List(prefix):
                return list(await self.keys(prefix))
            case _:
                assert_never(action)

    handle_state_action = handle
    """The seed's name for it."""
