"""Stored messages: read and delete them without a consumer; names are nats-py's if it has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from agents_core import jsonvalue
from agents_core.errors import AgentsError, NoResponders, RequestTimeout, Unsupported
from agents_core.nats.jetstream.api import API, check_name
from agents_core.nats.jetstream.bounds import whole
from agents_core.nats.jetstream.errors import (
    InvalidAnswer,
    MessageNotFound,
    NoStreamResponse,
    named,
)
from agents_core.nats.jetstream.header import Header
from agents_core.nats.jetstream.stored import RawStreamMsg
from agents_core.nats.jetstream.timestamp import from_datetime
from agents_core.nats.msg import Msg

END_OF_BATCH = 204
NOT_FOUND = 404


class MessageAPI(API):
    """What can be asked about stored messages. Each call raises what `API.request` raises."""

    async def get_msg(
        self,
        stream_name: str,
        seq: int | None = None,
        subject: str | None = None,
        direct: bool | None = False,
        next: bool | None = False,
    ) -> RawStreamMsg:
        """One stored message.

        Args:
            stream_name: where.
            seq: its number; with `next`, the lowest it may have.
            subject: the newest message of this subject; with `next`, the first.
            direct: ask any replica instead of the leader (ADR-31): faster, but it may not know
                the newest message yet. The stream needs `allow_direct`.
            next: the first message of `subject`, or of any, at or after `seq`.

        Raises:
            MessageNotFound: there is none.
            StreamNotFound: there is no such stream.
            NoStreamResponse: with `direct`: the stream does not exist, or has no `allow_direct`.
        """
        body: dict[str, Any]
        if next:
            body = {"seq": seq or 1, "next_by_subj": subject or ">"}
        elif subject:
            body = {"last_by_subj": subject}
        else:
            body = {"seq": seq or 0}
        name = check_name(stream_name)
        if direct:
            return await self._get_direct(name, body)
        answer = await self.request(f"STREAM.MSG.GET.{name}", body)
        return RawStreamMsg.from_response(name, answer.get("message"))

    async def _get_direct(self, name: str, body: dict[str, Any]) -> RawStreamMsg:
        operation = f"DIRECT.GET.{name}"
        narrowed = self.narrow(operation, body.get("last_by_subj", "*"))
        target = f"{self.prefix}.{narrowed}"
        payload = jsonvalue.dumps(body) if narrowed == operation else b""
        try:
            msg = await self.bus.request(target, payload, self.timeout)
        except NoResponders:
            raise NoStreamResponse(target) from None
        if Header.SEQUENCE not in msg.headers:
            raise _refusal(msg)
        return RawStreamMsg.from_direct(msg)

    async def get_last_msg(
        self, stream_name: str, subject: str, direct: bool | None = False
    ) -> RawStreamMsg:
        """The newest message of a subject, which may have wildcards. See `get_msg`."""
        return await self.get_msg(stream_name, subject=subject, direct=direct)

    async def delete_msg(self, stream_name: str, seq: int, *, no_erase: bool = True) -> bool:
        """Delete one message.

        Args:
            stream_name: where.
            seq: its number.
            no_erase: False to overwrite it on the disk too, which takes longer.

        Raises:
            APIError: there is none, or the stream does not allow it.
            StreamNotFound: there is no such stream.
        """
        body = {"seq": seq, "no_erase": no_erase}
        answer = await self.request(f"STREAM.MSG.DELETE.{check_name(stream_name)}", body)
        return bool(answer.get("success"))

    async def get_batch(
        self,
        stream_name: str,
        batch: int,
        *,
        seq: int | None = None,
        start_time: datetime | None = None,
        subject: str | None = None,
        max_bytes: int | None = None,
        timeout: float | None = None,
    ) -> list[RawStreamMsg]:
        """Several stored messages in one request, in order (ADR-31, server 2.11).

        Args:
            stream_name: where; the stream needs `allow_direct`.
            batch: at most so many.
            seq: from this one on; the stream's first by default.
            start_time: from this moment on, instead of `seq`.
            subject: only those that match.
            max_bytes: at most so many bytes; the server has a bound of its own.
            timeout: seconds for all of them, instead of the usual ones.

        Returns:
            What there is; the last one's `num_pending` says how many follow. Empty if none match.

        Raises:
            InvalidOption: `batch` is no whole number, or less than 1.
            NoStreamResponse: the stream does not exist, or has no `allow_direct`.
            Unsupported: the server is older.
            RequestTimeout: the answer is not complete within `timeout`.
            NotConnected: the connection is down, or was lost meanwhile.
            and what else `Bus.request_many` raises.
        """
        whole("batch", batch, 1)
        body: dict[str, Any] = {"batch": batch, "next_by_subj": subject or ">"}
        if start_time is None:
            body["seq"] = seq or 1
        else:
            body["start_time"] = from_datetime(start_time)
        if max_bytes:
            body["max_bytes"] = max_bytes
        return await self._get_many(check_name(stream_name), body, timeout)

    async def get_last_msgs_for(
        self,
        stream_name: str,
        subjects: str | Sequence[str],
        *,
        batch: int | None = None,
        up_to_seq: int | None = None,
        up_to_time: datetime | None = None,
        timeout: float | None = None,
    ) -> list[RawStreamMsg]:
        """The newest message of each subject that matches, as of one moment (ADR-31, server 2.11).

        Args:
            stream_name: where; the stream needs `allow_direct`.
            subjects: one or several, which may have wildcards; at most 1,024 may match.
            batch: at most so many.
            up_to_seq: as the stream was at this sequence.
            up_to_time: as the stream was at this moment.
            timeout: seconds for all of them, instead of the usual ones.

        Raises:
            BadRequest: more than 1,024 match.
            and what `get_batch` raises.
        """
        wanted = [subjects] if isinstance(subjects, str) else list(subjects)
        body: dict[str, Any] = {"multi_last": wanted}
        if batch is not None:
            whole("batch", batch, 1)
            body["batch"] = batch
        if up_to_seq:
            body["up_to_seq"] = up_to_seq
        if up_to_time is not None:
            body["up_to_time"] = from_datetime(up_to_time)
        return await self._get_many(check_name(stream_name), body, timeout)

    async def _get_many(
        self, name: str, body: Mapping[str, Any], timeout: float | None
    ) -> list[RawStreamMsg]:
        """One request, and its answers until the server says that it was the last."""
        target, seconds = f"{self.prefix}.DIRECT.GET.{name}", timeout or self.timeout
        found: list[RawStreamMsg] = []
        try:
            async for msg in self.bus.request_many(target, jsonvalue.dumps(body), seconds):
                if _is_last(msg):
                    return found
                found.append(RawStreamMsg.from_direct(msg))
        except NoResponders:
            raise NoStreamResponse(target) from None
        raise RequestTimeout(target, seconds)


def _is_last(msg: Msg) -> bool:
    """Whether a batch ends with this answer, which then is no message.

    Raises:
        AgentsError: the server refused, or is too old for batches.
    """
    if Header.SEQUENCE in msg.headers:
        if Header.NUM_PENDING not in msg.headers:
            raise Unsupported("a batch of stored messages", "use nats-server 2.11 or newer")
        return False
    if msg.status in {END_OF_BATCH, NOT_FOUND}:
        return True
    raise _refusal(msg)


def _refusal(msg: Msg) -> AgentsError:
    """The named error for a status message of direct get."""
    if msg.status == NOT_FOUND:
        return MessageNotFound(NOT_FOUND, 0, msg.description)
    if msg.status == 0:
        return InvalidAnswer("direct get", "neither a message nor a status")
    return named(msg.status, 0, msg.description)
