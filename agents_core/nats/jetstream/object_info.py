"""What is stored about an object (ADR-20), and where; the names are those of `nats.js.api`."""

from __future__ import annotations

import binascii
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from agents_core import jsonvalue
from agents_core.errors import InvalidMessage
from agents_core.nats.headers import Headers, HeadersLike, with_all_values
from agents_core.nats.jetstream.api import check_bucket
from agents_core.nats.jetstream.errors import InvalidAnswer
from agents_core.nats.jetstream.object_errors import BadObjectMeta, InvalidObjectName
from agents_core.nats.jetstream.record import Kind, Record, record
from agents_core.nats.jetstream.timestamp import to_datetime

STREAM_PREFIX = "OBJ_"

NAME_BYTES_MAX = 1024
"""Of an object's name in UTF-8. In base64 it becomes part of a subject, whose length is bounded."""

DIGEST_PREFIX = "SHA-256="
SHA256_BYTES = 32

_NUID = re.compile(r"[^\s\x00-\x1f\x7f.*>]{0,255}")


def stream_name(bucket: str | None) -> str:
    """The stream behind a bucket.

    Raises:
        InvalidBucketName: it can't be one.
    """
    return STREAM_PREFIX + check_bucket(bucket)


def chunks_subject(bucket: str, nuid: str) -> str:
    """Where the chunks of an object are; `>` for those of all objects."""
    return f"$O.{bucket}.C.{nuid}"


def meta_subject(bucket: str, name: str) -> str:
    """Where the meta of an object is.

    Raises:
        InvalidObjectName: it can't be one.
    """
    try:
        encoded = name.encode()
    except (AttributeError, UnicodeEncodeError):
        encoded = b""
    if not 1 <= len(encoded) <= NAME_BYTES_MAX:
        raise InvalidObjectName(str(name), NAME_BYTES_MAX)
    return meta_prefix(bucket) + urlsafe_b64encode(encoded).decode()


def meta_prefix(bucket: str) -> str:
    """Where the meta of all objects is, but for the last token."""
    return f"$O.{bucket}.M."


def write_digest(sha256: bytes) -> str:
    """A hash as it is stored with its object."""
    return f"{DIGEST_PREFIX}{urlsafe_b64encode(sha256).decode()}"


def read_digest(digest: str | None) -> bytes | None:
    """The hash, or None if it is none. Older clients left the padding out."""
    prefix, text = (digest or "")[: len(DIGEST_PREFIX)], (digest or "")[len(DIGEST_PREFIX) :]
    if prefix.upper() != DIGEST_PREFIX:
        return None
    try:
        found = urlsafe_b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4))
    except (binascii.Error, ValueError):
        return None
    return found if len(found) == SHA256_BYTES else None


def _read_headers(values: Any) -> Headers:
    """A name has a list of values; nats-py also writes one value as it is."""
    pairs = [
        (name, str(value))
        for name, found in values.items()
        for value in (found if isinstance(found, list) else [found])
    ]
    return Headers(pairs)


def _write_headers(headers: HeadersLike) -> dict[str, list[str]]:
    return {
        name: [value] if isinstance(value, str) else list(value)
        for name, value in with_all_values(headers).items()
    }


_HEADERS = Kind(_read_headers, _write_headers)


@dataclass
class ObjectLink(Record):
    """What a link leads to.

    Attributes:
        bucket: the bucket.
        name: the object in it; None or empty for the bucket as a whole.
    """

    bucket: str
    name: str | None = None


@dataclass
class ObjectMetaOptions(Record):
    """How an object is stored.

    Attributes:
        link: there is no object, but a link to another one.
        max_chunk_size: bytes in one chunk.
    """

    link: ObjectLink | None = None
    max_chunk_size: int | None = None
    KINDS: ClassVar = {"link": record(ObjectLink)}


@dataclass
class ObjectMeta(Record):
    """What a user says about an object.

    Attributes:
        name: any text.
        description: for people.
        headers: a name maps to a value, or to several in order. They are stored with the object;
            nothing reads them.
        options: how it is stored.
        metadata: a name maps to a value.
    """

    name: str | None = None
    description: str | None = None
    headers: HeadersLike | None = None
    options: ObjectMetaOptions | None = None
    metadata: dict[str, str] | None = None
    KINDS: ClassVar = {"headers": _HEADERS, "options": record(ObjectMetaOptions)}


@dataclass
class ObjectInfo(Record):
    """An object as it is stored.

    Attributes:
        name, description, headers, options, metadata: see `ObjectMeta`.
        bucket: where it is.
        nuid: the name of its chunks, new at each put.
        size: bytes.
        mtime: when this was stored, by the server's clock; what `put` returns has ours.
        chunks: how many.
        digest: `SHA-256=` and the hash in base64.
        deleted: it was deleted; this is what is left.
    """

    name: str
    bucket: str = ""
    nuid: str = ""
    size: int = 0
    mtime: datetime | None = None
    chunks: int = 0
    digest: str | None = None
    deleted: bool | None = False
    description: str | None = None
    headers: HeadersLike | None = None
    options: ObjectMetaOptions | None = None
    metadata: dict[str, str] | None = None
    KINDS: ClassVar = ObjectMeta.KINDS

    @property
    def meta(self) -> ObjectMeta:
        """The part that a user says."""
        return ObjectMeta(self.name, self.description, self.headers, self.options, self.metadata)

    @property
    def link(self) -> ObjectLink | None:
        """What it leads to, if it is a link."""
        return self.options.link if self.options else None

    def is_link(self) -> bool:
        """Whether it leads to another object, or to a bucket."""
        return self.link is not None

    def as_dict(self) -> dict[str, Any]:
        """What is stored. The time is not: the message has one."""
        found = super().as_dict()
        for name in ("mtime", "digest", "deleted"):
            if name == "mtime" or not found.get(name):
                found.pop(name, None)
        return found

    @classmethod
    def from_stored(cls, bucket: str, data: bytes, time_ns: int) -> ObjectInfo:
        """Read what is stored, by whichever client.

        Args:
            bucket: where.
            data: the message.
            time_ns: when it was stored, in nanoseconds since 1970.

        Raises:
            BadObjectMeta: it is not what ADR-20 says.
        """
        try:
            fields = jsonvalue.loads(data)
        except InvalidMessage as error:
            raise BadObjectMeta(bucket, error.reason) from None
        if not isinstance(fields, dict):
            raise BadObjectMeta(bucket, "it is not a JSON object")
        fields.pop("mtime", None)  # some clients write theirs, in forms of their own
        try:
            info = cls.from_response(fields)
        except InvalidAnswer as error:
            raise BadObjectMeta(bucket, error.reason) from None
        for name, kind in _KINDS_OF_FIELDS.items():
            if not isinstance(getattr(info, name), kind):
                raise BadObjectMeta(bucket, f"{name} is not of the right type")
        if not _NUID.fullmatch(info.nuid) or min(info.size, info.chunks) < 0:
            raise BadObjectMeta(bucket, "nuid, size or chunks can't be")
        info.bucket = bucket  # nats.js writes that of the target into a link
        info.mtime = to_datetime(time_ns)
        return info


_KINDS_OF_FIELDS: dict[str, type | tuple[type, ...]] = {
    "name": str,
    "nuid": str,
    "size": int,
    "chunks": int,
    "digest": (str, type(None)),
}
