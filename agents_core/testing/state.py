"""What every `MemoryBackend` promises, as checks that any test can call.

for check in state.CHECKS:
    async with make_backend() as backend:
        await check(backend)
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from agents_core.errors import EncodeError, InvalidKey
from agents_core.state.backend import KEY_BYTES_MAX, MemoryBackend

Check: TypeAlias = Callable[[MemoryBackend], Awaitable[None]]

VALUES: tuple[object, ...] = (
    0,
    -1.5,
    True,
    "",
    "ünïcode \u2028 😀",
    [],
    {},
    [None, {"a": [1, {"b": "c"}]}],
    2**200,
)


async def keeps_values(backend: MemoryBackend) -> None:
    """What was stored is retrieved, of the same type."""
    for number, value in enumerate(VALUES):
        await backend.store(f"key {number}", value)  # type: ignore[arg-type]
    for number, value in enumerate(VALUES):
        found = await backend.retrieve(f"key {number}")
        assert found == value, f"{found!r} instead of {value!r}"
        assert type(found) is type(value), f"{found!r} instead of {value!r}"


async def keeps_the_last(backend: MemoryBackend) -> None:
    """The last `store` of a key counts."""
    for value in range(20):
        await backend.store("key", value)
    assert await backend.retrieve("key") == 19, "an older value was kept"


async def knows_nothing_of_others(backend: MemoryBackend) -> None:
    """A key that was not stored has no value."""
    await backend.store("a", 1)
    assert await backend.retrieve("b") is None, "a value came from nowhere"
    assert await backend.retrieve("A") is None, "keys have to be told apart by case"


async def copies(backend: MemoryBackend) -> None:
    """Changing a value after `store`, or one that was retrieved, changes nothing stored."""
    value: dict[str, list[int]] = {"list": [1]}
    await backend.store("key", value)  # type: ignore[arg-type]
    value["list"].append(2)
    found = await backend.retrieve("key")
    assert found == {"list": [1]}, "the stored value changed with the caller's"
    assert isinstance(found, dict)
    found["list"] = 3
    assert await backend.retrieve("key") == {"list": [1]}, "the stored value changed with a copy"


async def deletes(backend: MemoryBackend) -> None:
    """`delete` forgets a key and says whether it was there."""
    await backend.store("key", 1)
    assert await backend.delete("key") is True, "it was there"
    assert await backend.delete("key") is False, "it was not there any more"
    assert await backend.retrieve("key") is None, "it is still there"


async def lists_keys(backend: MemoryBackend) -> None:
    """`list_keys` is sorted and takes a prefix."""
    for key in ("b:2", "a:1", "b:1", "b"):
        await backend.store(key, None)
    assert await backend.list_keys() == ["a:1", "b", "b:1", "b:2"], "all keys, sorted"
    assert await backend.list_keys("b:") == ["b:1", "b:2"], "those that begin so"
    assert await backend.list_keys("c") == [], "there are none"


async def clears(backend: MemoryBackend) -> None:
    """`clear` forgets everything, and the backend goes on."""
    await backend.store("a", 1)
    await backend.store("b", 2)
    await backend.clear()
    assert await backend.list_keys() == [], "something is left"
    await backend.store("a", 3)
    assert await backend.retrieve("a") == 3, "it does not go on"


async def takes_any_key(backend: MemoryBackend) -> None:
    """A key is text, never a path."""
    keys = ["../up", "/etc/passwd", "a/b", "C:\\x", ".", "..", "nul\0", "line\nbreak", " ", "ключ"]
    keys.append("k" * KEY_BYTES_MAX)
    for key in keys:
        await backend.store(key, key)
    for key in keys:
        assert await backend.retrieve(key) == key, f"{key!r} is another key's"
    assert await backend.list_keys() == sorted(keys), "a key was changed"


async def refuses_bad_keys(backend: MemoryBackend) -> None:
    """An empty key, one that is too long, one that UTF-8 can't carry: `InvalidKey`."""
    for key in ("", "k" * (KEY_BYTES_MAX + 1), "\ud800"):
        try:
            await backend.store(key, 1)
        except InvalidKey:
            continue
        raise AssertionError(f"{key!r} was taken")


async def refuses_what_is_not_json(backend: MemoryBackend) -> None:
    """A value without a JSON form: `EncodeError`, and the value before it stays."""
    await backend.store("key", "before")
    for value in (object(), {1: 2}, float("nan"), b"bytes", {"a": {1, 2}}, 10**1000):
        try:
            await backend.store("key", value)  # type: ignore[arg-type]
        except EncodeError:
            continue
        raise AssertionError(f"{value!r} was taken")
    assert await backend.retrieve("key") == "before", "a refused value left something behind"


CHECKS: tuple[Check, ...] = (
    keeps_values,
    keeps_the_last,
    knows_nothing_of_others,
    copies,
    deletes,
    lists_keys,
    clears,
    takes_any_key,
    refuses_bad_keys,
    refuses_what_is_not_json,
)
