"""A request as a service's handler sees it, and the headers of an error (ADR-32)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from agents_core.errors import InvalidService, ServiceError
from agents_core.nats.headers import Headers, HeadersLike, with_all_values
from agents_core.nats.msg import Msg

ERROR_HEADER = "Nats-Service-Error"
ERROR_CODE_HEADER = "Nats-Service-Error-Code"
DESCRIPTION_CHARS_MAX = 512
"""Characters of an error's description in its header and in STATS, which are for people."""

UNEXPECTED = "500"
"""The code of what a handler did not mean to raise."""


def is_code(code: str) -> bool:
    """Whether it may be an error's code: a number that everybody can parse."""
    return code.isascii() and code.isdigit()


def error_headers(code: str | int, description: str) -> dict[str, str]:
    """The headers that say that a reply is an error.

    Args:
        code: a whole number, as text or not; what it means is the service's, HTTP's are usual.
        description: for people; made a text of one line that a header can carry.

    Raises:
        InvalidService: the code is no number.
    """
    if not is_code(str(code)):
        raise InvalidService("error code", str(code), "a code is a whole number")
    return {ERROR_HEADER: one_line(description), ERROR_CODE_HEADER: str(code)}


def one_line(description: str) -> str:
    """A description as a header and JSON can carry it, and not too long."""
    line = " ".join(str(description).splitlines())[:DESCRIPTION_CHARS_MAX]
    return line.encode("utf-8", "backslashreplace").decode()


def error_of(msg: Msg) -> ServiceError | None:
    """The error that a service answered with, or None; a client of a service has to look.

    A code that is no number counts as 500.
    """
    headers = msg.headers
    if ERROR_HEADER not in headers and ERROR_CODE_HEADER not in headers:
        return None
    code = headers.get(ERROR_CODE_HEADER, "")
    return ServiceError(code if is_code(code) else UNEXPECTED, headers.get(ERROR_HEADER, ""))


class Request:
    """A request; `respond` to it once, now or later.

    Args:
        msg: the message that it is.
        on_error: called with each error that is given as the answer.
    """

    __slots__ = ("_on_error", "msg")

    def __init__(self, msg: Msg, on_error: Callable[[ServiceError], object]) -> None:
        self.msg = msg
        self._on_error = on_error

    @property
    def subject(self) -> str:
        """Where it was published."""
        return self.msg.subject

    @property
    def headers(self) -> Headers:
        """Its headers."""
        return self.msg.headers

    @property
    def data(self) -> bytes:
        """Its payload."""
        return self.msg.data

    def respond(self, data: bytes = b"", headers: HeadersLike | None = None) -> Awaitable[None]:
        """Answer.

        A plain function, as `Bus.publish`; raises what that raises.

        Raises:
            InvalidSubject: whoever sent it wants no answer.
        """
        return self.msg.respond(data, headers)

    def respond_error(
        self,
        code: str | int,
        description: str,
        data: bytes = b"",
        headers: HeadersLike | None = None,
    ) -> Awaitable[None]:
        """Answer with an error, and count it.

        Args:
            code: see `error_headers`.
            description: see `error_headers`.
            data: more about it.
            headers: more headers.

        Raises:
            InvalidService: the code is no number.
            InvalidSubject: whoever sent it wants no answer.
        """
        error = ServiceError(str(code), description)
        found = with_all_values(headers) | error_headers(error.code, error.description)
        done = self.msg.respond(data, found)
        self._on_error(error)
        return done


Handler: TypeAlias = Callable[[Request], object]
"""Called with each request. A plain function runs at once, inside the arrival, and must not wait; a
coroutine function runs for one request after the other. What it raises is the answer:
`ServiceError` as it is, anything else with code 500."""
