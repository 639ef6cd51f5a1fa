"""Ids of agents, nodes and messages."""

from __future__ import annotations

import os
import re
from typing import NewType

from agents_core.errors import InvalidAgentId

AgentId = NewType("AgentId", str)
"""The name of an agent, unique in its space. One token of a NATS subject."""

ID_CHARS_MAX = 128
"""A subject's token may be longer; a longer id is a mistake more often than a name."""

_ID = re.compile(rf"[A-Za-z0-9_-]{{1,{ID_CHARS_MAX}}}")
_ALPHABET = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_LETTERS = bytes(_ALPHABET[byte % len(_ALPHABET)] for byte in range(256))


def agent_id(value: str) -> AgentId:
    """Check that a string may name an agent or a node.

    Raises:
        InvalidAgentId: it is not 1 to 128 of `A-Z a-z 0-9 _ -`.
    """
    if not isinstance(value, str) or not _ID.fullmatch(value):
        raise InvalidAgentId(value)
    return AgentId(value)


def unique(length: int = 22) -> str:
    """A fresh random token of letters and digits; 22 of them hold 124 bits at least.

    Drawn from the system's randomness at every call: nothing that a memory snapshot of the
    interpreter could repeat, as two tabs restored from one must not share an id. In one draw, as
    every message has such an id. That 256 is no multiple of 62 makes eight characters a quarter
    more likely than the others.
    """
    return os.urandom(length).translate(_LETTERS).decode()
