"""Key-value buckets with other servers, and beside nats-py as another client."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from pathlib import Path

import nats as nats_py
import pytest
from nats.js import JetStreamContext as TheirContext
from nats.js.errors import KeyDeletedError, KeyNotFoundError, KeyWrongLastSequenceError

from agents_core import nats
from agents_core.errors import PermissionsViolation
from agents_core.ids import unique
from agents_core.nats.jetstream import JetStreamContext, Operation, StreamSource
from agents_core.nats.jetstream.errors import WrongLastSequence
from agents_core.nats.jetstream.kv_errors import KeyDeleted
from agents_core.nats.jetstream.stream import ExternalStream
from agents_server.nats_server import NatsServer, free_port
from tests.integration.buckets import brief, bucket, initial, take
from tests.integration.streams import BUSES, jetstream

pytestmark = pytest.mark.nats
ROOT = Path(__file__).parents[2]
OURS = pytest.mark.parametrize("kind", ["tcp", "websocket"])


@contextmanager
def running(folder: Path, extra: str) -> Iterator[NatsServer]:
    server = NatsServer(folder / "nats", extra=extra)
    server.start()
    try:
        yield server
    finally:
        server.kill()


@asynccontextmanager
async def both(
    server: NatsServer, kind: str
) -> AsyncIterator[tuple[JetStreamContext, TheirContext]]:
    """Our client and nats-py on one server."""
    before = asyncio.all_tasks()
    peer = await nats_py.connect(server.url)
    try:
        async with jetstream(server, kind) as js:
            yield js, peer.jetstream()
    finally:
        await peer.close()
        for task in asyncio.all_tasks() - before:
            task.cancel()  # two for each of its watchers, which go on after their end


@OURS
async def test_a_bucket_of_nats_py(nats_server: NatsServer, kind: str) -> None:
    async with both(nats_server, kind) as (js, peer):
        name = unique()
        theirs = await peer.create_key_value(
            bucket=name, history=5, ttl=60, limit_marker_ttl=1, direct=True
        )
        ours = await js.create_key_value(bucket=name, history=5, ttl=60, limit_marker_ttl=1)
        assert name in await js.key_value_bucket_names()
        status = await ours.status()
        assert (status.history, status.ttl, status.marker_ttl) == (5, 60, 1)
        assert await theirs.put("a", b"one") == 1
        entry = await ours.get("a")
        assert (entry.value, entry.revision) == (b"one", 1)
        assert await ours.update("a", b"two", last=1) == 2
        with pytest.raises(KeyWrongLastSequenceError):
            await theirs.update("a", b"three", last=1)
        assert await theirs.update("a", b"three", last=2) == 3
        with pytest.raises(WrongLastSequence):
            await ours.update("a", b"four", last=2)
        assert [entry.value for entry in await ours.history("a")] == [b"one", b"two", b"three"]
        await theirs.delete("a")
        with pytest.raises(KeyDeleted):
            await ours.get("a")
        assert await ours.create("a", b"five") == 5
        with pytest.raises(KeyWrongLastSequenceError):
            await theirs.create("a", b"six")
        await theirs.purge("a")
        assert [brief(entry) for entry in await ours.history("a")] == [("a", b"", Operation.PURGE)]
        await theirs.put("c", b"for ever")
        await theirs.create("d", b"long", msg_ttl=3600)
        assert set(await ours.keys()) == {"c", "d"}
        async with await ours.watch("b", updates_only=True) as watcher:
            await theirs.create("b", b"short", msg_ttl=1)
            assert [entry.operation for entry in await take(watcher, 2)] == [None, Operation.PURGE]
        assert await ours.keys() == await theirs.keys() == ["c", "d"]


@OURS
async def test_nats_py_reads_our_bucket(nats_server: NatsServer, kind: str) -> None:
    async with both(nats_server, kind) as (js, peer):
        ours = await js.create_key_value(bucket=unique(), history=5, limit_marker_ttl=1)
        theirs = await peer.key_value(ours.bucket)
        assert (await theirs.status()).marker_ttl == 1
        await ours.put("a", b"one")
        await ours.put("a", b"two")
        their_entry, our_entry = await theirs.get("a"), await ours.get("a")
        assert (their_entry.value, their_entry.revision) == (b"two", 2)
        assert (await theirs.get("a", revision=1)).value == b"one"
        await ours.delete("a")
        with pytest.raises(KeyNotFoundError) as raised:
            await theirs.get("a")
        assert raised.value.op == "DEL"
        await ours.put("b", b"three")
        assert await theirs.keys() == ["b"]
        history = await theirs.history("a")
        assert [(entry.value, entry.operation) for entry in history] == [
            (b"one", None),
            (b"two", None),
            (b"", "DEL"),
        ]
        assert abs(history[1].created - our_entry.created) < timedelta(milliseconds=1)
        await ours.purge("a", msg_ttl=3600)
        assert [entry.operation for entry in await theirs.history("a")] == ["PURGE"]
        assert await theirs.create("a", b"four") == 6
        await theirs.purge_deletes(olderthan=0)
        watcher = await theirs.watch("d")
        await ours.create("d", b"short", msg_ttl=1)
        seen = []
        while len(seen) < 3:
            entry = await watcher.updates(10)
            seen.append((entry.key, entry.operation) if entry else None)
        assert seen == [None, ("d", None), ("d", "PURGE")]
        await watcher.stop()
        with pytest.raises(KeyDeletedError):
            await theirs._get("a", revision=5)


@OURS
async def test_watchers_of_both_see_the_same(nats_server: NatsServer, kind: str) -> None:
    async with both(nats_server, kind) as (js, peer):
        ours = await js.create_key_value(bucket=unique(), history=3)
        theirs = await peer.key_value(ours.bucket)
        await ours.put("a", b"one")
        await theirs.put("b", b"two")
        their_watcher = await theirs.watchall()
        async with await ours.watchall() as our_watcher:
            for number in range(20):
                await (ours if number % 2 else theirs).put(f"k.{number % 3}", b"%d" % number)
            await ours.delete("a")
            await theirs.purge("b")
            seen = [await our_watcher.updates() for _ in range(25)]
            expected = [await their_watcher.updates() for _ in range(25)]
        await their_watcher.stop()
        for ours_seen, theirs_seen in zip(seen, expected, strict=True):
            if ours_seen is None:
                assert theirs_seen is None
                continue
            for name in ("key", "value", "revision", "operation"):
                assert getattr(ours_seen, name) == getattr(theirs_seen, name)
            assert abs(ours_seen.created - theirs_seen.created) < timedelta(milliseconds=1)


@BUSES
async def test_acknowledgements_of_the_second_form(tmp_path: Path, kind: str) -> None:
    with running(tmp_path, "feature_flags { js_ack_fc_v2: true }") as server:
        async with bucket(server, kind, history=3) as (kv, js):
            subscription = await js.pull_subscribe("$KV.>", stream=f"KV_{kv.bucket}")
            for key in ("a", "b", "a"):
                await kv.put(key, b"v")
            (msg,) = await subscription.fetch()
            assert len(msg.reply.split(".")) >= 11
            assert set(await kv.keys()) == {"a", "b"}
            assert [entry.revision for entry in await kv.history("a")] == [1, 3]
            async with await kv.watchall() as watcher:
                assert [entry.delta for entry in await initial(watcher)] == [1, 0]
                await kv.delete("b")
                assert [brief(entry) for entry in await take(watcher, 1)] == [
                    ("b", b"", Operation.DEL)
                ]


@BUSES
async def test_a_domain(tmp_path: Path, kind: str) -> None:
    with running(tmp_path, domain(tmp_path, "hub")) as server:
        async with jetstream(server, kind, domain="hub") as js, jetstream(server) as local:
            await works_through(js, local)


async def test_a_mirror_on_a_leaf_node(tmp_path: Path) -> None:
    port = free_port()
    listen = f'leafnodes {{ listen: "127.0.0.1:{port}" }}\n'
    remote = f'leafnodes {{ remotes: [ {{ url: "nats-leaf://127.0.0.1:{port}" }} ] }}\n'
    with (
        running(tmp_path / "1", domain(tmp_path / "1", "hub") + listen) as hub,
        running(tmp_path / "2", domain(tmp_path / "2", "leaf") + remote) as leaf,
    ):
        async with jetstream(hub) as there, jetstream(leaf) as here:
            origin = await there.create_key_value(bucket="origin")
            await origin.put("a", b"one")
            external = ExternalStream(api="$JS.hub.API")
            copy = await here.create_key_value(
                bucket="copy", mirror=StreamSource("origin", external=external)
            )
            async with await copy.watchall() as watcher:
                assert [brief(entry) for entry in await take(watcher, 1)] == [("a", b"one", None)]
                assert await copy.put("b", b"two") == 2
                assert (await origin.get("b")).value == b"two"
                assert [brief(entry) for entry in await take(watcher, 1)] == [("b", b"two", None)]
            assert await copy.keys() == ["a", "b"]
            assert (await copy.get("a")).value == b"one"
            async with jetstream(leaf, domain="hub") as through:
                assert (await (await through.key_value("origin")).get("b")).value == b"two"


def domain(folder: Path, name: str) -> str:
    """A server of a domain; servers that know each other have different names."""
    store = (folder / "store").as_posix()
    return f'server_name: {name}\njetstream {{ store_dir: "{store}", domain: {name} }}\n'


async def works_through(js: JetStreamContext, local: JetStreamContext) -> None:
    """What is stored through a prefix is what is there without it."""
    kv = await js.create_key_value(bucket="b", history=3)
    here = await local.key_value("b")
    await kv.put("a", b"one")
    await kv.create("c", b"two")
    assert (await here.get("a")).value == (await kv.get("a")).value == b"one"
    await kv.delete("a")
    assert await kv.keys() == await here.keys() == ["c"]
    async with await kv.watchall() as watcher:
        assert [entry.key for entry in await initial(watcher)] == ["c", "a"]
        await here.put("a", b"three")
        assert [brief(entry) for entry in await take(watcher, 1)] == [("a", b"three", None)]


async def test_a_bucket_of_another_account(tmp_path: Path) -> None:
    rules = """
