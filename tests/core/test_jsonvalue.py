"""JSON: what goes out comes back, and what must not go out or come in is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents_core.errors import EncodeError, InvalidMessage
from agents_core.jsonvalue import DEPTH_MAX, INT_DIGITS_MAX, check_depth, dumps, loads

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda children: st.lists(children, max_size=4) | st.dictionaries(TEXT, children, max_size=4),
    max_leaves=20,
)


@given(VALUES)
def test_what_goes_out_comes_back(value: object) -> None:
    assert loads(dumps(value)) == value


@given(st.binary(max_size=100))
def test_any_bytes_decode_or_are_refused(data: bytes) -> None:
    try:
        value = loads(data)
    except InvalidMessage:
        return
    assert loads(dumps(value)) == value


def nested(depth: int) -> object:
    value: object = 1
    for level in range(depth):
        value = [value] if level % 2 else {"a": value}
    return value


def test_depth_is_bounded_both_ways() -> None:
    assert loads(dumps(nested(DEPTH_MAX))) == nested(DEPTH_MAX)
    with pytest.raises(EncodeError, match="nested deeper"):
        dumps(nested(DEPTH_MAX + 1))
    with pytest.raises(InvalidMessage, match="nested deeper"):
        loads(b"[" * (DEPTH_MAX + 1) + b"]" * (DEPTH_MAX + 1))
    with pytest.raises(InvalidMessage):
        loads(b"[" * 100_000)
    cycle: list[object] = []
    cycle.append((cycle,))
    with pytest.raises(EncodeError):
        check_depth(cycle)


def test_integers_are_bounded_both_ways() -> None:
    longest = 10**INT_DIGITS_MAX - 1
    for value in (longest, -longest, [str(longest) * 2, longest]):
        assert loads(dumps(value)) == value
    for value in (longest + 1, -longest - 1, {"a": [longest + 1]}):
        with pytest.raises(EncodeError, match="digits"):
            dumps(value)


def test_brackets_in_strings_are_no_depth_and_hide_none() -> None:
    value = ["[{" * 1000, '\\"[' * 100, "]}" * 1000]
    assert loads(dumps(value)) == value
    hidden = b'["]]]]",' * (DEPTH_MAX + 1) + b"1" + b"]" * (DEPTH_MAX + 1)
    with pytest.raises(InvalidMessage, match="nested deeper"):
        loads(hidden)
    for endless in (b'"' + b"[" * 1000, b'["' + b'\\"[' * 100_000, b"[" * 64 + b'"[[\\'):
        with pytest.raises(InvalidMessage, match="not JSON"):
            loads(endless)


@pytest.mark.parametrize(
    "value",
    [float("nan"), float("inf"), object(), {1, 2}, b"x", {("a",): 1}, "\ud800", ["\ud800"]],
    ids=lambda value: "object" if type(value) is object else repr(value),  # two runs name it alike
)
def test_what_has_no_json_form(value: object) -> None:
    with pytest.raises(EncodeError, match="can't encode"):
        dumps(value)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"\xff",
        b'"\x01"',
        b"NaN",
        b"-Infinity",
        b'{"a":1,"a":2}',
        b"1" * (INT_DIGITS_MAX + 1),
        b"[1] x",
    ],
)
def test_what_is_no_message(data: bytes) -> None:
    with pytest.raises(InvalidMessage, match="invalid message: not JSON"):
        loads(data)


def test_the_longest_integer() -> None:
    assert loads(b"9" * INT_DIGITS_MAX) == 10**INT_DIGITS_MAX - 1
