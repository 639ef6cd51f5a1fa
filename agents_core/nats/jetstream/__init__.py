"""JetStream: streams, consumers and what is built on them, over any bus.

from agents_core import nats

nc = await nats.connect("nats://127.0.0.1:4222")
js = nc.jetstream()
"""

from agents_core.nats.jetstream.account import AccountInfo, AccountLimits, APIStats, Tier
from agents_core.nats.jetstream.batch import AtomicBatch
from agents_core.nats.jetstream.consume import Consume
from agents_core.nats.jetstream.consumer import (
    AckPolicy,
    ConsumerConfig,
    ConsumerInfo,
    ConsumerPause,
    ConsumerReset,
    DeliverPolicy,
    PriorityGroupState,
    PriorityPolicy,
    ReplayPolicy,
    SequenceInfo,
)
from agents_core.nats.jetstream.context import JetStreamContext
from agents_core.nats.jetstream.counter import Counter, CounterEntry
from agents_core.nats.jetstream.header import Header
from agents_core.nats.jetstream.ingest import FastIngest
from agents_core.nats.jetstream.kv import KeyValue
from agents_core.nats.jetstream.kv import KeyValueWatcher as KeyWatcher
from agents_core.nats.jetstream.kv_config import KeyValueConfig
from agents_core.nats.jetstream.kv_entry import Entry, Operation
from agents_core.nats.jetstream.kv_status import BucketStatus
from agents_core.nats.jetstream.msg import JSMsg, Metadata, SequencePair
from agents_core.nats.jetstream.object_bucket import ObjectStoreConfig, ObjectStoreStatus
from agents_core.nats.jetstream.object_info import (
    ObjectInfo,
    ObjectLink,
    ObjectMeta,
    ObjectMetaOptions,
)
from agents_core.nats.jetstream.object_reader import ObjectReader
from agents_core.nats.jetstream.object_store import ObjectResult, ObjectStore, ObjectWatcher
from agents_core.nats.jetstream.ordered import OrderedConsumer
from agents_core.nats.jetstream.publish import PubAck, PublishOptions
from agents_core.nats.jetstream.push import PushSubscription
from agents_core.nats.jetstream.schedule import schedule
from agents_core.nats.jetstream.stored import RawStreamMsg
from agents_core.nats.jetstream.stream import (
    ClusterInfo,
    DiscardPolicy,
    ExternalStream,
    LostStreamData,
    PeerInfo,
    PersistMode,
    Placement,
    RePublish,
    RetentionPolicy,
    StorageType,
    StoreCompression,
    StreamConfig,
    StreamConsumerLimits,
    StreamConsumerSource,
    StreamInfo,
    StreamSource,
    StreamSourceInfo,
    StreamState,
    SubjectTransform,
)
from agents_core.nats.jetstream.subscription import PullSubscription

__all__ = [
    "APIStats",
    "AccountInfo",
    "AccountLimits",
    "AckPolicy",
    "AtomicBatch",
    "BucketStatus",
    "ClusterInfo",
    "Consume",
    "ConsumerConfig",
    "ConsumerInfo",
    "ConsumerPause",
    "ConsumerReset",
    "Counter",
    "CounterEntry",
    "DeliverPolicy",
    "DiscardPolicy",
    "Entry",
    "ExternalStream",
    "FastIngest",
    "Header",
    "JSMsg",
    "JetStreamContext",
    "KeyValue",
    "KeyValueConfig",
    "KeyWatcher",
    "LostStreamData",
    "Metadata",
    "ObjectInfo",
    "ObjectLink",
    "ObjectMeta",
    "ObjectMetaOptions",
    "ObjectReader",
    "ObjectResult",
    "ObjectStore",
    "ObjectStoreConfig",
    "ObjectStoreStatus",
    "ObjectWatcher",
    "Operation",
    "OrderedConsumer",
    "PeerInfo",
    "PersistMode",
    "Placement",
    "PriorityGroupState",
    "PriorityPolicy",
    "PubAck",
    "PublishOptions",
    "PullSubscription",
    "PushSubscription",
    "RawStreamMsg",
    "RePublish",
    "ReplayPolicy",
    "RetentionPolicy",
    "SequenceInfo",
    "SequencePair",
    "StorageType",
    "StoreCompression",
    "StreamConfig",
    "StreamConsumerLimits",
    "StreamConsumerSource",
    "StreamInfo",
    "StreamSource",
    "StreamSourceInfo",
    "StreamState",
    "SubjectTransform",
    "Tier",
    "schedule",
]