accounts: {
  A: {
    users: [ {user: a, password: a} ]
    jetstream: enabled
    exports: [ {service: '$JS.API.>', response: stream}, {service: '$KV.>'} ]
  }
  I: {
    users: [ {user: i, password: i} ]
    imports: [
      {service: {account: A, subject: '$JS.API.>'}, to: 'fromA.>'}
      {service: {account: A, subject: '$KV.>'}, to: 'fromA.$KV.>'}
    ]
  }
}
"""  # a request for messages has more than one answer
    with running(tmp_path, rules) as server:
        away = await nats.connect(server.url, user="i", password="i")
        home = await nats.connect(server.url, user="a", password="a")
        await works_through(away.jetstream(prefix="fromA"), home.jetstream())
        await away.close()
        await home.close()


def quoted(subjects: str) -> str:
    return ", ".join(f'"{subject}"' for subject in subjects.split())


async def test_what_a_user_needs_to_be_allowed(tmp_path: Path) -> None:
    section = (ROOT / "docs" / "key-value.md").read_text().partition("## Permissions")[2]
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
        await admin.jetstream().create_key_value(bucket="b", history=3)
        await admin.jetstream().create_key_value(bucket="other")
        kv = await writer.jetstream().key_value("b")
        revision = await kv.create("a", b"one")
        await kv.update("a", b"two", last=revision)
        await kv.delete("a")
        await kv.put("c", b"three")
        kv = await reader.jetstream().key_value("b")
        assert (await kv.get("c")).value == (await kv.get("c", revision=4)).value == b"three"
        assert await kv.keys() == ["c"]
        assert len(await kv.history("a")) == 3
        async with await kv.watch(["a", "c"]) as watcher:
            assert len(await initial(watcher)) == 2
        with pytest.raises(PermissionsViolation):
            await kv.put("c", b"four")
        with pytest.raises(PermissionsViolation):
            await reader.jetstream().key_value("other")
        for client in (admin, reader, writer):
            await client.close()
