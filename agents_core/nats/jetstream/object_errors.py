"""The errors of the object store.

JetStreamError
├── ObjectNotFound             a `NotFound`, too
│   └── ObjectDeleted
├── ObjectAlreadyExists
├── ObjectIncomplete, DigestMismatch, BadObjectMeta
├── LinkIsABucket, LinkNotAllowed
└── InvalidObjectName

`BucketNotFound` and `InvalidBucketName` are those of key-value buckets, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from agents_core.nats.jetstream.errors import Absent, JetStreamError


@dataclass(eq=False)
class ObjectNotFound(Absent):
    """The bucket has no such object."""

    bucket: str
    name: str
    template: ClassVar[str] = "bucket {bucket!r} has no object {name!r}"


@dataclass(eq=False)
class ObjectDeleted(ObjectNotFound):
    """The bucket had such an object; it was deleted."""

    template: ClassVar[str] = "object {name!r} in bucket {bucket!r} was deleted"


@dataclass(eq=False)
class ObjectAlreadyExists(JetStreamError):
    """The bucket has an object of that name, and it would be lost."""

    bucket: str
    name: str
    template: ClassVar[str] = "bucket {bucket!r} has an object {name!r} already"


@dataclass(eq=False)
class ObjectIncomplete(JetStreamError):
    """The stream holds another number of chunks than the object has.

    They were deleted, expired, or lost; or the object was replaced or deleted while it was read.
    """

    bucket: str
    name: str
    chunks: int
    found: int
    template: ClassVar[str] = (
        "object {name!r} in bucket {bucket!r}: {found} of {chunks} chunks are there"
    )


@dataclass(eq=False)
class DigestMismatch(JetStreamError):
    """The chunks are not what was put: their SHA-256 or their size is another one.

    Attributes:
        expected: the digest that was stored with the object.
        found: that of what was read.
    """

    bucket: str
    name: str
    expected: str
    found: str
    template: ClassVar[str] = (
        "object {name!r} in bucket {bucket!r} is damaged: its digest is {found}, not {expected}"
    )


@dataclass(eq=False)
class BadObjectMeta(JetStreamError):
    """What is stored about an object is not what ADR-20 says."""

    bucket: str
    reason: str
    template: ClassVar[str] = "an object's meta in bucket {bucket!r}: {reason}"


@dataclass(eq=False)
class LinkIsABucket(JetStreamError):
    """The name is a link to a whole bucket, so there is nothing to get."""

    bucket: str
    name: str
    target: str
    template: ClassVar[str] = "{name!r} in bucket {bucket!r} is a link to the bucket {target!r}"


@dataclass(eq=False)
class LinkNotAllowed(JetStreamError):
    """A link can't be made that way, or not to that."""

    name: str
    reason: str
    template: ClassVar[str] = "{name!r}: {reason}"


@dataclass(eq=False)
class InvalidObjectName(JetStreamError):
    """An object's name is any text of 1 to `limit` bytes of UTF-8."""

    name: str
    limit: int
    template: ClassVar[str] = "invalid object name {name!r}: use 1 to {limit} bytes of UTF-8"
