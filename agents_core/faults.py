"""Errors across nodes: named, with their data, and made again on the other side."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import is_dataclass
from typing import Any

from agents_core import errors
from agents_core.errors import AgentsError, RemoteError
from agents_core.exit import sendable
from agents_core.nats.micro.request import error_headers

_TRAVEL: dict[str, type[AgentsError]] = {
    kind.__name__: kind
    for kind in (
        errors.AgentExists,
        errors.AgentNotFound,
        errors.AgentStopped,
        errors.EncodeError,
        errors.HostFull,
        errors.InvalidKey,
        errors.InvalidMessage,
        errors.MailboxFull,
        errors.MaxPayloadExceeded,
        errors.RemoteError,
        errors.StateCorrupt,
        errors.UnhandledMessage,
    )
}
_INSIDE: dict[str, type[AgentsError]] = {
    name: kind
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, AgentsError) and is_dataclass(kind)
}
"""Between the interpreters of one node all of them mean the same on both sides: a `NotConnected`,
for example, is about the node's own connection."""

_CODES = {
    "AgentNotFound": 404,
    "UnhandledMessage": 404,
    "InvalidMessage": 400,
    "MailboxFull": 429,
    "HostFull": 429,
}


def to_json(error: Exception, *, inside: bool = False) -> dict[str, Any]:
    """What is sent in place of a reply's payload; lone surrogates in its texts are spelled out.

    Args:
        error: which.
        inside: it stays inside of this node, on its way to or from another interpreter.
    """
    name, kinds = type(error).__name__, _INSIDE if inside else _TRAVEL
    data = error.data() if isinstance(error, AgentsError) and name in kinds else {}
    data = {key: sendable(it) if isinstance(it, str) else it for key, it in data.items()}
    return {"error": {"name": name, "data": data, "message": sendable(str(error))}}


def headers(error: Exception) -> dict[str, str]:
    """The headers of an error reply, as services set them (ADR-32); the body says it all."""
    name = type(error).__name__
    return error_headers(_CODES.get(name, 500), f"{name}: {error}")


def from_json(payload: Any, agent: str, *, inside: bool = False) -> AgentsError:
    """The error that the other side named; a name that is not known becomes a `RemoteError`."""
    found = payload.get("error") if isinstance(payload, dict) else None
    found = found if isinstance(found, dict) else {}
    kinds = _INSIDE if inside else _TRAVEL
    kind, data = kinds.get(str(found.get("name"))), found.get("data")
    if kind is not None and isinstance(data, dict):
        with suppress(TypeError):  # other fields than ours: another version's error
            return kind(**data)
    return RemoteError(agent, str(found.get("name")), str(found.get("message")))
