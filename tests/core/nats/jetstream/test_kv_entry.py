"""What an entry's headers say: a value, or how the key was deleted."""

from __future__ import annotations

import pytest

from agents_core.nats.headers import Headers, encode_headers
from agents_core.nats.jetstream.kv_entry import Operation, operation_in, operation_of


@pytest.mark.parametrize(
    ("headers", "operation"),
    [
        ({}, None),
        ({"Nats-Msg-Size": "3"}, None),
        ({"KV-Operation": "PUT"}, None),
        ({"KV-Operation": "DEL"}, Operation.DEL),
        ({"KV-Operation": "PURGE", "Nats-Rollup": "sub"}, Operation.PURGE),
        ({"KV-Operation": "WIPE"}, Operation.DEL),
        ({"Nats-Marker-Reason": "MaxAge"}, Operation.PURGE),
        ({"Nats-Marker-Reason": "Purge"}, Operation.PURGE),
        ({"Nats-Marker-Reason": "Remove"}, Operation.DEL),
        ({"Nats-Marker-Reason": "Moved"}, Operation.DEL),
        ({"KV-Operation": "DEL", "Nats-Marker-Reason": "MaxAge"}, Operation.DEL),
    ],
)
def test_operations(headers: dict[str, str], operation: Operation | None) -> None:
    assert operation_of(Headers(list(headers.items()))) is operation
    assert operation_in(encode_headers(headers)) is operation


def test_a_value_that_names_a_header_is_a_value() -> None:
    assert operation_in(b"") is None
    assert operation_in(encode_headers({"Note": "KV-Operation"})) is None


def test_an_operation_is_its_word() -> None:
    assert Operation.DEL == "DEL"
    assert f"{Operation.PURGE}" == "PURGE"
