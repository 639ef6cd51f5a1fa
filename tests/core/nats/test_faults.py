"""The server's texts and what they mean."""

from __future__ import annotations

import pytest

from agents_core.errors import (
    AuthorizationError,
    PermissionsViolation,
    ServerError,
    SubscriptionRefused,
)
from agents_core.nats.faults import classify, may_close


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
    error = classify(text)
    assert type(error) is AuthorizationError
    assert may_close(error)


@pytest.mark.parametrize(
    ("text", "operation", "subject", "queue", "sid"),
    [
        ('Permissions Violation for Publish to "a.b"', "publish", "a.b", "", ""),
        ('Permissions Violation for Publish with Reply of "r"', "publish", "r", "", ""),
        ('permissions violation for subscription to "a"', "subscription", "a", "", ""),
        (
            'Permissions Violation for Subscription to "a" using queue "q" (sid "7")',
            "subscription",
            "a",
            "q",
            "7",
        ),
        (
            r'Permissions Violation for Subscription to "a\"b\\c" using queue "\"" (sid "7")',
            "subscription",
            'a"b\\c',
            '"',
            "7",
        ),
        (
            r'Permissions Violation for Publish to "\x7f\xff\u00ad\U000e0001\a\x\U00ffffff"',
            "publish",
            "\x7f\udcff\xad\U000e0001\axU00ffffff",
            "",
            "",
        ),
        (
            'Permissions Violation for Subscription to "a", too many tokens',
            "subscription",
            "a",
            "",
            "",
        ),
    ],
)
def test_about_one_subject(text: str, operation: str, subject: str, queue: str, sid: str) -> None:
    error = classify(text)
    assert isinstance(error, PermissionsViolation)
    assert (error.operation, error.subject) == (operation, subject)
    assert (error.queue, error.sid) == (queue, sid)
    assert str(error) == f"server: {text}"
    assert not may_close(error)


@pytest.mark.parametrize("text", ["maximum subscriptions exceeded", "Invalid Subject"])
def test_about_a_subscription_that_is_not_named(text: str) -> None:
    error = classify(text)
    assert type(error) is SubscriptionRefused
    assert not may_close(error)


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
    error = classify(text)
    assert type(error) is ServerError
    assert may_close(error)


def test_a_complaint_about_one_message_is_not_about_the_connection() -> None:
    assert not may_close(classify("Invalid Publish Subject"))
