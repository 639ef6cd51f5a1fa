"""The server's texts and what they mean."""

from __future__ import annotations

import pytest

from agents_core.errors import AuthorizationError, PermissionsViolation, ServerError
from agents_core.nats.faults import classify, queue_of, sid_of


@pytest.mark.parametrize(
    "text",
    [
        "Authorization Violation",
        "User Authentication Expired",
        "Account Authentication Expired",
        "User Authentication Revoked",
        'authorization violation - Nkey "U"',
    ],
)
def test_about_who_we_are(text: str) -> None:
    assert type(classify(text)) is AuthorizationError


@pytest.mark.parametrize(
    ("text", "operation", "subject", "queue", "sid"),
    [
        ('Permissions Violation for Publish to "a.b"', "publish", "a.b", "", b""),
        ('Permissions Violation for Publish with Reply of "r"', "publish", "r", "", b""),
        ('permissions violation for subscription to "a"', "subscription", "a", "", b""),
        (
            'Permissions Violation for Subscription to "a" using queue "q" (sid "7")',
            "subscription",
            "a",
            "q",
            b"7",
        ),
        (
            'Permissions Violation for Subscription to "a", too many tokens',
            "subscription",
            "a",
            "",
            b"",
        ),
    ],
)
def test_about_one_subject(text: str, operation: str, subject: str, queue: str, sid: bytes) -> None:
    error = classify(text)
    assert isinstance(error, PermissionsViolation)
    assert (error.operation, error.subject) == (operation, subject)
    assert (queue_of(text), sid_of(text)) == (queue, sid)
    assert str(error) == f"server: {text}"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Stale Connection",
        "Permissions Violation",
        "Authentication Timeout",  # too slow, not refused: the same credentials may do next time
        "something new",
    ],
)
def test_merely_words(text: str) -> None:
    assert type(classify(text)) is ServerError
