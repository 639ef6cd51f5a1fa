"""What a case is given."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from agents_core import nats


class NatsJs(Protocol):
    """A nats.js client that runs pieces of JavaScript for a test."""

    async def run(self, code: str, **values: Any) -> Any:
        """Run the body of an async function and give what it returns.

        Args:
            code: it sees the connection as `nc`, nats.js as `nats`, the helpers of `nats_js.mjs`
                and, as `kept`, what earlier pieces left there.
            **values: what else it sees; JSON.

        Raises:
            Exception: it raised.
        """
        ...


Case = Callable[[nats.Client, NatsJs], Awaitable[None]]
