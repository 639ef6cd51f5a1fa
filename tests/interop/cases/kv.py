"""Key-value: what one side stores, deletes and watches, the other side sees."""

from __future__ import annotations

from typing import Any

from agents_core import nats
from agents_core.ids import unique
from agents_core.nats.jetstream import Entry, KeyWatcher, Operation, StorageType
from agents_core.nats.jetstream.errors import WrongLastSequence
from agents_core.nats.jetstream.kv_errors import KeyDeleted
from tests.interop.cases.case import Case, NatsJs

OPEN = """
const kv = await new nats.Kvm(nc).open(name, { allow_direct: true });
const brief = (e) => e && [e.key, latin1(e.value), e.revision, e.operation];
const refused = async (what) => { try { await what } catch (error) { return error.message } };
"""


async def entries(watcher: KeyWatcher, count: int) -> list[Entry]:
    found: list[Entry] = []
    while len(found) < count:
        entry = await watcher.updates(10)
        if entry is not None:
            found.append(entry)
    return found


async def a_bucket_of_js(nc: nats.Client, js: NatsJs) -> None:
    """We open a bucket that nats.js made, read it, change it, and lose nothing of it."""
    name, ours = unique(), nc.jetstream()
    await js.run(
        """
        const kv = await new nats.Kvm(nc).create(name, {
          history: 5, ttl: 90_500, storage: "memory", markerTTL: 2000, compression: true,
          max_bytes: 1_000_000, maxValueSize: 1000, description: "theirs", metadata: { a: "b" },
        });
        await kv.put("a.b", bytes("\\u00ff"));
        await kv.put("a.b", "two");
        await kv.put("c", "");
        await kv.delete("c");
        """,
        name=name,
    )
    assert name in await ours.key_value_bucket_names()
    kv = await ours.key_value(name)
    status = await kv.status()
    assert (status.history, status.ttl, status.marker_ttl) == (5, 90.5, 2)
    assert (status.values, status.is_compressed, status.metadata["a"]) == (4, True, "b")
    assert (status.config.storage, status.config.max_bytes) == (StorageType.MEMORY, 1_000_000)
    assert [entry.value for entry in await kv.history("a.b")] == [b"\xff", b"two"]
    assert (await kv.get("a.b", revision=1)).value == b"\xff"
    assert await kv.keys() == ["a.b"]
    deleted = ""
    try:
        await kv.get("c")
    except KeyDeleted as error:
        deleted = error.operation
    assert deleted == Operation.DEL
    await ours.update_key_value(bucket=name, history=7)
    said = await js.run(
        f"""{OPEN}
        const status = await kv.status();
        return [status.history, status.ttl, status.markerTTL, status.description, status.values];
        """,
        name=name,
    )
    assert said == [7, 90_500, 2000, "theirs", 4]


async def a_bucket_of_ours(nc: nats.Client, js: NatsJs) -> None:
    """nats.js opens a bucket that we made and reads what we stored, deleted and purged."""
    name, ours = unique(), nc.jetstream()
    kv = await ours.create_key_value(bucket=name, history=5, storage=StorageType.MEMORY)
    await kv.put("a.b", b"\xff")
    await kv.put("a.b", b"two")
    await kv.put("c", b"x")
    await kv.delete("c")
    await kv.put("d", b"x")
    await kv.purge("d")
    said: dict[str, Any] = await js.run(
        f"""{OPEN}
        return {{
          get: brief(await kv.get("a.b")), first: brief(await kv.get("a.b", {{ revision: 1 }})),
          missing: await kv.get("x"), created: (await kv.get("a.b")).created.getTime(),
          keys: await collect(kv.keys()), history: (await collect(kv.history())).map(brief),
          buckets: (await collect(new nats.Kvm(nc).list())).map((status) => status.bucket),
        }};
        """,
        name=name,
    )
    assert said["get"] == ["a.b", "two", 2, "PUT"]
    assert said["first"] == ["a.b", "\xff", 1, "PUT"]
    assert said["missing"] is None
    assert said["created"] == int((await kv.get("a.b")).created.timestamp() * 1000)
    assert said["keys"] == ["a.b"]
    assert name in said["buckets"]
    assert said["history"] == [
        ["a.b", "\xff", 1, "PUT"],
        ["a.b", "two", 2, "PUT"],
        ["c", "x", 3, "PUT"],
        ["c", "", 4, "DEL"],
        ["d", "", 6, "PURGE"],
    ]


