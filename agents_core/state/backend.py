"""The seam to storage."""

from __future__ import annotations

from typing import Protocol, TypeAlias

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
"""A value that JSON can carry."""

KEY_BYTES_MAX = 512
"""Bytes of UTF-8 in a key, the agent's id included."""


class MemoryBackend(Protocol):
    """Keys and JSON values, kept for agents; the seed's trait, names and return shapes unchanged.

    A value given to `store` is copied: changing it later does not change what is stored.
    """

    async def store(self, key: str, value: Json) -> None:
        """Keep `value`; when this returns it is as durable as the backend promises.

        Raises:
            InvalidKey: the key is empty or too long.
            EncodeError: the value has no JSON form.
        """
        ...

    async def retrieve(self, key: str) -> Json:
        """The value of `key`, or None if there is none."""
        ...

    async def delete(self, key: str) -> bool:
        """Forget `key`; True if it was there."""
        ...

    async def list_keys(self, prefix: str | None = None) -> list[str]:
        """The keys that begin with `prefix`, sorted; all of them without one."""
        ...

    async def clear(self) -> None:
        """Forget everything."""
        ...
