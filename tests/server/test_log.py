"""What is written of a text that holds credentials."""

from __future__ import annotations

import pytest

from agents_server.log import redacted


@pytest.mark.parametrize("user", ["ada:secret@", "secret@", "ada:sec@ret@", "ada:s:ecret@x@"])
def test_credentials_of_urls_are_not_shown(user: str) -> None:
    """An @ need not be percent-encoded: the last one is in front of the host."""
    text = f"can't reach nats://{user}one:4222, wss://{user}two/path: it is away, ask a@b"
    shown = "can't reach nats://***@one:4222, wss://***@two/path: it is away, ask a@b"
    assert redacted(text) == shown
