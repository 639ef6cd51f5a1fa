"""Why an agent ended, as data (OTP rule P1)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum

from agents_core import tracebacks

MESSAGE_CHARS_MAX = 4096
"""Characters kept of an exception's text: it travels in events and error replies."""

TRACEBACK_CHARS_MAX = 16_384
"""Characters kept of a traceback, the last ones, where the exception is."""


class Kind(StrEnum):
    """The kinds of exit reasons."""

    NORMAL = "normal"
    SHUTDOWN = "shutdown"
    KILLED = "killed"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Exit:
    """An exit reason; its texts are cut, and made such that they can be sent.

    Attributes:
        kind: `normal` and `shutdown` are orderly; `killed` and `error` are not.
        type: for an error, the exception's type.
        message: its text, or what whoever killed or stopped it said.
        traceback: as text; empty where there is none.
    """

    kind: Kind
    type: str = ""
    message: str = ""
    traceback: str = ""

    def __post_init__(self) -> None:
        message, text = sendable(self.message), sendable(self.traceback)
        object.__setattr__(self, "message", message[:MESSAGE_CHARS_MAX])
        object.__setattr__(self, "traceback", text[-TRACEBACK_CHARS_MAX:])

    @property
    def orderly(self) -> bool:
        """Whether it ended as it should: then a transient child is not restarted (OTP rule R2)."""
        return self.kind in {Kind.NORMAL, Kind.SHUTDOWN}

    @classmethod
    def of(cls, error: BaseException) -> Exit:
        """The exit reason of an exception that nobody caught."""
        return cls(Kind.ERROR, type(error).__name__, _message(error), tracebacks.text_of(error))

    def to_json(self, *, whole: bool = False) -> dict[str, str]:
        """Its fields, as a rule without the traceback, which travels apart in an event."""
        fields = asdict(self)
        if not whole:
            del fields["traceback"]
        return fields

    @classmethod
    def from_json(cls, fields: dict[str, str]) -> Exit:
        """What `to_json` gave."""
        text = {name: value for name, value in fields.items() if name != "kind"}
        return cls(Kind(fields["kind"]), **text)


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as failure:  # an exception whose own text raises
        return f"<no text: {type(failure).__name__}>"


def sendable(text: str) -> str:
    """Text that JSON and UTF-8 can carry, lone surrogates spelled out."""
    return text.encode("utf-8", "backslashreplace").decode()


NORMAL = Exit(Kind.NORMAL)
SHUTDOWN = Exit(Kind.SHUTDOWN)
