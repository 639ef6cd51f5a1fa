"""What the server's -ERR means. Its texts are the protocol: there are no codes."""

from __future__ import annotations

import re

from agents_core.errors import (
    AuthorizationError,
    PermissionsViolation,
    ServerError,
    SubscriptionRefused,
)

_QUOTED = r"\"((?:[^\"\\]|\\.)*)\""
_PERMISSION = re.compile(
    r"permissions violation for (publish|subscription) (?:to|with reply of) " + _QUOTED,
    re.IGNORECASE,
)
_QUEUE = re.compile(f"using queue {_QUOTED}")
_SID = re.compile(rf"\(sid {_QUOTED}\)")
_ESCAPED = re.compile(r"\\(x[0-9a-f]{2}|u[0-9a-f]{4}|U00(?:0[0-9a-f]|10)[0-9a-f]{4}|.)")
_LETTERS = dict(zip("abfnrtv", "\a\b\f\n\r\t\v", strict=True))
_AUTHORIZATION = (
    "authorization violation",
    "authentication expired",
    "authentication revoked",
)
_REFUSED = ("maximum subscriptions exceeded", "invalid subject")
_HARMLESS = ("invalid publish subject",)


def classify(text: str) -> ServerError:
    """The named error for a text.

    About one subject, about one subscription, about who we are, or merely the server's words.
    """
    if found := _PERMISSION.search(text):
        queue, sid = _QUEUE.search(text), _SID.search(text)
        names = queue[1] if queue else "", sid[1] if sid else ""
        return PermissionsViolation(
            text, found[1].lower(), _unquoted(found[2]), *map(_unquoted, names)
        )
    if _says(text, _REFUSED):
        return SubscriptionRefused(text)
    if _says(text, _AUTHORIZATION):
        return AuthorizationError(text)
    return ServerError(text)


def may_close(error: ServerError) -> bool:
    """Whether the server may be about to close the connection because of this.

    Only where it certainly is not is the answer no: of a text that nobody has heard of, yes.
    """
    stays = isinstance(error, PermissionsViolation | SubscriptionRefused)
    return not stays and not _says(error.text, _HARMLESS)


def _unquoted(text: str) -> str:
    """What the server has quoted as Go does (`%q`)."""
    return _ESCAPED.sub(_character, text)


def _character(escaped: re.Match[str]) -> str:
    code = escaped[1]
    if len(code) == 1:
        return _LETTERS.get(code, code)
    number = int(code[1:], 16)
    return chr(number if len(code) > 3 or number < 0x80 else 0xDC00 + number)  # a byte, not UTF-8


def _says(text: str, phrases: tuple[str, ...]) -> bool:
    return any(phrase in text.lower() for phrase in phrases)
