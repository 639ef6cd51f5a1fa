"""Headers: ADR-4 both ways."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents_core.errors import InvalidHeader
from agents_core.nats.headers import (
    Headers,
    encode_headers,
    parse_headers,
    parse_status,
    with_all_values,
)

NAME = st.text(
    st.characters(min_codepoint=33, max_codepoint=126, exclude_characters=":"), min_size=1
)
VALUE = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"])).map(
    lambda text: text.lstrip(" \t")
)


@given(st.dictionaries(NAME, st.lists(VALUE, min_size=1, max_size=3), max_size=4))
def test_what_is_encoded_parses_to_the_same(values: dict[str, list[str]]) -> None:
    headers = parse_headers(encode_headers(values))
    assert {name: headers.get_all(name) for name in headers} == values
    assert not headers.corrupt


@given(st.binary(max_size=80))
def test_any_bytes_give_headers(raw: bytes) -> None:
    parse_headers(raw)
    parse_status(raw)
    assert len(parse_headers(b"NATS/1.0\r\n" + raw)) >= 0


def test_lookup_is_case_sensitive_and_gives_the_first_value() -> None:
    headers = parse_headers(b"NATS/1.0\r\nA: 1\r\nA:2\r\na:\t3\r\n: x\r\n\r\n")
    assert headers["A"] == "1"
    assert headers.get_all("A") == ["1", "2"]
    assert dict(headers) == {"A": "1", "a": "3"}
    assert "b" not in headers
    assert repr(headers) == "Headers({'A': ['1', '2'], 'a': ['3']})"


def test_a_corrupt_block_gives_what_can_be_read() -> None:
    headers = parse_headers(b"NATS/1.0\r\nA: 1\r\nno colon\r\nB: 2\r\n\r\n")
    assert dict(headers) == {"A": "1", "B": "2"}
    assert headers.corrupt
    assert parse_headers(b"HTTP/1.1\r\n\r\n").corrupt
    assert len(Headers()) == 0


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"NATS/1.0\r\n\r\n", (0, "")),
        (b"NATS/1.0 503\r\n\r\n", (503, "")),
        (b"NATS/1.0 100 Idle Heartbeat\r\n\r\n", (100, "Idle Heartbeat")),
        (b"NATS/1.0   404 No Messages \r\nA: b\r\n\r\n", (404, "No Messages")),
    ],
)
def test_status_lines(raw: bytes, expected: tuple[int, str]) -> None:
    assert parse_status(raw) == expected


@pytest.mark.parametrize(
    "headers",
    [{"": "x"}, {"a b": "x"}, {"a:b": "x"}, {"é": "x"}, {"a": "x\r\ny"}, {"a": ["x", "\n"]}],
)
def test_what_would_break_the_block_is_refused(headers: dict[str, str]) -> None:
    with pytest.raises(InvalidHeader):
        encode_headers(headers)


@pytest.mark.parametrize("headers", ["text", 5, [("a", "b")]])
def test_headers_that_are_no_mapping_are_refused(headers: Any) -> None:
    for take in (encode_headers, with_all_values):
        with pytest.raises(InvalidHeader, match="headers map names to values"):
            take(headers)


@pytest.mark.parametrize("value", [1, None, b"x", 1.5])
def test_a_value_that_is_no_text_is_named(value: object) -> None:
    with pytest.raises(InvalidHeader, match=r"'T'.*string"):
        encode_headers({"T": value})  # type: ignore[dict-item]


def test_the_headers_of_a_message_are_sent_on_with_all_their_values() -> None:
    came = Headers([("T", "1"), ("U", "x"), ("T", "2")])
    sent = parse_headers(encode_headers(came))
    assert {name: sent.get_all(name) for name in sent} == {"T": ["1", "2"], "U": ["x"]}


def test_values_are_text() -> None:
    with pytest.raises(InvalidHeader, match="string"):
        encode_headers({"a": [1]})  # type: ignore[list-item]
    with pytest.raises(InvalidHeader, match="UTF-8"):
        encode_headers({"a": "\ud800"})
