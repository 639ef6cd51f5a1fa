"""What the server's -ERR means. Its texts are the protocol: there are no codes."""

from __future__ import annotations

import re

from agents_core.errors import AuthorizationError, PermissionsViolation, ServerError

_PERMISSION = re.compile(
    r"permissions violation for (publish|subscription) (?:to|with reply of) \"([^\"]*)\"",
    re.IGNORECASE,
)
_QUEUE = re.compile(r"using queue \"([^\"]+)\"")
_SID = re.compile(r"\(sid \"([^\"]+)\"\)")
_AUTHORIZATION = (
    "authorization violation",
    "authentication expired",
    "authentication revoked",
)


def classify(text: str) -> ServerError:
    """The named error for a text.

    About one subject, about who we are, or merely the server's words.
    """
    if found := _PERMISSION.search(text):
        return PermissionsViolation(text, found[1].lower(), found[2])
    if any(phrase in text.lower() for phrase in _AUTHORIZATION):
        return AuthorizationError(text)
    return ServerError(text)


def sid_of(text: str) -> bytes:
    """The subscription that a violation names, or empty where it names none."""
    found = _SID.search(text)
    return found[1].encode() if found else b""


def queue_of(text: str) -> str:
    """The queue group that a violation names, or empty where it names none."""
    found = _QUEUE.search(text)
    return found[1] if found else ""
