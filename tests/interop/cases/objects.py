"""The object store (ADR-20): buckets, content, meta, links and changes, each side for the other."""

from __future__ import annotations

import asyncio
import os

from agents_core import nats
from agents_core.ids import unique
from agents_core.nats.jetstream import (
    ObjectLink,
    ObjectMeta,
    ObjectMetaOptions,
    ObjectStore,
    StorageType,
)
from agents_core.nats.jetstream.object_errors import LinkIsABucket
from tests.interop.cases.case import Case, NatsJs

SIZES = [0, 1, 128 * 1024, 400_000]
OPEN = "const store = await new nats.Objm(nc).open(b);"


async def make(nc: nats.Client) -> ObjectStore:
    return await nc.jetstream().create_object_store(unique(), storage=StorageType.MEMORY)


async def a_bucket_of_js(nc: nats.Client, js: NatsJs) -> None:
    """We read how nats.js made a bucket, and seal it."""
    name = unique()
    await js.run(
        """
        await new nats.Objm(nc).create(b, {
          description: "d", ttl: nats.nanos(60_500), storage: "memory", compression: true,
          metadata: { a: "b" },
        });
        """,
        b=name,
    )
    store = await nc.jetstream().object_store(name)
    status = await store.status()
    assert (status.description, status.ttl, status.storage_type) == ("d", 60.5, "memory")
    assert (status.is_compressed, status.metadata["a"], status.sealed) == (True, "b", False)
    await store.seal()
    assert await js.run(f"{OPEN} return (await store.status()).sealed", b=name)


async def a_bucket_of_ours(nc: nats.Client, js: NatsJs) -> None:
    """nats.js reads how we made one."""
    store = await nc.jetstream().create_object_store(
        unique(),
        description="d",
        ttl=60.5,
        storage=StorageType.MEMORY,
        compression=True,
        metadata={"a": "b"},
    )
    said = await js.run(
        f"""
        {OPEN}
        const {{ description, ttl, storage, compression, metadata }} = await store.status();
        return [description, ttl, storage, compression, metadata.a];
        """,
        b=store.bucket,
    )
    assert said == ["d", 60_500_000_000, "memory", True, "b"]


