"""The object store with other servers, and beside nats-py as another client."""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import nats as nats_py
import pytest
from nats.js import errors as nats_py_errors
from nats.js.api import ObjectMeta as NatsPyMeta
from nats.js.object_store import ObjectStore as NatsPyObjectStore

from agents_core import nats
from agents_core.errors import PermissionsViolation
from agents_core.ids import unique
from agents_core.nats.jetstream import ObjectMeta, ObjectStore
from agents_core.nats.jetstream.object_errors import ObjectDeleted
from agents_server.nats_server import NatsServer
from tests.integration.objects import CHUNK, MIB, chunks_in
from tests.integration.streams import BUSES, jetstream

pytestmark = pytest.mark.nats
ROOT = Path(__file__).parents[2]


@contextmanager
def running(folder: Path, extra: str) -> Iterator[NatsServer]:
    server = NatsServer(folder / "nats", extra=extra)
    server.start()
    try:
        yield server
    finally:
        server.kill()


# -- beside nats-py


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


# -- other configurations


@pytest.mark.parametrize("domain", [None, "hub"])
async def test_the_second_form_of_acknowledgements(tmp_path: Path, domain: str | None) -> None:
    rules = "feature_flags { js_ack_fc_v2: true }\n"
    if domain:
        folder = (tmp_path / "store").as_posix()
        rules += f'jetstream {{ store_dir: "{folder}", domain: {domain} }}\n'
    with running(tmp_path, rules) as server:
        async with jetstream(server, domain=domain) as js:
            store = await js.create_object_store("b")
            data = os.urandom(MIB)
            await store.put("a", data)
            await store.put("a", data)
            assert (await store.get("a")).data == data
            assert len(await store.list()) == 1
            assert len(await chunks_in(store)) == 1


async def test_a_bucket_of_another_account(tmp_path: Path) -> None:
    rules = """
accounts: {
  A: {
    users: [ {user: a, password: a} ]
    jetstream: enabled
    exports: [ {service: '$JS.API.>', response: stream}, {service: '$O.>'} ]
  }
  I: {
    users: [ {user: i, password: i} ]
    imports: [
      {service: {account: A, subject: '$JS.API.>'}, to: 'fromA.>'}
      {service: {account: A, subject: '$O.>'}}
    ]
  }
}
"""
    with running(tmp_path, rules) as server:
        away = await nats.connect(server.url, user="i", password="i")
        home = await nats.connect(server.url, user="a", password="a")
        there = await away.jetstream(prefix="fromA").create_object_store("b")
        here, data = await home.jetstream().object_store("b"), os.urandom(5 * MIB)
        await there.put("away", data)
        await here.put("home", data)
        assert (await here.get("away")).data == (await there.get("home")).data == data
        assert [info.name for info in await there.list()] == ["away", "home"]
        await there.delete("home")
        async with await there.watch(updates_only=True) as watcher:
            await here.delete("away")
            seen = [await watcher.updates(), await watcher.updates()]
            assert [info and info.name for info in seen] == [None, "away"]
        assert await chunks_in(here) == {}
        await away.close()
        await home.close()


def quoted(subjects: str) -> str:
    return ", ".join(f'"{subject}"' for subject in subjects.split())


async def test_what_a_user_needs_to_be_allowed(tmp_path: Path) -> None:
    section = (ROOT / "docs" / "object-store.md").read_text().partition("## Permissions")[2]
    reading, writing = re.findall(r"^```\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)[:2]
    rules = f"""
authorization {{ users: [
  {{user: admin, password: p}}
  {{user: reader, password: p, permissions: {{publish: [{quoted(reading)}] }} }}
  {{user: writer, password: p, permissions: {{publish: [{quoted(reading + writing)}] }} }}
] }}
""".replace("BUCKET", "b")
    with running(tmp_path, rules) as server:
        admin, reader, writer = [
            await nats.connect(server.url, user=user, password="p", error_cb=lambda _: None)
            for user in ("admin", "reader", "writer")
        ]
        await admin.jetstream().create_object_store("b")
        await admin.jetstream().create_object_store("other")
        store, data = await writer.jetstream().object_store("b"), os.urandom(5 * MIB)
        for name in ("a", "a", "b", "c"):
            info = await store.put(name, data)
        await store.add_link("l", info)
        await store.update_meta("a", ObjectMeta("d"))
        await store.delete("b")
        store = await reader.jetstream().object_store("b")
        assert (await store.get("l")).data == data
        assert {info.name for info in await store.list()} == {"c", "l", "d"}
        for change in (store.put("a", b"x"), store.delete("c"), store.add_link("m", info)):
            with pytest.raises(PermissionsViolation):
                await change
        with pytest.raises(PermissionsViolation):
            await reader.jetstream().object_store("other")
        for client in (admin, reader, writer):
            await client.close()
