"""Requests to the JetStream API over any bus: subjects, JSON, named errors."""

from __future__ import annotations

import re
from collections.abc import Mapping
from random import Random, SystemRandom
from typing import Any

from agents_core import jsonvalue
from agents_core.bus import Bus
from agents_core.errors import InvalidMessage, NoResponders
from agents_core.nats.jetstream.account import AccountInfo
from agents_core.nats.jetstream.errors import (
    InvalidAnswer,
    InvalidBucketName,
    InvalidName,
    JetStreamNotEnabled,
    api_error,
)
from agents_core.nats.subject import SUBJECT_BYTES_MAX
from agents_core.timers import Timers, check_seconds

DEFAULT_PREFIX = "$JS.API"

TIMEOUT_S = 5.0
"""Seconds for an answer, as in nats-py."""

PAGES_MAX = 1000
"""Pages of one list; the server has 256 to 100,000 entries on a page."""

_NAME = re.compile(r"[^\s\x00-\x1f\x7f.*>/\\]{1,255}")
_BUCKET = re.compile(r"[A-Za-z0-9_-]{1,251}")  # with a prefix of four it is a stream's


def check_name(name: str | None) -> str:
    """Check the name of a stream or of a consumer, which becomes a token of a subject.

    Raises:
        InvalidName: it can't be one.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InvalidName("" if name is None else str(name))
    return name


def check_bucket(name: str | None) -> str:
    """Check the name of a bucket, of values or of objects.

    Raises:
        InvalidBucketName: it can't be one.
    """
    if not isinstance(name, str) or not _BUCKET.fullmatch(name):
        raise InvalidBucketName(str(name))
    return name


def read_object(what: str, data: bytes) -> dict[str, Any]:
    """A JSON object of the server.

    Raises:
        InvalidAnswer: it is not one.
        APIError: it says that the server refused.
    """
    try:
        answer = jsonvalue.loads(data)
    except InvalidMessage as error:
        raise InvalidAnswer(what, error.reason) from None
    if not isinstance(answer, dict):
        raise InvalidAnswer(what, "it is not a JSON object")
    if "error" in answer:
        raise api_error(answer["error"])
    return answer


class API:
    """The API of one account, or of one domain (ADR-19), over one bus.

    Attributes:
        bus: what carries the requests.
        prefix: of their subjects.
        timeout: seconds for an answer.
        timers: deadlines of what is under way.
        rng: for jitter.
    """

    def __init__(
        self,
        bus: Bus,
        prefix: str = DEFAULT_PREFIX,
        domain: str | None = None,
        timeout: float = TIMEOUT_S,
    ) -> None:
        check_seconds(timeout, "timeout")
        self.bus = bus
        self.prefix = prefix if domain is None else f"$JS.{check_name(domain)}.API"
        self.timeout = timeout
        self.timers = Timers()
        self.rng: Random = SystemRandom()

    async def account_info(self) -> AccountInfo:
        """What the account uses and may use.

        Raises:
            JetStreamNotEnabled: there is no JetStream here.
        """
        return AccountInfo.from_response(await self.request("INFO"))

    async def request(
        self, operation: str, body: Mapping[str, Any] | None = None, timeout: float | None = None
    ) -> dict[str, Any]:
        """One request to the API and its answer.

        Args:
            operation: the subject without the prefix, such as `STREAM.INFO.orders`.
            body: sent as JSON; None for an empty request.
            timeout: seconds, instead of the usual ones.

        Raises:
            APIError: the server refused; its subclasses say why.
            JetStreamNotEnabled: nobody answers.
            InvalidAnswer: the answer is not what the protocol says.
            RequestTimeout, NotConnected, ConnectionClosed: as `Bus.request`.
        """
        subject = f"{self.prefix}.{operation}"
        payload = b"" if body is None else jsonvalue.dumps(body)
        try:
            msg = await self.bus.request(subject, payload, timeout or self.timeout)
        except NoResponders:
            raise JetStreamNotEnabled(503, 0, f"nobody answers on {subject!r}") from None
        answer = read_object(operation, msg.data)
        answer.pop("type", None)
        return answer

    def narrow(self, operation: str, subject: str) -> str:
        """The operation with a subject at its end, so that permissions can name it.

        Without it if that can't be published to: the body says it, too.
        """
        narrowed = f"{operation}.{subject}"
        size = len(f"{self.prefix}.{narrowed}".encode("utf-8", "surrogateescape"))
        is_wild = bool({"*", ">"} & set(subject.split(".")))
        return operation if is_wild or size > SUBJECT_BYTES_MAX else narrowed

    async def pages(
        self, operation: str, key: str, body: Mapping[str, Any], offset: int = 0
    ) -> list[Any]:
        """The entries of a list from `offset` on, page by page to its end.

        A cluster passes over entries that no server describes now, and says so, but counts them.

        Raises:
            InvalidAnswer: there is no end, or it is no list.
        """
        found: list[Any] = []
        for _ in range(PAGES_MAX):
            answer = await self.request(operation, {**body, "offset": offset})
            page, total = answer.get(key) or [], answer.get("total", 0)
            if not isinstance(page, list) or not isinstance(total, int):
                raise InvalidAnswer(operation, f"{key} is not a list with its total")
            found += page
            count = answer.get("limit") if answer.get("missing") else len(page)
            if not isinstance(count, int):
                raise InvalidAnswer(operation, "limit is not a number")
            offset += count
            if not count or offset >= total:
                return found
        raise InvalidAnswer(operation, f"more than {PAGES_MAX} pages")
