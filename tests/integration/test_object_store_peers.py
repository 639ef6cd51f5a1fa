"""The object store with other servers, and beside nats-py as another client."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import nats as nats_py
import pytest
from nats.js import errors as nats_py_errors
from nats.js.api import ObjectMeta as NatsPyMeta
from nats.js.object_store import ObjectStore as NatsPyObjectStore

from agents_core.ids import unique
from agents_core.nats.jetstream import (
    ObjectMeta,
    ObjectStore,
)
from agents_core.nats.jetstream.object_errors import (
    ObjectDeleted,
)
from agents_server.nats_server import NatsServer
from tests.integration.objects import CHUNK, MIB, chunks_in
from tests.integration.streams import BUSES, jetstream

pytestmark = pytest.mark.nats


# -- other clients, other configurations


@asynccontextmanager
async def beside_nats_py(
    server: NatsServer, kind: str
) -> AsyncIterator[tuple[ObjectStore, NatsPyObjectStore]]:
    """One bucket, seen by both; ours is made by nats-py."""
    other = await nats_py.connect(server.url)
    js, name = other.jetstream(), unique()
    theirs = await js.create_object_store(name, description="d")
    async with jetstream(server, kind) as ours:
        yield await ours.create_object_store(name, description="d"), theirs
    await js.delete_object_store(name)
    await other.close()


@BUSES
@pytest.mark.parametrize("size", [0, 5, CHUNK, 700_000])
async def test_content_of_nats_py_and_for_it(nats_server: NatsServer, kind: str, size: int) -> None:
    async with beside_nats_py(nats_server, kind) as (ours, theirs):
        data = os.urandom(size)
        meta = {"description": "d", "headers": {"One": ["1"], "Two": ["a", "b"]}}
        await theirs.put("from nats-py", data, NatsPyMeta(**meta))
        got = await ours.get("from nats-py")
        assert (got.data, got.info.description) == (data, "d")
        assert got.info.headers is not None
        assert got.info.headers.get_all("Two") == ["a", "b"]
        await ours.put("from us", data, ObjectMeta(**meta))
        read = await theirs.get("from us")
        assert (read.data, read.info.description, read.info.headers) == (
            data,
            "d",
            meta["headers"],
        )
        await ours.put("from nats-py", b"ours")
        assert (await theirs.get("from nats-py")).data == b"ours"
        await theirs.put("from us", b"theirs")
        assert (await ours.get("from us")).data == b"theirs"
        assert len(await chunks_in(ours)) == 2


async def test_nats_py_understands_meta_deletes_and_links(nats_server: NatsServer) -> None:
    async with beside_nats_py(nats_server, "tcp") as (ours, theirs):
        info = await ours.put("a", b"1")
        await ours.add_link("l", info)
        assert (await theirs.get("l")).data == b"1"
        await ours.add_bucket_link("b", ours)
        with pytest.raises(nats_py_errors.LinkIsABucketError):
            await theirs.get("b")
        await ours.update_meta("a", ObjectMeta("new", "d", metadata={"k": "v"}))
        assert (await theirs.get_info("new")).description == "d"
        assert {entry.name for entry in await theirs.list()} == {"l", "b", "new"}
        await ours.delete("new")
        with pytest.raises(nats_py_errors.ObjectNotFoundError):
            await theirs.get("new")
        assert {entry.name for entry in await theirs.list(ignore_deletes=True)} == {"l", "b"}
        await ours.seal()
        assert (await theirs.status()).sealed


async def test_meta_and_deletes_of_nats_py(nats_server: NatsServer) -> None:
    async with beside_nats_py(nats_server, "tcp") as (ours, theirs):
        await theirs.put("a", b"1", NatsPyMeta(headers={"One": "1"}))
        info = await ours.get_info("a")
        assert info.headers is not None
        assert (dict(info.headers), info.deleted) == ({"One": "1"}, False)
        await theirs.update_meta("a", NatsPyMeta(name="a", description="changed"))
        assert (await ours.get_info("a")).description == "changed"
        await theirs.delete("a")
        with pytest.raises(ObjectDeleted):
            await ours.get("a")
        assert (await ours.get_info("a", show_deleted=True)).mtime is not None
        async with await ours.watch() as watcher:
            info = await watcher.updates()
            assert info is not None
            assert info.deleted


@pytest.mark.parametrize("domain", [None, "hub"])
async def test_the_second_form_of_acknowledgements(tmp_path: Path, domain: str | None) -> None:
    extra = "feature_flags { js_ack_fc_v2: true }\n"
    if domain:
        folder = (tmp_path / "store").as_posix()
        extra += f'jetstream {{ store_dir: "{folder}", domain: {domain} }}\n'
    server = NatsServer(tmp_path / "nats", extra=extra)
    server.start()
    try:
        async with jetstream(server, domain=domain) as js:
            store = await js.create_object_store("b")
            data = os.urandom(MIB)
            await store.put("a", data)
            await store.put("a", data)
            assert (await store.get("a")).data == data
            assert len(await store.list()) == 1
            assert len(await chunks_in(store)) == 1
    finally:
        server.kill()
