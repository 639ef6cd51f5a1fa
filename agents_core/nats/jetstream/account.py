"""What an account uses of JetStream, and what it may use; the names are those of `nats.js.api`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from agents_core.nats.jetstream.record import Record, record, records_by_name


@dataclass
class AccountLimits(Record):
    """What an account may use; -1 for no limit."""

    max_memory: int = -1
    max_storage: int = -1
    max_streams: int = -1
    max_consumers: int = -1
    max_ack_pending: int = -1
    memory_max_stream_bytes: int = -1
    storage_max_stream_bytes: int = -1
    max_bytes_required: bool = False


@dataclass
class Tier(Record):
    """What is used at one number of replicas, in bytes and pieces."""

    limits: AccountLimits
    memory: int = 0
    storage: int = 0
    streams: int = 0
    consumers: int = 0
    reserved_memory: int = 0
    reserved_storage: int = 0
    KINDS: ClassVar = {"limits": record(AccountLimits)}


@dataclass
class APIStats(Record):
    """Requests to the API so far, and the level of the API (ADR-44)."""

    total: int = 0
    errors: int = 0
    inflight: int = 0
    level: int = 0


@dataclass
class AccountInfo(Tier):
    """What the account uses in all; `tiers` has it by number of replicas."""

    domain: str | None = None
    api: APIStats = field(kw_only=True)
    tiers: dict[str, Tier] | None = None
    KINDS: ClassVar = {
        **Tier.KINDS,
        "api": record(APIStats),
        "tiers": records_by_name(Tier),
    }
