"""Why an agent ended, as data (OTP rule P1)."""

from __future__ import annotations

import traceback
from dataclasses import asdict, dataclass
from enum import StrEnum


class Kind(StrEnum):
    """The kinds of exit reasons."""

    NORMAL = "normal"
    SHUTDOWN = "shutdown"
    KILLED = "killed"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Exit:
    """An exit reason.

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

    @property
    def orderly(self) -> bool:
        """Whether it ended as it should: then a transient child is not restarted (OTP rule R2)."""
        return self.kind in {Kind.NORMAL, Kind.SHUTDOWN}

    @classmethod
    def of(cls, error: BaseException) -> Exit:
        """The exit reason of an exception that nobody caught."""
        text = "".join(traceback.format_exception(error))
        return cls(Kind.ERROR, type(error).__name__, str(error), text)

    def to_json(self) -> dict[str, str]:
        """Its fields, without the traceback, which travels apart."""
        fields = asdict(self)
        del fields["traceback"]
        return fields


NORMAL = Exit(Kind.NORMAL)
SHUTDOWN = Exit(Kind.SHUTDOWN)
