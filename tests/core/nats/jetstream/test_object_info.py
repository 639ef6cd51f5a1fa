"""What is stored about an object: written as ADR-20 says, read from whichever client wrote it."""

from __future__ import annotations

from base64 import b64encode, urlsafe_b64decode
from datetime import UTC, datetime
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents_core import jsonvalue
from agents_core.nats.headers import Headers
from agents_core.nats.jetstream import ObjectInfo, ObjectLink, ObjectMeta, ObjectMetaOptions
from agents_core.nats.jetstream.errors import InvalidBucketName
from agents_core.nats.jetstream.object_errors import BadObjectMeta, InvalidObjectName
from agents_core.nats.jetstream.object_info import (
    NAME_BYTES_MAX,
    meta_subject,
    read_digest,
    stream_name,
    write_digest,
)

GOOD = {"name": "a", "bucket": "b", "nuid": "n", "size": 1, "chunks": 1}
HASH = sha256(b"").digest()
MOMENT = 1_700_000_000_000_000_000


def stored(**fields: object) -> ObjectInfo:
    return ObjectInfo.from_stored("b", jsonvalue.dumps({**GOOD, **fields}), MOMENT)


def test_subjects() -> None:
    assert stream_name("b-1_X") == "OBJ_b-1_X"
    assert meta_subject("b", "a/b c>ü?") == "$O.b.M.YS9iIGM-w7w_"
    assert meta_subject("b", "a") == "$O.b.M.YQ=="  # padded
    for name in ("", "a.b", "a b", "*", ">", "ü", "x" * 252, None, 3, b"b"):
        with pytest.raises(InvalidBucketName):
            stream_name(name)
    for name in ("", None, 3, "\ud800", "x" * (NAME_BYTES_MAX + 1), "ü" * NAME_BYTES_MAX):
        with pytest.raises(InvalidObjectName):
            meta_subject("b", name)
    assert len(meta_subject("x" * 251, "x" * NAME_BYTES_MAX)) < 2048


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=100))
def test_any_name_is_one_token(name: str) -> None:
    prefix, dot, token = meta_subject("b", name).rpartition(".")
    assert (prefix, dot) == ("$O.b.M", ".")
    assert urlsafe_b64decode(token).decode() == name


def test_what_is_written() -> None:
    info = ObjectInfo(
        "a",
        "b",
        "n",
        size=0,
        chunks=0,
        mtime=datetime.now(UTC),
        headers={"One": "1", "Two": ["a", "b"]},
        options=ObjectMetaOptions(ObjectLink("c", "d"), 10),
        metadata={"k": "v"},
    )
    assert info.as_dict() == {
        "name": "a",
        "bucket": "b",
        "nuid": "n",
        "size": 0,
        "chunks": 0,
        "headers": {"One": ["1"], "Two": ["a", "b"]},
        "options": {"link": {"bucket": "c", "name": "d"}, "max_chunk_size": 10},
        "metadata": {"k": "v"},
    }
    info.deleted, info.digest = True, "SHA-256=x"
    assert (info.as_dict()["deleted"], info.as_dict()["digest"]) == (True, "SHA-256=x")


def test_what_was_read_is_written_again() -> None:
    fields = {
        **GOOD,
        "digest": write_digest(HASH),
        "description": "d",
        "headers": {"One": ["1", "2"]},
        "options": {"max_chunk_size": 10, "newer": [1]},
        "revision": 7,
    }
    info = stored(**fields, mtime="whatever")
    assert info.as_dict() == fields
    assert info.mtime == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
    assert info.meta == ObjectMeta("a", "d", Headers([("One", "1"), ("One", "2")]), info.options)
    assert (info.is_link(), info.link) == (False, None)


def test_what_other_clients_write() -> None:
    assert stored(headers={"One": "1"}).headers == {"One": "1"}  # nats-py
    assert stored(mtime="", digest="").digest == ""  # nats-py, when it deletes
    assert stored(mtime="0001-01-01T00:00:00Z").mtime is not None  # Go
    assert stored(options=None, headers=None, description=None).options is None
    link = {"name": "l", "bucket": "target", "options": {"link": {"bucket": "target", "name": "t"}}}
    info = ObjectInfo.from_stored("b", jsonvalue.dumps(link), MOMENT)  # nats.js
    assert (info.bucket, info.nuid, info.size) == ("b", "", 0)
    assert info.link == ObjectLink("target", "t")


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": 1},
        {"name": None},
        {"nuid": ">"},
        {"nuid": "a.b"},
        {"nuid": "a b"},
        {"nuid": "*"},
        {"nuid": 1},
        {"size": "1"},
        {"size": -1},
        {"chunks": -1},
        {"chunks": 1.5},
        {"chunks": None},
        {"digest": 1},
        {"options": 1},
        {"options": {"link": {}}},
        {"headers": 1},
        {"headers": []},
    ],
)
def test_what_is_no_meta(wrong: dict[str, object]) -> None:
    with pytest.raises(BadObjectMeta):
        stored(**wrong)


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"null", b"{}", b"\xff", b"[" * 100])
def test_what_is_no_object(data: bytes) -> None:
    with pytest.raises(BadObjectMeta, match="an object's meta in bucket 'b'"):
        ObjectInfo.from_stored("b", data, MOMENT)


def test_digests() -> None:
    digest = "SHA-256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU="
    assert write_digest(HASH) == digest
    assert read_digest(digest) == HASH
    assert read_digest(digest.rstrip("=")) == HASH
    assert read_digest(digest.lower()[:8] + digest[8:]) == HASH
    assert read_digest("SHA-256=" + b64encode(HASH).decode()) == HASH
    for wrong in (None, "", "SHA-256=", "SHA-256=!!!!", "SHA-256=aaaa", "SHA-256=a", "MD5=aaaa"):
        assert read_digest(wrong) is None


@given(st.binary(min_size=32, max_size=32))
def test_a_digest_that_was_written_is_read(data: bytes) -> None:
    assert read_digest(write_digest(data)) == data
