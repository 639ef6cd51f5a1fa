"""Errors across nodes: named, with their data, and made again on the other side."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from agents_core import errors
from agents_core.errors import AgentsError, RemoteError
from agents_core.nats.micro.request import error_headers

_TRAVEL: dict[str, type[AgentsError]] = {
    kind.__name__: kind
    for kind in (
        errors.AgentExists,
        errors.AgentNotFound,
        errors.AgentStopped,
        errors.EncodeError,
        errors.InvalidKey,
        errors.InvalidMessage,
        errors.MailboxFull,
        errors.MaxPayloadExceeded,
        errors.RemoteError,
        errors.StateCorrupt,
        errors.UnhandledMessage,
    )
}
_CODES = {"AgentNotFound": 404, "UnhandledMessage": 404, "InvalidMessage": 400, "MailboxFull": 429}


def to_json(error: Exception) -> dict[str, Any]:
    """What is sent in place of a reply's payload."""
    name = type(error).__name__
    data = error.data() if isinstance(error, AgentsError) and name in _TRAVEL else {}
    return {"error": {"name": name, "data": data, "message": str(error)}}


def headers(error: Exception) -> dict[str, str]:
    """The headers of an error reply, as services set them (ADR-32); the body says it all."""
    name = type(error).__name__
    return error_headers(_CODES.get(name, 500), f"{name}: {error}")


def from_json(payload: Any, agent: str) -> AgentsError:
    """The error that the other side named; a name that is not known becomes a `RemoteError`."""
    found = payload.get("error") if isinstance(payload, dict) else None
    found = found if isinstance(found, dict) else {}
    kind, data = _TRAVEL.get(str(found.get("name"))), found.get("data")
    if kind is not None and isinstance(data, dict):
        with suppress(TypeError):  # other fields than ours: another version's error
            return kind(**data)
    return RemoteError(agent, str(found.get("name")), str(found.get("message")))
