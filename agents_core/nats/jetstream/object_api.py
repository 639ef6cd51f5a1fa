"""Buckets of objects: make, find and delete them; the names are nats-py's."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from agents_core.nats.jetstream.api import API
from agents_core.nats.jetstream.errors import BucketNotFound, StreamNotFound
from agents_core.nats.jetstream.object_bucket import ObjectStoreConfig
from agents_core.nats.jetstream.object_info import stream_name
from agents_core.nats.jetstream.object_store import ObjectStore
from agents_core.nats.jetstream.record import check_config

if TYPE_CHECKING:
    from agents_core.nats.jetstream.context import JetStreamContext


class ObjectAPI(API):
    """The object stores of `JetStreamContext`. Each call raises what `API.request` raises."""

    async def create_object_store(
        self, bucket: str | None = None, config: ObjectStoreConfig | None = None, **params: Any
    ) -> ObjectStore:
        """Make a bucket; one that exists with the same configuration is as good.

        Args:
            bucket: its name, 1 to 251 of `A-Z a-z 0-9 _ -`; None for that of `config`.
            config: what it is to be.
            **params: fields of `ObjectStoreConfig`, instead of those of `config` or without it.

        Raises:
            InvalidBucketName: it can't be one.
            StreamNameInUse: it exists with another configuration.
            BadRequest: the configuration can't be.
        """
        check_config(config, ObjectStoreConfig)
        wanted = replace(config or ObjectStoreConfig(), **params)
        if bucket is not None:
            wanted.bucket = bucket
        await self._js.add_stream(wanted.stream_config())
        assert wanted.bucket is not None
        return ObjectStore(self._js, wanted.bucket)

    async def object_store(self, bucket: str) -> ObjectStore:
        """A bucket that exists.

        Raises:
            BucketNotFound: it does not.
            InvalidBucketName: it can't be one.
        """
        try:
            await self._js.stream_info(stream_name(bucket))
        except StreamNotFound:
            raise BucketNotFound(bucket) from None
        return ObjectStore(self._js, bucket)

    async def delete_object_store(self, bucket: str) -> bool:
        """Delete a bucket with everything in it.

        Raises:
            BucketNotFound: there is none.
            InvalidBucketName: it can't be one.
        """
        try:
            return await self._js.delete_stream(stream_name(bucket))
        except StreamNotFound:
            raise BucketNotFound(bucket) from None

    @property
    def _js(self) -> JetStreamContext:
        return cast("JetStreamContext", self)
