"""A key-value bucket (ADR-8): values by key, their history, and news of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeAlias

from agents_core.nats.jetstream.api import DEFAULT_PREFIX
from agents_core.nats.jetstream.consumer import DeliverPolicy
from agents_core.nats.jetstream.errors import InvalidOption, MessageNotFound, WrongLastSequence
from agents_core.nats.jetstream.header import Header
from agents_core.nats.jetstream.kv_config import PREFIX
from agents_core.nats.jetstream.kv_entry import OPERATION, Operation, operation_in, operation_of
from agents_core.nats.jetstream.kv_entry import Entry as KeyValueEntry
from agents_core.nats.jetstream.kv_errors import KeyDeleted, KeyNotFound, NoKeys
from agents_core.nats.jetstream.kv_key import check_key, check_patterns
from agents_core.nats.jetstream.kv_status import BucketStatus as KeyValueStatus
from agents_core.nats.jetstream.message_api import MessageAPI
from agents_core.nats.jetstream.msg import JSMsg
from agents_core.nats.jetstream.ordered import INACTIVE_S
from agents_core.nats.jetstream.publish import PublishOptions
from agents_core.nats.jetstream.stored import RawStreamMsg
from agents_core.nats.jetstream.stream import StreamConfig
from agents_core.nats.jetstream.watch import Watcher
from agents_core.nats.options import NotifyError
from agents_core.timers import check_seconds

if TYPE_CHECKING:
    from agents_core.nats.jetstream.context import JetStreamContext

KeyValueWatcher: TypeAlias = Watcher[KeyValueEntry]
"""What `watch` returns."""

CREATE_ATTEMPTS = 3
"""Attempts to create a key whose deletion somebody else changes at the same time."""

OLD_MARKER_S = 30 * 60
"""Seconds that `purge_deletes` leaves a marker for readers that were away, as in nats-py."""


class KeyValue:
    """A bucket of values by key. Made by `js.create_key_value` and `js.key_value`.

        kv = await js.create_key_value(bucket="settings", history=5)
        revision = await kv.put("colour", b"blue")
        await kv.update("colour", b"green", last=revision)
        entry = await kv.get("colour")

    Each call raises what `JetStreamContext.publish` or `API.request` raises, and `InvalidKeyName`
    for a key that can't be one; `validate_keys=False` leaves that to the server.
    """

    Entry = KeyValueEntry
    BucketStatus = KeyValueStatus
    KeyWatcher = KeyValueWatcher

    def __init__(self, js: JetStreamContext, bucket: str, config: StreamConfig) -> None:
        self.bucket = bucket
        self._js = js
        self._stream = PREFIX + bucket
        self._direct = bool(config.allow_direct)
        self._origin, external = self._stream, None
        if config.mirror is not None:  # a copy keeps the subjects of its origin, which is written
            self._origin, external = config.mirror.name, config.mirror.external
        self._prefix = f"$KV.{self._origin.removeprefix(PREFIX)}."
        api = external.api if external is not None and external.api else js.prefix
        self._target = self._prefix if api == DEFAULT_PREFIX else f"{api}.{self._prefix}"  # ADR-19
        self._at_origin = MessageAPI(js.bus, api, timeout=js.timeout)

    # -- reading

    async def get(
        self, key: str, revision: int | None = None, validate_keys: bool = True
    ) -> KeyValueEntry:
        """The newest value of a key, or the one of a revision.

        Raises:
            KeyDeleted: the key was deleted, then or at that revision.
            KeyNotFound: there is none.
        """
        entry = await self._find(_checked(key, validate_keys), revision)
        if entry.operation is not None:
            raise KeyDeleted(self.bucket, key, entry.operation, entry.revision)
        return entry

    async def _find(self, key: str, revision: int | None) -> KeyValueEntry:
        subject = self._prefix + key
        try:
            if revision:
                msg = await self._js.get_msg(self._stream, seq=revision, direct=self._direct)
            else:
                msg = await self._js.get_last_msg(self._stream, subject, direct=self._direct)
        except MessageNotFound:
            raise KeyNotFound(self.bucket, key) from None
        if msg.subject != subject:  # a revision of another key, or the key was a pattern
            raise KeyNotFound(self.bucket, key)
        return self._stored(key, msg, None if revision else 0)

    def _stored(self, key: str, msg: RawStreamMsg, delta: int | None) -> KeyValueEntry:
        operation = operation_of(msg.headers)
        return KeyValueEntry(self.bucket, key, msg.data, msg.seq, delta, msg.time, operation)

    async def history(self, key: str) -> list[KeyValueEntry]:
        """What the bucket holds of a key, oldest first, markers of deletions included.

        Raises:
            NoKeys: nothing.
        """
        entries: list[KeyValueEntry] = []
        async with await self.watch(check_key(key), include_history=True) as watcher:
            async for entry in watcher:
                if entry is None:
                    break
                entries.append(entry)
        if not entries:
            raise NoKeys(self.bucket)
        return entries

    async def keys(self, filters: str | Sequence[str] | None = None) -> list[str]:
        """The keys that have a value.

        A key that is there from the call to the return is among them, also if it gets a new value
        at that moment.

        Args:
            filters: only keys that match one of these, such as `users.*.name`; nats-py takes parts
                of keys instead.

        Raises:
            NoKeys: none has.
        """
        patterns = check_patterns(filters or ">")
        live: dict[str, bool] = {}
        async with await self.watch(patterns, meta_only=True) as watcher:
            async for entry in watcher:
                if entry is None:
                    break
                live[entry.key] = entry.operation is None
        found = [key for key, is_live in live.items() if is_live]
        if not found:
            raise NoKeys(self.bucket)
        return found

    async def status(self) -> KeyValueStatus:
        """What the bucket is and holds.

        Raises:
            StreamNotFound: it is gone.
        """
        return KeyValueStatus(await self._js.stream_info(self._stream), self.bucket)

    # -- writing

    async def put(self, key: str, value: bytes, validate_keys: bool = True) -> int:
        """Store a value and return its revision.

        It has no time to live of its own, as an older value could come back then (ADR-48); `create`
        has.
        """
        return await self._write(_checked(key, validate_keys), value)

    async def create(
        self,
        key: str,
        value: bytes,
        validate_keys: bool = True,
        msg_ttl: float | str | None = None,
    ) -> int:
        """Store a value only if the key has none, and return its revision.

        Args:
            key: which one.
            value: its value.
            validate_keys: check the key.
            msg_ttl: seconds until it goes, at least 1; or text such as `1h`.

        Raises:
            WrongLastSequence: the key has a value.
        """
        _checked(key, validate_keys)
        last = 0
        for _ in range(CREATE_ATTEMPTS - 1):
            try:
                return await self._write(key, value, last=last, msg_ttl=msg_ttl)
            except WrongLastSequence:
                marker = await self._marker(key)
                if marker is None:
                    raise
                last = marker
        return await self._write(key, value, last=last, msg_ttl=msg_ttl)

    async def _marker(self, key: str) -> int | None:
        """The revision of the marker of the key's deletion, 0 if there is none any more.

        None if the key has a value. The leader is asked, which has refused: another replica, or a
        copy in another domain, may not know the marker yet.
        """
        try:
            msg = await self._at_origin.get_last_msg(self._origin, self._prefix + key)
        except MessageNotFound:
            return 0
        return None if operation_of(msg.headers) is None else msg.seq

    async def update(
        self, key: str, value: bytes, last: int | None = None, validate_keys: bool = True
    ) -> int:
        """Store a value only if the key is at revision `last`, and return the new one.

        Without `last` the key must be new to the bucket: neither a value nor a marker.

        Raises:
            WrongLastSequence: somebody else was first.
        """
        return await self._write(_checked(key, validate_keys), value, last=last or 0)

    async def delete(self, key: str, last: int | None = None, validate_keys: bool = True) -> bool:
        """Place a marker that the key is deleted; its history stays.

        Args:
            key: which one; it need not exist.
            last: only if the key is at this revision.
            validate_keys: check the key.

        Raises:
            WrongLastSequence: it is not at that revision.
        """
        await self._write(_checked(key, validate_keys), last=last or None, operation=Operation.DEL)
        return True

    async def purge(
        self,
        key: str,
        msg_ttl: float | str | None = None,
        *,
        last: int | None = None,
        validate_keys: bool = True,
    ) -> bool:
        """Place a marker that the key is deleted, and remove its history.

        Args:
            key: which one; it need not exist.
            msg_ttl: seconds until the marker goes too, at least 1; or text such as `1h`. Without
                it the marker stays until `purge_deletes`.
            last: only if the key is at this revision.
            validate_keys: check the key.

        Raises:
            WrongLastSequence: it is not at that revision.
        """
        _checked(key, validate_keys)
        await self._write(key, last=last or None, operation=Operation.PURGE, msg_ttl=msg_ttl)
        return True

    async def _write(
        self,
        key: str,
        value: bytes = b"",
        *,
        last: int | None = None,
        operation: Operation | None = None,
        msg_ttl: float | str | None = None,
    ) -> int:
        headers: dict[str, str] = {}
        if operation is not None:
            headers[OPERATION] = operation
        if operation is Operation.PURGE:
            headers[Header.ROLLUP] = "sub"
        options: PublishOptions = {}
        if last is not None:
            options["expected_last_subject_sequence"] = last
        ack = await self._js.publish(
            self._target + key, value, headers=headers, msg_ttl=msg_ttl, **options
        )
        return ack.seq

    async def purge_deletes(self, olderthan: float = OLD_MARKER_S) -> bool:
        """Remove what is left of deleted keys: their history, and markers that are old enough.

        A value that somebody stores at the same time is safe.

        Args:
            olderthan: seconds; a younger marker stays, for readers that were away. 0 for all.
        """
        check_seconds(olderthan)
        markers: list[KeyValueEntry] = []
        async with await self.watchall(meta_only=True) as watcher:
            async for entry in watcher:
                if entry is None:
                    break
                if entry.operation is not None:
                    markers.append(entry)
        said = (await self._js.stream_info(self._stream)).ts  # our own clock may be another one
        now = said or datetime.now(UTC)
        for marker in markers:
            is_young = olderthan > 0 and (now - marker.created).total_seconds() < olderthan
            before = marker.revision + (0 if is_young else 1)
            await self._js.purge_stream(self._stream, seq=before, subject=self._prefix + marker.key)
        return True

    # -- watching

    async def watch(
        self,
        keys: str | Sequence[str],
        headers_only: bool = False,
        include_history: bool = False,
        ignore_deletes: bool = False,
        meta_only: bool = False,
        inactive_threshold: float | None = None,
        *,
        updates_only: bool = False,
        resume_from_revision: int | None = None,
        error_cb: NotifyError | None = None,
    ) -> KeyValueWatcher:
        """The newest entry of each key that matches, then None, then every change as it comes.

        Args:
            keys: a key, a pattern such as `users.*.name` or `users.>`, or several.
            headers_only: the same as `meta_only`.
            include_history: begin with all that the bucket holds of these keys.
            ignore_deletes: values only, no markers of deletions.
            meta_only: no values, only what is known about them.
            inactive_threshold: seconds after which the server forgets a watcher that vanished; 300
                by default.
            updates_only: begin with what comes from now on.
            resume_from_revision: begin with all that came from this revision on.
            error_cb: told why the consumer behind it was replaced; logged by default.

        Raises:
            InvalidOption: more than one beginning.
            StreamNotFound: the bucket is gone.
        """
        policy = _beginning(include_history, updates_only, resume_from_revision)
        without_values = headers_only or meta_only

        def read(msg: JSMsg) -> KeyValueEntry | None:
            metadata, operation = msg.metadata, operation_in(msg.raw_headers)
            if operation is not None and ignore_deletes:
                return None
            return KeyValueEntry(
                self.bucket,
                msg.subject.removeprefix(self._prefix),
                None if without_values else msg.data,
                metadata.sequence.stream,
                metadata.num_pending,
                metadata.timestamp,
                operation,
            )

        patterns = check_patterns(keys)
        watcher = KeyValueWatcher(self._js, self._stream, self._prefix, patterns, read)
        return await watcher.open(
            deliver_policy=policy,
            opt_start_seq=resume_from_revision,
            headers_only=without_values or None,
            inactive_threshold=inactive_threshold or INACTIVE_S,
            error_cb=error_cb,
        )

    async def watchall(self, **options: Any) -> KeyValueWatcher:
        """Watch every key; the options are those of `watch`."""
        return await self.watch(">", **options)


def _checked(key: str, validate: bool) -> str:
    return check_key(key) if validate else key


def _beginning(history: bool, updates_only: bool, revision: int | None) -> DeliverPolicy:
    """What a watcher is given first."""
    if history + updates_only + (revision is not None) > 1:
        raise InvalidOption("watch", "it has one beginning")
    if history:
        return DeliverPolicy.ALL
    if updates_only:
        return DeliverPolicy.NEW
    return DeliverPolicy.LAST_PER_SUBJECT if revision is None else DeliverPolicy.BY_START_SEQUENCE