async def the_first_of_several_changes(nc: nats.Client, js: NatsJs) -> None:
    """Whoever was first wins, on either side; both create over the other's markers."""
    name, ours = unique(), nc.jetstream()
    kv = await ours.create_key_value(bucket=name, storage=StorageType.MEMORY)
    assert await kv.create("a", b"1") == 1
    assert await kv.update("a", b"2", last=1) == 2
    said = await js.run(
        f"""{OPEN}
        return [
          await refused(kv.create("a", "3")), await refused(kv.update("a", "3", 1)),
          await kv.update("a", "3", 2), await kv.delete("a"),
        ];
        """,
        name=name,
    )
    assert "wrong last sequence" in said[0]
    assert "wrong last sequence" in said[1]
    assert said[2] == 3
    assert await kv.create("a", b"5") == 5
    try:
        await kv.update("a", b"6", last=3)
    except WrongLastSequence:
        await kv.purge("a")
    assert await js.run(f"{OPEN} return await kv.create('a', '7')", name=name) == 7
    assert (await kv.get("a")).value == b"7"


async def watches(nc: nats.Client, js: NatsJs) -> None:
    """Both watch while both write: they see the same entries in the same order."""
    name, ours = unique(), nc.jetstream()
    kv = await ours.create_key_value(bucket=name, history=64, storage=StorageType.MEMORY)
    await kv.put("before", b"\xff")
    await js.run(
        f"""{OPEN}
        kept.seen = [];
        kept.watcher = await kv.watch();
        (async () => {{ for await (const e of kept.watcher) kept.seen.push(brief(e)) }})();
        """,
        name=name,
    )
    async with await kv.watchall() as watcher:
        assert [entry.key for entry in await entries(watcher, 1)] == ["before"]
        assert await watcher.updates() is None
        for number in range(10):
            await kv.put(f"k.{number % 3}", b"%d" % number)
            await js.run(f"{OPEN} await kv.put(key, key)", name=name, key=f"j.{number % 3}")
        await kv.delete("before")
        await js.run(f"{OPEN} await kv.purge('k.1')", name=name)
        found = await entries(watcher, 22)
    seen = await js.run(
        """
        while (kept.seen.length < 23) await new Promise((go) => setTimeout(go));
        kept.watcher.stop();
        return kept.seen;
        """
    )
    assert seen[0] == ["before", "\xff", 1, "PUT"]
    assert seen[1:] == [
        [
            entry.key,
            (entry.value or b"").decode("latin-1"),
            entry.revision,
            str(entry.operation or "PUT"),
        ]
        for entry in found
    ]


async def keys_that_expire(nc: nats.Client, js: NatsJs) -> None:
    """A time to live that one side gives is a deletion that the other side is told of."""
    name, ours = unique(), nc.jetstream()
    kv = await ours.create_key_value(bucket=name, limit_marker_ttl=60, storage=StorageType.MEMORY)
    await js.run(
        f"""{OPEN}
        kept.watcher = await kv.watch({{ key: "ours" }});
        await kv.create("theirs", "x", "1s");
        """,
        name=name,
    )
    await kv.create("ours", b"x", msg_ttl=1)
    async with await kv.watch("theirs") as watcher:
        operations = [entry.operation for entry in await entries(watcher, 2)]
    assert operations == [None, Operation.PURGE]
    said = await js.run(
        """
        const found = [];
        for await (const e of kept.watcher) {
          found.push(e.operation);
          if (found.length === 2) break;
        }
        return found;
        """
    )
    assert said == ["PUT", "PURGE"]


CASES: list[Case] = [
    a_bucket_of_js,
    a_bucket_of_ours,
    the_first_of_several_changes,
    watches,
    keys_that_expire,
]
