"""The one place that knows where Python runs."""

from __future__ import annotations

import sys

import pytest

from agents_core import nats, platform
from agents_core.errors import AgentsError


def test_the_platform_of_this_interpreter() -> None:
    current = platform.current()
    assert current is platform.current()
    assert ("browser" if sys.platform == "emscripten" else "server") == current.NAME
    assert "://" in current.default_url()


async def test_the_client_dials_through_it() -> None:
    with pytest.raises(AgentsError):  # nobody listens there, or there is no TCP at all
        await nats.connect("nats://127.0.0.1:1", connect_timeout=5)
