"""What a bucket says about its objects: looked up by name, and changed by one client at a time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple, TypeGuard

from agents_core import jsonvalue
from agents_core.errors import AgentsError, NotConnected
from agents_core.ids import unique
from agents_core.nats import backoff
from agents_core.nats.headers import HeadersLike
from agents_core.nats.jetstream.errors import MessageNotFound, StoreFailed, WrongLastSequence
from agents_core.nats.jetstream.header import Header
from agents_core.nats.jetstream.object_errors import ObjectAlreadyExists, ObjectNotFound
from agents_core.nats.jetstream.object_info import (
    ObjectInfo,
    chunks_subject,
    meta_subject,
    stream_name,
)
from agents_core.nats.jetstream.object_upload import TRANSIENT, connected

if TYPE_CHECKING:
    from agents_core.nats.jetstream.context import JetStreamContext

ATTEMPTS_MAX = 10
"""Times that a change is tried, while others change the same or the server does not answer."""

PURGES_MAX = 3
"""Times that the chunks of a former object are deleted, while the stream has no leader to do it."""

PAUSE_S_MAX = 5.0
"""The longest pause between them."""

ROLLUP: HeadersLike = {Header.ROLLUP: "sub"}
"""So that the stream keeps the last meta of each object only."""

_log = logging.getLogger("agents_core.nats.jetstream")


class Stored(NamedTuple):
    """What is stored under a name: its sequence or 0, and that of what it replaced, if it says."""

    info: ObjectInfo | None
    seq: int
    replaced: str

    def is_beyond(self, before: Stored) -> bool:
        """Whether something may have been stored between the two.

        Other clients do not say what they replace.
        """
        return self.seq > before.seq and self.replaced != str(before.seq)


class Directory:
    """The metas of one bucket.

    Args:
        js: the API.
        bucket: its name.
    """

    def __init__(self, js: JetStreamContext, bucket: str) -> None:
        self._js, self._bucket = js, bucket
        self._stream = stream_name(bucket)

    async def look(self, name: str) -> Stored:
        """What is stored under a name, if anything ever was.

        Raises:
            BadObjectMeta: it is not what ADR-20 says.
            StreamNotFound: there is no bucket any more.
        """
        try:
            msg = await self._js.get_last_msg(self._stream, meta_subject(self._bucket, name))
        except MessageNotFound:
            return Stored(None, 0, "")
        info = ObjectInfo.from_stored(self._bucket, msg.data, msg.time_ns)
        return Stored(info, msg.seq, msg.headers.get(Header.EXPECTED_LAST_SUBJECT_SEQUENCE, ""))

    async def change(
        self, name: str, make: Callable[[ObjectInfo | None], ObjectInfo]
    ) -> tuple[ObjectInfo | None, ObjectInfo]:
        """Store what `make` makes of what is stored, and return both.

        It is stored only if nobody has stored anything meanwhile, else `make` is asked again. An
        answer that is lost is made good by looking. Where somebody may have replaced it by then it
        is not stored again: the chunks that it speaks of may be gone.

        Raises:
            what `make` raises; and what `JetStreamContext.publish` raises when it is too often.
        """
        unsure: tuple[Stored, ObjectInfo] | None = None
        attempt = 0
        while True:
            made = None
            try:
                stored = await self.look(name)
                if unsure is not None:
                    before, after = unsure
                    if stored.info is not None and _same(stored.info, after):
                        return before.info, stored.info
                    if stored.is_beyond(before):
                        return before.info, replace(after, mtime=datetime.now(UTC))
                made = stored, make(stored.info)
                await self._store(made[1], stored.seq)
                return stored.info, replace(made[1], mtime=datetime.now(UTC))
            except (*TRANSIENT, WrongLastSequence) as error:
                attempt += 1
                if attempt == ATTEMPTS_MAX:
                    raise
                if not isinstance(error, WrongLastSequence):
                    unsure = made or unsure
            await asyncio.sleep(backoff.delay(attempt, PAUSE_S_MAX, self._js.rng))
            await connected(self._js.bus)

    async def _store(self, info: ObjectInfo, seq: int) -> None:
        await self._js.publish(
            meta_subject(self._bucket, info.name),
            jsonvalue.dumps(info.as_dict()),
            headers=ROLLUP,
            expected_last_subject_sequence=seq,
        )

    async def replace(self, info: ObjectInfo) -> ObjectInfo:
        """Store a new object, and delete the chunks of the one that had its name.

        Raises:
            as `change`; the chunks of the new one are deleted then, unless it was stored after all.
        """
        former: ObjectInfo | None = None

        def make(stored: ObjectInfo | None) -> ObjectInfo:
            nonlocal former
            former = stored
            return info

        try:
            former, stored = await self.change(info.name, make)
        except BaseException:
            await self.discard(info, former)
            raise
        if former is not None:
            await self.purge_chunks(former, PURGES_MAX)
        return stored

    async def delete(
        self, name: str, check: Callable[[ObjectInfo | None], ObjectInfo]
    ) -> ObjectInfo:
        """Store that an object is deleted, and delete its chunks.

        Raises:
            as `change`, and what `check` raises.
        """
        try:
            _, left = await self.change(name, lambda stored: _deleted(check(stored)))
        except StoreFailed:
            return await self._delete_without_room(name, check)
        await self.purge_chunks(left, PURGES_MAX)
        return left

    async def _delete_without_room(
        self, name: str, check: Callable[[ObjectInfo | None], ObjectInfo]
    ) -> ObjectInfo:
        """Delete an object where there is no room to store first that it is deleted.

        It is stored in the room that the object leaves, unless others were faster to take that.
        """
        stored = await self.look(name)
        left = _deleted(check(stored.info))
        try:
            await self._js.delete_msg(self._stream, stored.seq)
        except MessageNotFound:  # it was replaced meanwhile, deleted or renamed
            return await self.delete(name, check)
        await self.purge_chunks(left, PURGES_MAX)
        with suppress(AgentsError):
            await self._store(left, 0)
        return left

    async def rename(
        self, name: str, make: Callable[[ObjectInfo | None], ObjectInfo]
    ) -> ObjectInfo:
        """Store what `make` makes of an object under the new name that it has then.

        For a moment the object has both names. If another one was put under the former name, or it
        was deleted or renamed, the new name is taken back, and it begins again.

        Raises:
            ObjectAlreadyExists: there is one of the new name.
            ObjectNotFound: another one was faster, too often.
            and what `change` and `make` raise.
        """
        attempt = 0
        while True:
            renamed = make((await self.look(name)).info)
            try:
                return await self._move(name, renamed)
            except ObjectNotFound:
                attempt += 1
                if attempt == ATTEMPTS_MAX:
                    raise

    async def _move(self, name: str, renamed: ObjectInfo) -> ObjectInfo:
        """Give an object its new name and take the former one, or neither."""

        def place(stored: ObjectInfo | None) -> ObjectInfo:
            if stored is not None and not stored.deleted:
                raise ObjectAlreadyExists(self._bucket, renamed.name)
            return renamed

        _, info = await self.change(renamed.name, place)
        try:
            await self._leave(name, info.nuid)
        except BaseException as error:
            with suppress(AgentsError):
                if isinstance(error, ObjectNotFound) or _is(
                    (await self.look(name)).info, info.nuid
                ):
                    await self._remove(info)
            raise
        return info

    async def _leave(self, name: str, nuid: str) -> None:
        """Take a name from an object, but leave its chunks alone.

        First it is stored that it is deleted, which shows whether it has that name still.

        Raises:
            ObjectNotFound: it has not.
        """

        def leave(stored: ObjectInfo | None) -> ObjectInfo:
            if _is(stored, nuid):
                return _deleted(replace(stored, nuid=unique()))  # whoever comes next purges those
            raise ObjectNotFound(self._bucket, name)

        _, left = await self.change(name, leave)
        with suppress(AgentsError):
            await self._remove(left)

    async def _remove(self, info: ObjectInfo) -> None:
        """Forget what is stored, unless that is another object by now."""
        stored = await self.look(info.name)
        if stored.info is not None and stored.info.nuid == info.nuid:
            await self.forget(info.name, stored.seq)

    async def forget(self, name: str, seq: int) -> None:
        """Delete what is stored under a name up to a sequence; what came later stays."""
        await self._js.purge_stream(
            self._stream, seq=seq + 1, subject=meta_subject(self._bucket, name)
        )

    async def discard(self, info: ObjectInfo, former: ObjectInfo | None) -> None:
        """Delete the chunks of a put that failed; if it came through after all, the former ones.

        Where that can't be found out both stay: chunks that nobody knows of do less harm than an
        object without its chunks.
        """
        try:
            stored = (await self.look(info.name)).info
        except AgentsError:
            return
        if stored is None or stored.nuid != info.nuid:
            await self.purge_chunks(info)
        elif former is not None:
            await self.purge_chunks(former)

    async def purge_chunks(self, info: ObjectInfo, attempts: int = 1) -> None:
        """Delete the chunks of an object; without a connection, as soon as there is one.

        Nobody can read them any more, so nothing is raised if they stay.
        """
        if info.is_link() or not info.nuid:
            return
        js, subject = self._js, chunks_subject(self._bucket, info.nuid)
        try:
            await js.purge_stream(self._stream, subject=subject)
        except TRANSIENT as error:
            if attempts > 1 and not isinstance(error, NotConnected):
                await asyncio.sleep(backoff.delay(1, PAUSE_S_MAX, js.rng))
                await self.purge_chunks(info, attempts - 1)
                return
            with suppress(AgentsError):
                js.bus.publish(
                    f"{js.prefix}.STREAM.PURGE.{self._stream}",
                    jsonvalue.dumps({"filter": subject}),
                    js.bus.new_inbox(),
                )
        except AgentsError as error:
            _log.warning("chunks of %r stay in bucket %r: %s", info.name, self._bucket, error)


def _deleted(info: ObjectInfo) -> ObjectInfo:
    """What is left of it."""
    return replace(info, deleted=True, size=0, chunks=0, digest=None)


def _is(stored: ObjectInfo | None, nuid: str) -> TypeGuard[ObjectInfo]:
    """Whether it is that object, and not deleted."""
    return stored is not None and stored.nuid == nuid and not stored.deleted


def _same(one: ObjectInfo, other: ObjectInfo) -> bool:
    """Whether the same is stored, whenever."""
    return one.as_dict() == other.as_dict()
