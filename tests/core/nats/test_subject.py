"""Subjects: checks before the server's silence, and matching."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents_core.errors import InvalidSubject
from agents_core.nats.subject import SUBJECT_BYTES_MAX, check_subject, check_word, matches


@pytest.mark.parametrize("subject", ["a", "a.b", "$SRV.PING", "a*b", "é.x", "a.>b"])
def test_good_subjects(subject: str) -> None:
    check_subject(subject)


@pytest.mark.parametrize(
    "subject",
    [
        "",
        ".",
        "a.",
        ".a",
        "a..b",
        "a b",
        "a\tb",
        "a\r\nb",
        "a\x00",
        "*",
        "a.*",
        ">",
        "a" * 2033,
        "\ud800",
    ],
)
def test_subjects_that_can_not_be_published_to(subject: str) -> None:
    with pytest.raises(InvalidSubject):
        check_subject(subject)


@pytest.mark.parametrize("subject", [b"a", 3, None])
def test_a_subject_is_a_text(subject: Any) -> None:
    for check in (check_subject, check_word):
        with pytest.raises(InvalidSubject, match="it is no text") as raised:
            check(subject)
        assert raised.value.subject == repr(subject)


def test_wildcards_may_be_subscribed_to() -> None:
    for pattern in ("*", "a.*.b", ">", "a.>"):
        check_subject(pattern, wildcards=True)
    with pytest.raises(InvalidSubject, match="last"):
        check_subject("a.>.b", wildcards=True)
    check_subject("a" * SUBJECT_BYTES_MAX)


def test_queue_groups() -> None:
    check_word("workers")
    check_word("é" * (SUBJECT_BYTES_MAX // 2))
    for queue in ("", "a b", "a\n", "\ud800", "é" * (SUBJECT_BYTES_MAX // 2 + 1)):
        with pytest.raises(InvalidSubject):
            check_word(queue)


def oracle(pattern: list[str], subject: list[str]) -> bool:
    """Matching as one would say it, one token at a time."""
    if not pattern or not subject:
        return not pattern and not subject
    if pattern[0] == ">":
        return True
    return pattern[0] in {"*", subject[0]} and oracle(pattern[1:], subject[1:])


TOKENS = st.lists(st.sampled_from(["a", "b", "*"]), min_size=1, max_size=5)


@given(TOKENS, st.booleans(), st.lists(st.sampled_from(["a", "b"]), min_size=1, max_size=5))
def test_matching(pattern: list[str], rest: bool, subject: list[str]) -> None:
    pattern = [*pattern, ">"] if rest else pattern
    assert matches(".".join(pattern), ".".join(subject)) == oracle(pattern, subject)
