"""Key-value buckets: make, find, change and delete them; the names are nats-py's if it has them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from agents_core.errors import Unsupported
from agents_core.nats.jetstream.api import check_bucket
from agents_core.nats.jetstream.errors import BucketNotFound, StreamNotFound
from agents_core.nats.jetstream.kv import KeyValue
from agents_core.nats.jetstream.kv_config import PREFIX, KeyValueConfig
from agents_core.nats.jetstream.kv_errors import BadBucket
from agents_core.nats.jetstream.kv_status import BucketStatus
from agents_core.nats.jetstream.record import check_config
from agents_core.nats.jetstream.stream import StreamConfig, StreamInfo
from agents_core.nats.jetstream.stream_api import StreamAPI

if TYPE_CHECKING:
    from agents_core.nats.jetstream.context import JetStreamContext

MARKERS_LEVEL = 1
"""The API level of the first server with limit markers (ADR-48)."""


class KeyValueAPI(StreamAPI):
    """What can be asked about buckets. Each call raises what `API.request` raises."""

    async def key_value(self, bucket: str) -> KeyValue:
        """A bucket that exists.

        Raises:
            BucketNotFound: there is none.
            BadBucket: there is a stream of its name, which is no bucket.
            InvalidBucketName: it can't be a name.
        """
        return self._bucket((await self._bucket_info(check_bucket(bucket))).config)

    async def create_key_value(
        self, config: KeyValueConfig | None = None, **params: Any
    ) -> KeyValue:
        """Make a bucket; one that exists with the same configuration is as good.

        Args:
            config: what it is to be.
            **params: fields of `KeyValueConfig`, instead of those of `config` or without it.

        Raises:
            StreamNameInUse: it exists with another configuration.
            InvalidBucketName, InvalidOption, BadRequest: the configuration can't be.
            Unsupported: the server is too old for `limit_marker_ttl`.
        """
        check_config(config, KeyValueConfig)
        wanted = config.evolve(**params) if config else KeyValueConfig(**params)
        await self._check_markers(wanted)
        return self._bucket((await self.add_stream(wanted.stream_config())).config)

    async def update_key_value(
        self, config: KeyValueConfig | None = None, **params: Any
    ) -> KeyValue:
        """Change a bucket.

        Args:
            config: what it is to be; without it, what it is.
            **params: fields of `KeyValueConfig` to change; `bucket` is needed without `config`.

        Raises:
            BucketNotFound: there is none.
            and what `create_key_value` raises.
        """
        check_config(config, KeyValueConfig)
        bucket = config.bucket if config else params.get("bucket")
        base = (await self._bucket_info(check_bucket(bucket))).config
        wanted = (config or KeyValueConfig.of(base)).evolve(**params)
        await self._check_markers(wanted)
        return self._bucket((await self.update_stream(wanted.stream_config(base))).config)

    async def create_or_update_key_value(
        self, config: KeyValueConfig | None = None, **params: Any
    ) -> KeyValue:
        """Change a bucket if there is one, else make it.

        Raises:
            what `update_key_value` and `create_key_value` raise.
        """
        try:
            return await self.update_key_value(config, **params)
        except BucketNotFound:
            return await self.create_key_value(config, **params)

    async def delete_key_value(self, bucket: str) -> bool:
        """Delete a bucket with everything in it.

        Raises:
            BucketNotFound: there is none.
        """
        try:
            return await self.delete_stream(PREFIX + check_bucket(bucket))
        except StreamNotFound:
            raise BucketNotFound(bucket) from None

    async def key_value_bucket_names(self) -> list[str]:
        """The names of all buckets."""
        names = await self.stream_names()
        return [name.removeprefix(PREFIX) for name in names if name.startswith(PREFIX)]

    async def key_value_buckets(self) -> list[BucketStatus]:
        """What all buckets are and hold; of those that are missing see `streams_info`."""
        found = []
        for info in await self.streams_info():
            name = info.config.name or ""
            if name.startswith(PREFIX):
                found.append(BucketStatus(info, name.removeprefix(PREFIX)))
        return found

    async def _bucket_info(self, bucket: str) -> StreamInfo:
        try:
            info = await self.stream_info(PREFIX + bucket)
        except StreamNotFound:
            raise BucketNotFound(bucket) from None
        if (info.config.max_msgs_per_subject or 0) < 1:
            raise BadBucket(bucket, "it keeps any number of entries of a key")
        return info

    async def _check_markers(self, config: KeyValueConfig) -> None:
        """A server that is too old would make the bucket without a word about markers."""
        if config.limit_marker_ttl and (await self.account_info()).api.level < MARKERS_LEVEL:
            raise Unsupported("limit_marker_ttl", "use nats-server 2.11 or newer")

    def _bucket(self, stream: StreamConfig) -> KeyValue:
        js = cast("JetStreamContext", self)  # what this is a part of; it can publish and consume
        return KeyValue(js, (stream.name or "").removeprefix(PREFIX), stream)
