"""Names of keys (ADR-6), and patterns of keys."""

from __future__ import annotations

import re
from collections.abc import Sequence

from agents_core.nats.jetstream.kv_errors import InvalidKeyName

_TOKEN = r"[A-Za-z0-9_/=-]+"
_KEY = re.compile(rf"(?!_kv){_TOKEN}(?:\.{_TOKEN})*")
_PATTERN = re.compile(rf"(?:(?:{_TOKEN}|\*)\.)*(?:{_TOKEN}|\*|>)")


def check_key(key: str) -> str:
    """Check a key.

    Raises:
        InvalidKeyName: it can't be one, or is reserved.
    """
    if not isinstance(key, str) or not _KEY.fullmatch(key):
        raise InvalidKeyName(str(key))
    return key


def check_patterns(keys: str | Sequence[str]) -> list[str]:
    """Check a pattern or several: keys in which a token may be `*`, and the last one `>`.

    Empty text is the whole bucket, as is `>`.

    Raises:
        InvalidKeyName: one can't match any key, or there is none.
    """
    patterns = [keys or ">"] if isinstance(keys, str) else list(keys)
    for pattern in patterns:
        if not isinstance(pattern, str) or not _PATTERN.fullmatch(pattern):
            raise InvalidKeyName(str(pattern))
    if not patterns:
        raise InvalidKeyName("")
    return patterns
