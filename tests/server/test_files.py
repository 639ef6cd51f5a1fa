"""State in files: what is on the disk, and what happens when the disk is not as it should be."""

from __future__ import annotations

import asyncio
import hashlib
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from agents_core import Agent, connect, on
from agents_core.errors import StateCorrupt, StorageError, Unsupported
from agents_server.files import ASIDE_MAX, WAITING_MAX, FileBackend, open_directory


class Counter(Agent):
    async def on_start(self) -> None:
        self.value = await self.state.get("value", 0)

    @on("add")
    async def add(self) -> int:
        self.value += 1
        await self.state.set("value", self.value)
        return int(self.value)


async def test_a_restarted_agent_and_a_later_node_find_the_state(tmp_path: Path) -> None:
    url = f"file:{tmp_path}/state"
    async with connect("local://") as node:
        counter = await node.spawn(Counter, "c1", state=url)
        assert await counter.ask("add") == 1
        await counter.kill()
        assert await counter.ask("add") == 2
    async with connect("local://") as node:
        counter = await node.spawn(Counter, "c1", state=url)
        other = await node.spawn(Counter, "c2", state=url)
        assert await counter.ask("add") == 3
        assert await other.ask("add") == 1


async def test_another_process_finds_what_was_stored(tmp_path: Path) -> None:
    code = (
        "import asyncio, sys, os\n"
        "from agents_server.files import FileBackend\n"
        "asyncio.run(FileBackend(sys.argv[1]).store('key', 'value'))\n"
        "os._exit(1)  # as suddenly as a crash\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    backend = FileBackend(tmp_path)
    assert await backend.retrieve("key") == "value"
    backend.close()


async def test_nothing_is_written_outside_of_the_directory(tmp_path: Path) -> None:
    backend = FileBackend(tmp_path / "state")
    await backend.store("../../escape", 1)
    await backend.store("/tmp/escape", 1)
    assert [path.name for path in tmp_path.iterdir()] == ["state"]
    names = [path.name for path in (tmp_path / "state").iterdir()]
    assert all(name == "lock" or len(name) == 64 + len(".state") for name in names)
    backend.close()


async def test_a_write_that_was_cut_off_leaves_the_old_value(tmp_path: Path) -> None:
    backend = FileBackend(tmp_path)
    await backend.store("key", "old")
    backend.close()
    (file,) = tmp_path.glob("*.state")
    file.with_suffix(".tmp").write_bytes(b"half of it")
    backend = FileBackend(tmp_path)
    assert await backend.retrieve("key") == "old"
    assert list(tmp_path.glob("*.tmp")) == []
    backend.close()


async def test_a_damaged_file_is_reported_and_never_overwritten(tmp_path: Path) -> None:
    backend = FileBackend(tmp_path)
    await backend.store("key", "precious")
    (file,) = tmp_path.glob("*.state")
    for damage, repair in ((b"x", "store"), (b"", "delete"), (b"y", "store"), (b"z", "store")):
        damaged = damage + file.read_bytes()[1:]
        file.write_bytes(damaged)
        for _ in range(2):  # it does not turn into "no such key" by being read
            with pytest.raises(StateCorrupt):
                await backend.retrieve("key")
        if repair == "delete":
            assert await backend.delete("key") is True
            assert await backend.retrieve("key") is None
        await backend.store("key", "new")
        assert await backend.retrieve("key") == "new"
        aside = sorted((tmp_path / "corrupt").iterdir())
        assert damaged in [path.read_bytes() for path in aside]
        if damage == b"y":
            aside[0].unlink()  # somebody looked into it: the others stay all the same
    kept = [path.read_bytes()[:1] for path in aside]
    assert len(kept) == 3
    assert {b"y", b"z"} < set(kept)
    backend.close()


async def test_damaged_files_are_kept_up_to_a_bound(tmp_path: Path) -> None:
    backend = FileBackend(tmp_path)
    await backend.store("key", 1)
    (file,) = tmp_path.glob("*.state")
    (tmp_path / "corrupt").mkdir()
    for number in range(ASIDE_MAX):
        (tmp_path / "corrupt" / f"{file.stem}.{number}").touch()
    file.write_bytes(b"damaged")
    with pytest.raises(StorageError, match="corrupt/"):
        await backend.store("key", 2)
    assert file.read_bytes() == b"damaged"
    backend.close()


async def test_one_damaged_value_does_not_hide_the_keys(tmp_path: Path) -> None:
    backend = FileBackend(tmp_path)
    for key in ("a:1", "b:1"):
        await backend.store(key, "value")
    for file in tmp_path.glob("*.state"):
        file.write_bytes(file.read_bytes()[:-1])
    assert await backend.list_keys() == ["a:1", "b:1"]
    file.write_bytes(b"")
    with pytest.raises(StateCorrupt):
        await backend.list_keys()
    await backend.clear()
    assert await backend.list_keys() == []
    backend.close()


async def test_a_file_under_another_key_is_corrupt(tmp_path: Path) -> None:
    backend = FileBackend(tmp_path)
    await backend.store("a", 1)
    (file,) = tmp_path.glob("*.state")
    file.rename(tmp_path / f"{hashlib.sha256(b'b').hexdigest()}.state")
    with pytest.raises(StateCorrupt, match="another key"):
        await backend.retrieve("b")
    backend.close()


async def test_what_is_no_json_is_corrupt_whatever_its_checksum(tmp_path: Path) -> None:
    backend = FileBackend(tmp_path)
    await backend.store("key", 1)
    (file,) = tmp_path.glob("*.state")
    body = b'"key"\n[[['
    file.write_bytes(hashlib.sha256(body).hexdigest().encode() + b"\n" + body)
    with pytest.raises(StateCorrupt, match="JSON"):
        await backend.retrieve("key")
    backend.close()


async def test_one_at_a_time_has_a_directory(tmp_path: Path) -> None:
    backend = FileBackend(tmp_path)
    with pytest.raises(StorageError, match="has it"):
        FileBackend(tmp_path)
    other = [sys.executable, "-c", OPEN, str(tmp_path)]
    refused = subprocess.run(other, capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert "StorageError" in refused.stderr
    assert "has it" in refused.stderr
    backend.close()
    subprocess.run(other, check=True)


OPEN = "import sys; from agents_server.files import FileBackend; FileBackend(sys.argv[1])"


async def test_who_names_a_directory_shares_its_backend(tmp_path: Path) -> None:
    backend = open_directory(str(tmp_path))
    assert open_directory(f"{tmp_path}/") is backend
    backend.close()
    again = open_directory(str(tmp_path))
    assert again is not backend
    again.close()


async def test_a_closed_backend_says_so(tmp_path: Path) -> None:
    backend = FileBackend(tmp_path)
    backend.close()
    backend.close()
    with pytest.raises(StorageError, match="closed"):
        await backend.store("key", 1)


async def test_the_operations_that_wait_are_bounded(tmp_path: Path) -> None:
    backend = FileBackend(tmp_path)
    asked = [asyncio.ensure_future(backend.retrieve("key")) for _ in range(WAITING_MAX + 1)]
    results = await asyncio.gather(*asked, return_exceptions=True)
    assert results[:-1] == [None] * WAITING_MAX
    assert isinstance(results[-1], StorageError)
    backend.close()


async def test_a_full_disk_leaves_the_old_value(tmp_path: Path) -> None:
    backend = FileBackend(tmp_path)
    await backend.store("key", "old")
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limit[1]))  # as a full disk, for this process
    try:
        with pytest.raises(StorageError, match="large"):
            await backend.store("key", "x" * 10_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert await backend.retrieve("key") == "old"
    assert list(tmp_path.glob("*.tmp")) == []
    await backend.store("key", "x" * 10_000)
    backend.close()


async def test_what_the_system_refuses_has_a_name(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match="file"):
        FileBackend(tmp_path / "file")
    backend = FileBackend(tmp_path / "state")
    await backend.store("key", 1)
    (path,) = (tmp_path / "state").glob("*.state")
    path.unlink()
    path.mkdir()  # root may write anywhere, but nobody reads a directory as a file
    with pytest.raises(StorageError, match="directory"):
        await backend.retrieve("key")
    backend.close()


async def test_clear_keeps_what_others_put_there(tmp_path: Path) -> None:
    backend = FileBackend(tmp_path)
    for name in ("notes.txt", "notes.state", "notes.tmp"):
        (tmp_path / name).write_text("mine")
    await backend.store("key", 1)
    assert await backend.list_keys() == ["key"]
    await backend.clear()
    backend.close()
    backend = FileBackend(tmp_path)
    assert sorted(os.listdir(tmp_path)) == ["lock", "notes.state", "notes.tmp", "notes.txt"]
    backend.close()


@pytest.mark.parametrize("url", ["file:", "file://", "redis://x", "floppy"])
async def test_other_places_are_refused(url: str) -> None:
    async with connect("local://") as node:
        with pytest.raises(Unsupported, match="file:"):
            await node.spawn(Counter, "c1", state=url)
