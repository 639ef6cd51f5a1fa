"""What a key-value bucket is and holds."""

from __future__ import annotations

from dataclasses import dataclass

from agents_core.nats.jetstream.kv_config import KeyValueConfig
from agents_core.nats.jetstream.stream import StreamInfo


@dataclass(frozen=True)
class BucketStatus:
    """What a bucket is and holds; named as in nats-py.

    Attributes:
        stream_info: of its stream.
        bucket: its name.
    """

    stream_info: StreamInfo
    bucket: str

    @property
    def config(self) -> KeyValueConfig:
        """What it was told to be."""
        return KeyValueConfig.of(self.stream_info.config)

    @property
    def values(self) -> int:
        """Entries, markers of deletions included."""
        return self.stream_info.state.messages

    @property
    def bytes(self) -> int:
        """Its size."""
        return self.stream_info.state.bytes

    @property
    def history(self) -> int:
        """Entries kept of each key."""
        return self.config.history

    @property
    def ttl(self) -> float | None:
        """Seconds that an entry lives, or None for ever."""
        return self.config.ttl

    @property
    def marker_ttl(self) -> float | None:
        """Seconds that the marker of an expired key stays, or None without such markers."""
        return self.config.limit_marker_ttl

    @property
    def is_compressed(self) -> bool:
        """Whether its files are compressed."""
        return self.config.compression

    @property
    def metadata(self) -> dict[str, str]:
        """Notes about it; the server adds its own, which begin with `_nats.`."""
        return self.config.metadata or {}
