"""Errors across nodes."""

from __future__ import annotations

from typing import Any

import pytest

from agents_core import errors, faults, jsonvalue
from agents_core.errors import AgentsError, MailboxFull, RemoteError
from agents_core.nats.micro.request import DESCRIPTION_CHARS_MAX


@pytest.mark.parametrize(
    "error",
    [
        errors.AgentExists("a"),
        errors.AgentNotFound("a"),
        errors.AgentStopped("a"),
        errors.EncodeError("set", "no JSON"),
        errors.HostFull("h", 5, "agents"),
        errors.InvalidKey("k", 512),
        errors.InvalidMessage("no"),
        errors.MailboxFull("a", 5),
        errors.MaxPayloadExceeded(2, 1),
        errors.RemoteError("a", "ValueError", "text", "trace"),
        errors.StateCorrupt("k", "checksum"),
        errors.UnhandledMessage("a", "x"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_named_error_is_made_again_on_the_other_side(error: AgentsError) -> None:
    found = faults.from_json(jsonvalue.loads(jsonvalue.dumps(faults.to_json(error))), "a")
    assert type(found) is type(error)
    assert found.data() == error.data()
    assert str(found) == str(error)


@pytest.mark.parametrize(
    "payload",
    [
        faults.to_json(ValueError("text")),
        {"error": {"name": "FromTheFuture", "message": "text", "data": {}}},
        {"error": {"name": "MailboxFull", "message": "text", "data": {"other": 1}}},
        {"error": {"name": "MailboxFull", "message": "text", "data": []}},
    ],
)
def test_an_error_that_is_not_known_here_is_a_remote_error(payload: Any) -> None:
    found = faults.from_json(payload, "a")
    assert isinstance(found, RemoteError)
    assert (found.agent, found.message) == ("a", "text")


def test_texts_that_utf_8_can_not_carry_are_spelled_out() -> None:
    for inside in (False, True):
        sent = faults.to_json(errors.UnhandledMessage("a", "\ud800"), inside=inside)
        found = faults.from_json(jsonvalue.loads(jsonvalue.dumps(sent)), "a", inside=inside)
        assert found.data() == {"agent": "a", "type": "\\ud800"}
    jsonvalue.dumps(faults.to_json(ValueError("\ud800")))


@pytest.mark.parametrize("payload", [None, [], {}, {"error": "text"}])
def test_garbage_in_place_of_an_error_is_a_remote_error(payload: Any) -> None:
    assert isinstance(faults.from_json(payload, "a"), RemoteError)


def test_the_headers_are_those_of_a_nats_service() -> None:
    assert faults.headers(MailboxFull("a", 5)) == {
        "Nats-Service-Error": "MailboxFull: the mailbox of agent 'a' is full (5 messages)",
        "Nats-Service-Error-Code": "429",
    }
    found = faults.headers(ValueError("two\r\nlines " + "x" * 5000))
    assert found["Nats-Service-Error"].startswith("ValueError: two lines x")
    assert len(found["Nats-Service-Error"]) == DESCRIPTION_CHARS_MAX
    assert found["Nats-Service-Error-Code"] == "500"


@pytest.mark.parametrize(
    "error",
    [
        errors.AskTimeout("a", 1.5),
        errors.NotConnected("nats://localhost:4222"),
        errors.OutboundBufferFull(8),
        errors.StorageError("state", "full"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_between_interpreters_of_a_node_every_error_is_made_again(error: AgentsError) -> None:
    body = jsonvalue.dumps(faults.to_json(error, inside=True))
    found = faults.from_json(jsonvalue.loads(body), "a", inside=True)
    assert type(found) is type(error)
    assert found.data() == error.data()
    elsewhere = faults.from_json(jsonvalue.loads(jsonvalue.dumps(faults.to_json(error))), "a")
    assert isinstance(elsewhere, RemoteError)
