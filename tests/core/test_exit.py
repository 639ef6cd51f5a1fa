"""Exit reasons: data that always can be sent."""

from __future__ import annotations

from agents_core import jsonvalue
from agents_core.exit import (
    MESSAGE_CHARS_MAX,
    NORMAL,
    SHUTDOWN,
    TRACEBACK_CHARS_MAX,
    Exit,
    Kind,
)


def test_only_normal_and_shutdown_are_orderly() -> None:
    assert [Exit(kind).orderly for kind in Kind] == [True, True, False, False]
    assert NORMAL.orderly
    assert SHUTDOWN.orderly


def test_an_exception_becomes_type_text_and_traceback() -> None:
    try:
        raise KeyError("k")
    except KeyError as error:
        reason = Exit.of(error)
    assert reason.to_json() == {"kind": "error", "type": "KeyError", "message": "'k'"}
    assert "test_exit.py" in reason.traceback
    assert reason.traceback.endswith("KeyError: 'k'\n")


def test_long_texts_are_cut() -> None:
    reason = Exit.of(ValueError("x" * 100_000))
    assert len(reason.message) == MESSAGE_CHARS_MAX
    assert len(reason.traceback) == TRACEBACK_CHARS_MAX


def test_a_text_that_utf_8_can_not_carry_is_spelled_out() -> None:
    reason = Exit.of(ValueError("\ud800"))
    assert reason.message == "\\ud800"
    jsonvalue.dumps([reason.message, reason.traceback])


def test_what_somebody_said_who_killed_it_can_be_sent_too() -> None:
    reason = Exit(Kind.KILLED, "Killed", "\ud800" + "x" * MESSAGE_CHARS_MAX, "\udfff")
    jsonvalue.dumps([reason.message, reason.traceback])
    assert len(reason.message) == MESSAGE_CHARS_MAX


def test_an_exception_whose_text_raises_is_still_a_reason() -> None:
    class Nasty(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    reason = Exit.of(Nasty())
    assert (reason.type, reason.message) == ("Nasty", "<no text: RuntimeError>")


def test_between_interpreters_it_travels_whole() -> None:
    reason = Exit.of(ValueError("x"))
    assert Exit.from_json(jsonvalue.loads(jsonvalue.dumps(reason.to_json(whole=True)))) == reason
    assert Exit.from_json(reason.to_json()).traceback == ""
