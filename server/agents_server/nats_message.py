"""What nats-py can't send: for headers it has a dictionary where NATS has lines."""

from __future__ import annotations

import re

from agents_core.errors import Unsupported
from agents_core.nats.headers import HeadersLike, with_all_values

INSTEAD = "use our own client: agents_core.nats.connect, or ws://"

_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # a token of HTTP; NATS allows more


def check_text(text: str) -> None:
    """Check what goes into a control line.

    Raises:
        Unsupported: it holds bytes that are not UTF-8, which nats-py can't send.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Unsupported(f"{text!r}, which is not UTF-8, over nats-py", INSTEAD) from None


def single(headers: HeadersLike) -> dict[str, str]:
    """The headers as nats-py takes them, refused where it would change or drop them.

    Raises:
        Unsupported: a name has several values, or one that nats-py refuses; a value is not UTF-8,
            or has white space around it.
    """
    found = {}
    for name, value in with_all_values(headers).items():
        values = [value] if isinstance(value, str) else list(value)
        if len(values) > 1:
            raise Unsupported(f"several values of the header {name!r} over nats-py", INSTEAD)
        if not _NAME.fullmatch(name):
            raise Unsupported(f"the header name {name!r} over nats-py", INSTEAD)
        for item in values:
            check_text(item)
            if item != item.strip():
                raise Unsupported(f"white space around a header {name!r} over nats-py", INSTEAD)
            found[name] = item
    return found
