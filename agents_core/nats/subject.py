"""Subjects: what may be published to, what may be subscribed to, what matches what."""

from __future__ import annotations

import re

from agents_core.errors import InvalidSubject

SUBJECT_BYTES_MAX = 2032
"""The words of a control line may have 4,096 bytes (the server's `max_control_line`): a subject, a
reply or a queue group, and two sizes or an id. A longer line ends the connection."""

_FORBIDDEN = re.compile(r"[\s\x00-\x1f\x7f]")
_PLAIN = re.compile(r"[\w$-]++(?:\.[\w$-]++)*+", re.ASCII)
"""What nearly every subject looks like, and nothing in it to check."""


def check_subject(subject: str, *, wildcards: bool = False) -> None:
    """Check a subject before it goes into a control line.

    The server closes the connection without a word for some of these, and accepts others without
    ever delivering, so all of them are refused here.

    Args:
        subject: tokens separated by dots.
        wildcards: whether `*` and a final `>` may be tokens; True for subscriptions.

    Raises:
        InvalidSubject: it is no text, empty, too long, has an empty token, white space, a control
            character or half a surrogate pair, or a wildcard where none may be.
    """
    _check_text(subject)
    if _PLAIN.fullmatch(subject) and len(subject) <= SUBJECT_BYTES_MAX:
        return
    if reason := _fault(subject, wildcards):
        raise InvalidSubject(subject, reason)


def _fault(subject: str, wildcards: bool) -> str:
    if reason := _word_fault(subject):
        return reason
    tokens = subject.split(".")
    if "" in tokens:
        return "it has an empty token"
    if not wildcards and ("*" in tokens or ">" in tokens):
        return "wildcards can't be published to"
    if ">" in tokens[:-1]:
        return "'>' may only be the last token"
    return ""


def check_word(word: str) -> None:
    """Check only what would break a control line, as for the name of a queue group.

    Raises:
        InvalidSubject: it is no text, empty, too long, or has white space, a control character or
            half a surrogate pair.
    """
    _check_text(word)
    if reason := _word_fault(word):
        raise InvalidSubject(word, reason)


def _check_text(word: object) -> None:
    if not isinstance(word, str):
        raise InvalidSubject(repr(word), "it is no text")


def _word_fault(word: str) -> str:
    if not word:
        return "it is empty"
    try:
        size = len(word.encode("utf-8", "surrogateescape"))
    except UnicodeEncodeError:
        return "it has half a surrogate pair"
    if size > SUBJECT_BYTES_MAX:
        return f"it is longer than {SUBJECT_BYTES_MAX} bytes"
    if _FORBIDDEN.search(word):
        return "it has white space or a control character"
    return ""


def matches(pattern: str, subject: str) -> bool:
    """Whether a message published on `subject` is for a subscription to `pattern`."""
    wanted, given = pattern.split("."), subject.split(".")
    for index, token in enumerate(wanted):
        if token == ">":
            return len(given) > index
        if index >= len(given) or (token != "*" and token != given[index]):
            return False
    return len(wanted) == len(given)
