"""The errors of key-value buckets.

KeyValueError
├── BadBucket
├── InvalidKeyName
├── KeyNotFound                a `NotFound`, too
│   └── KeyDeleted
└── NoKeys

A compare-and-set that came too late raises `WrongLastSequence`, as every publish does;
`BucketNotFound` and `InvalidBucketName` are those of object stores, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from agents_core.nats.jetstream.errors import Absent, JetStreamError


class KeyValueError(JetStreamError):
    """Root of the errors about key-value buckets."""


@dataclass(eq=False)
class BadBucket(KeyValueError):
    """There is a stream of that name, but it is not one that a bucket can be."""

    bucket: str
    reason: str
    template: ClassVar[str] = "the stream of bucket {bucket!r} is no bucket: {reason}"


@dataclass(eq=False)
class InvalidKeyName(KeyValueError):
    """A key is the end of a subject, so not everything can be one (ADR-6)."""

    key: str
    template: ClassVar[str] = (
        "invalid key {key!r}: use tokens of A-Z a-z 0-9 _ - / = with a dot between them, "
        "and do not begin with _kv"
    )


@dataclass(eq=False)
class KeyNotFound(KeyValueError, Absent):
    """The bucket has no value for this key, or none of this revision."""

    bucket: str
    key: str
    template: ClassVar[str] = "bucket {bucket!r} has no key {key!r}"


@dataclass(eq=False)
class KeyDeleted(KeyNotFound):
    """The key was deleted.

    Attributes:
        operation: how, `DEL` or `PURGE`.
        revision: of the marker that says so.
    """

    operation: str = ""
    revision: int = 0


@dataclass(eq=False)
class NoKeys(KeyValueError):
    """Nothing in the bucket matches."""

    bucket: str
    template: ClassVar[str] = "bucket {bucket!r} has no such keys"