async def content_of_js(nc: nats.Client, js: NatsJs) -> None:
    """Content of any size, its name and its meta, put by nats.js.

    Not with any name: nats.js writes ASCII as everybody does, other characters in its own way.
    """
    store = await make(nc)
    for size in SIZES:
        data, name = os.urandom(size), f"dir/a b>{size}"
        await js.run(
            f"""
            {OPEN}
            const headers = nats.headers();
            headers.append("K", "v"); headers.append("K", "w");
            const meta = {{ name, description: "d", headers, metadata: {{ m: "n" }} }};
            meta.options = {{ max_chunk_size: 100_000 }};
            await store.putBlob(meta, bytes(data));
            """,
            b=store.bucket,
            name=name,
            data=data.decode("latin-1"),
        )
        got = await store.get(name)
        assert (got.data, got.info.name, got.info.description) == (data, name, "d")
        assert (got.info.size, got.info.chunks) == (size, -(-size // 100_000))
        assert got.info.headers is not None
        assert got.info.headers.get_all("K") == ["v", "w"]
        assert got.info.metadata == {"m": "n"}
    assert len(await store.list()) == len(SIZES)


async def content_of_ours(nc: nats.Client, js: NatsJs) -> None:
    """The same the other way."""
    store = await make(nc)
    meta = ObjectMeta(
        description="d",
        headers={"K": ["v", "w"]},
        metadata={"m": "n"},
        options=ObjectMetaOptions(max_chunk_size=100_000),
    )
    for size in SIZES:
        data, name = os.urandom(size), f"dir/a b>{size}"
        put = await store.put(name, data, meta)
        got, info = await js.run(
            f"""
            {OPEN}
            const info = await store.info(name), {{ size, chunks, digest, nuid, deleted }} = info;
            const meta = [info.description, info.headers.values("K"), info.metadata.m];
            const data = latin1(await store.getBlob(name));
            return [data, [info.name, size, chunks, digest, nuid, deleted, ...meta]];
            """,
            b=store.bucket,
            name=name,
        )
        assert got.encode("latin-1") == data
        assert info[:6] == [name, size, put.chunks, put.digest, put.nuid, False]
        assert info[6:] == ["d", ["v", "w"], "n"]
    listed = await js.run(f"{OPEN} return (await store.list()).map((o) => o.name)", b=store.bucket)
    assert listed == [f"dir/a b>{size}" for size in SIZES]


async def changes_of_js(nc: nats.Client, js: NatsJs) -> None:
    """nats.js replaces, renames and deletes what we put; no chunk is left behind."""
    store = await make(nc)
    for name in ("a", "b", "c"):
        await store.put(name, name.encode() * 200_000)
    await js.run(
        f"""
        {OPEN}
        await store.putBlob({{ name: "a" }}, bytes("new"));
        await store.update("b", {{ name: "B", description: "d" }});
        await store.delete("c");
        """,
        b=store.bucket,
    )
    assert (await store.get("a")).data == b"new"
    got = await store.get("B")
    assert (got.data, got.info.description) == (b"b" * 200_000, "d")
    assert (await store.get("c", show_deleted=True)).info.deleted
    assert [info.name for info in await store.list()] == ["a", "B"]
    await store.delete("B")
    assert (await store.status()).stream_info.state.messages == 4


async def changes_of_ours(nc: nats.Client, js: NatsJs) -> None:
    """The same the other way."""
    store = await make(nc)
    await js.run(
        f"""
        {OPEN}
        for (const name of ["a", "b", "c"])
          await store.putBlob({{ name }}, new Uint8Array(200_000).fill(name.charCodeAt(0)));
        """,
        b=store.bucket,
    )
    await store.put("a", b"new")
    await store.update_meta("b", ObjectMeta("B", "d"))
    await store.delete("c")
    found = await js.run(
        f"""
        {OPEN}
        const large = await store.getBlob("B"), info = await store.info("B");
        const names = (await store.list()).map((o) => o.name);
        const gone = [await store.getBlob("c"), await store.info("b"), await store.get("c")];
        return [latin1(await store.getBlob("a")), large.length, info.description, names, gone];
        """,
        b=store.bucket,
    )
    assert found == ["new", 200_000, "d", ["a", "B"], [None, None, None]]
    await js.run(f"{OPEN} await store.delete('B')", b=store.bucket)
    assert (await store.status()).stream_info.state.messages == 4


async def links(nc: nats.Client, js: NatsJs) -> None:
    """Links of one side lead the other to the object, also in another bucket."""
    store, other = await make(nc), await make(nc)
    info = await other.put("o", b"content")
    await store.add_link("ours", info)
    await store.add_bucket_link("our bucket", other)
    found = await js.run(
        f"""
        {OPEN}
        const target = await new nats.Objm(nc).open(t);
        await store.link("theirs", await target.info("o"));
        await store.linkStore("their bucket", target);
        const refused = await store.get("our bucket").catch((error) => error.message);
        return [latin1(await store.getBlob("ours")), refused];
        """,
        b=store.bucket,
        t=other.bucket,
    )
    assert found == ["content", "link is a bucket"]
    got = await store.get("theirs")
    assert (got.data, got.info.bucket, got.info.name) == (b"content", other.bucket, "o")
    assert (await store.get_info("their bucket")).link == ObjectLink(other.bucket)
    refused = None
    try:
        await store.get("their bucket")
    except LinkIsABucket as error:
        refused = error.target
    assert refused == other.bucket
    assert {info.name for info in await store.list() if info.is_link()} == {
        "ours",
        "our bucket",
        "theirs",
        "their bucket",
    }


async def watching(nc: nats.Client, js: NatsJs) -> None:
    """Each side sees what the other changes."""
    store = await make(nc)
    await store.put("a", b"1")
    await js.run(
        f"""
        {OPEN}
        kept.watch = await store.watch({{ includeHistory: true }});
        """,
        b=store.bucket,
    )
    async with await store.watch() as watcher:
        first = [await watcher.updates(), await watcher.updates()]
        assert [info.name if info else None for info in first] == ["a", None]
        await js.run(f"{OPEN} await store.putBlob({{ name: 'b' }}, bytes('2'))", b=store.bucket)
        await store.delete("a")
        seen = [await watcher.updates(), await watcher.updates()]
        assert [(info.name, info.deleted) for info in seen if info] == [("b", False), ("a", True)]
    theirs = await js.run(
        """
        const found = [];
        for await (const info of kept.watch) {
          found.push([info.name, info.deleted ?? false]);
          if (found.length === 3) break;
        }
        return found;
        """
    )
    assert theirs == [["a", False], ["b", False], ["a", True]]


async def at_once(nc: nats.Client, js: NatsJs) -> None:
    """Both put the same name at the same time: the content is one of the two, whole."""
    store = await make(nc)
    ours, theirs = b"o" * 300_000, b"t" * 300_000

    async def put_theirs() -> None:
        await js.run(
            f"{OPEN} await store.putBlob({{ name: 'a' }}, new Uint8Array(300_000).fill(116))",
            b=store.bucket,
        )

    await asyncio.gather(store.put("a", ours), put_theirs())
    assert (await store.get("a")).data in {ours, theirs}


CASES: list[Case] = [
    a_bucket_of_js,
    a_bucket_of_ours,
    content_of_js,
    content_of_ours,
    changes_of_js,
    changes_of_ours,
    links,
    watching,
    at_once,
]
