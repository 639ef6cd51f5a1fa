"""State that lives as long as the node."""

from __future__ import annotations

from agents_core import jsonvalue
from agents_core.errors import InvalidKey
from agents_core.state.backend import KEY_BYTES_MAX, Json


def check_key(key: str) -> None:
    """Check a key.

    Raises:
        InvalidKey: it is empty, too long, or no text that UTF-8 can carry.
    """
    try:
        size = len(key.encode()) if isinstance(key, str) else 0
    except UnicodeEncodeError:
        size = 0
    if not 0 < size <= KEY_BYTES_MAX:
        raise InvalidKey(str(key), KEY_BYTES_MAX)


class InMemoryBackend:
    """A `MemoryBackend` in a dictionary.

    Values are kept encoded, so nobody can change what is stored.
    """

    def __init__(self) -> None:
        self._values: dict[str, bytes] = {}

    async def store(self, key: str, value: Json) -> None:
        """See `MemoryBackend.store`."""
        check_key(key)
        self._values[key] = jsonvalue.dumps(value)

    async def retrieve(self, key: str) -> Json:
        """See `MemoryBackend.retrieve`."""
        data = self._values.get(key)
        value: Json = None if data is None else jsonvalue.loads(data)
        return value

    async def delete(self, key: str) -> bool:
        """See `MemoryBackend.delete`."""
        return self._values.pop(key, None) is not None

    async def list_keys(self, prefix: str | None = None) -> list[str]:
        """See `MemoryBackend.list_keys`."""
        return sorted(key for key in self._values if key.startswith(prefix or ""))

    async def clear(self) -> None:
        """See `MemoryBackend.clear`."""
        self._values.clear()
