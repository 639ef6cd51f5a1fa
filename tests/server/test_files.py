"""State in files: what is on the disk, and what happens when the disk is not as it should be."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from agents_core import Agent, connect, on
from agents_core.errors import StateCorrupt, StorageError, Unsupported
from agents_server.files import FileBackend, open_directory


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
    for damage, repair in ((b"x", "store"), (b"", "delete"), (b"y", "store")):
        damaged = damage + file.read_bytes()[1:]
        file.write_bytes(damaged)
        for _ in range(2):  # it does not turn into "no such key" by being read
            with pytest.raises(StateCorrupt):
                await backend.retrieve("key")
            with pytest.raises(StateCorrupt):
                await backend.list_keys()
        if repair == "delete":
            assert await backend.delete("key") is True
            assert await backend.retrieve("key") is None
        await backend.store("key", "new")
        assert await backend.retrieve("key") == "new"
        assert damaged in [path.read_bytes() for path in (tmp_path / "corrupt").iterdir()]
    assert len(list((tmp_path / "corrupt").iterdir())) == 3
    backend.close()


async def test_one_at_a_time_has_a_directory(tmp_path: Path) -> None:
    backend = FileBackend(tmp_path)
    with pytest.raises(StorageError, match="has it"):
        FileBackend(tmp_path)
    backend.close()
    FileBackend(tmp_path).close()
    assert open_directory(str(tmp_path)) is open_directory(f"{tmp_path}/")


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
    (tmp_path / "notes.txt").write_text("mine")
    await backend.store("key", 1)
    await backend.clear()
    assert sorted(os.listdir(tmp_path)) == ["lock", "notes.txt"]
    backend.close()


@pytest.mark.parametrize("url", ["file:", "file://", "redis://x", "floppy"])
async def test_other_places_are_refused(url: str) -> None:
    async with connect("local://") as node:
        with pytest.raises(Unsupported, match="file:"):
            await node.spawn(Counter, "c1", state=url)
