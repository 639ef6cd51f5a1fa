"""What the checks of every bus share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from agents_core.bus import Bus

Check: TypeAlias = Callable[[Bus, Bus], Awaitable[None]]
"""Called with two buses that are connected to the same place."""

SECONDS_MAX = 10.0
"""A message that takes longer will not come."""


class Raises:
    """`with Raises(NoResponders):` fails unless that is raised."""

    def __init__(self, kind: type[Exception]) -> None:
        self._kind = kind

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        if kind is None:
            raise AssertionError(f"{self._kind.__name__} was not raised")
        return issubclass(kind, self._kind)
