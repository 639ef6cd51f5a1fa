"""Names of keys, and patterns of keys."""

from __future__ import annotations

from typing import Any

import pytest

from agents_core.nats.jetstream.kv_errors import InvalidKeyName
from agents_core.nats.jetstream.kv_key import check_key, check_patterns


@pytest.mark.parametrize("key", ["a", "a.b.c", "A-b_c/d=e.9", "_k", "kv._kv", "="])
def test_keys(key: str) -> None:
    assert check_key(key) == key


@pytest.mark.parametrize(
    "key",
    ["", ".a", "a.", "a..b", "a b", "*", "a.*", ">", "a\n", "ä", "_kv", "_kv.a", "_kvx", None],
)
def test_what_is_no_key(key: Any) -> None:
    with pytest.raises(InvalidKeyName, match="invalid key"):
        check_key(key)


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("", [">"]),
        (">", [">"]),
        ("a", ["a"]),
        ("a.*.c", ["a.*.c"]),
        ("*.>", ["*.>"]),
        (["a.>", "b"], ["a.>", "b"]),
        ("_kv.a", ["_kv.a"]),
    ],
)
def test_patterns(given: Any, found: list[str]) -> None:
    assert check_patterns(given) == found


@pytest.mark.parametrize(
    "given", [">.a", "a*", "a.>b", "a..*", ".*", "*.", "a b", [], ["a", ""], [7]]
)
def test_what_is_no_pattern(given: Any) -> None:
    with pytest.raises(InvalidKeyName):
        check_patterns(given)
