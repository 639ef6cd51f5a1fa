"""State in files: one per key, replaced atomically, checked when read."""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from agents_core import jsonvalue
from agents_core.errors import StateCorrupt, StorageError
from agents_core.state.backend import Json
from agents_core.state.memory import check_key

T = TypeVar("T")

SUFFIX = ".state"
DIGEST_CHARS = 64


class FileBackend:
    """A `MemoryBackend` in a directory.

    When `store` returns, the value is on the disk: it was written to a temporary file, flushed,
    renamed over the old one, and the directory flushed. A crash at any moment leaves the old value
    or the new one.

    A file's name is a hash of the key, so no key can name a path. A file that fails its checksum
    raises `StateCorrupt` each time it is read; storing or deleting its key moves it aside, into
    `corrupt/`, and overwrites nothing.

    All files are written and read by one thread: in order, and the event loop goes on meanwhile.

    Args:
        directory: made if it is not there. One process at a time may have it.

    Raises:
        StorageError: it can't be made or written, or another backend has it.
    """

    def __init__(self, directory: str | Path) -> None:
        self.directory = Path(directory).resolve()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="agents-files")
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            self._lock = self._take_lock()
            for left in self.directory.glob("*.tmp"):
                left.unlink()  # a write that was cut off; the value before it is in its file
        except OSError as error:
            raise self._failure(error) from None

    def _take_lock(self) -> int:
        lock = os.open(self.directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            reason = "another process, or another backend of this one, has it"
            raise StorageError(str(self.directory), reason) from None
        return lock

    def close(self) -> None:
        """Let others have the directory; what is under way is written first."""
        self._thread.shutdown()
        os.close(self._lock)

    # -- MemoryBackend

    async def store(self, key: str, value: Json) -> None:
        """See `MemoryBackend.store`."""
        check_key(key)
        body = jsonvalue.dumps(key) + b"\n" + jsonvalue.dumps(value)
        await self._run(lambda: self._write(self._path(key), body))

    async def retrieve(self, key: str) -> Json:
        """See `MemoryBackend.retrieve`.

        Raises:
            StateCorrupt: the file fails its checksum.
        """
        check_key(key)
        found = await self._run(lambda: self._read(self._path(key)))
        return None if found is None else found[1]

    async def delete(self, key: str) -> bool:
        """See `MemoryBackend.delete`."""
        check_key(key)
        return await self._run(lambda: self._remove(self._path(key)))

    async def list_keys(self, prefix: str | None = None) -> list[str]:
        """See `MemoryBackend.list_keys`.

        Raises:
            StateCorrupt: a file fails its checksum, so its key is not known.
        """
        keys = await self._run(self._keys)
        return sorted(key for key in keys if key.startswith(prefix or ""))

    async def clear(self) -> None:
        """See `MemoryBackend.clear`; removes nothing but what this class wrote."""

        def remove_all() -> None:
            for path in self._files():
                self._remove(path)

        await self._run(remove_all)

    # -- in the thread

    async def _run(self, work: Callable[[], T]) -> T:
        """Do it in the thread, behind what was asked for before.

        Raises:
            StorageError: the system refused.
        """
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except OSError as error:
            raise self._failure(error) from None

    def _failure(self, error: OSError) -> StorageError:
        return StorageError(str(self.directory), error.strerror or str(error))

    def _path(self, key: str) -> Path:
        return self.directory / (hashlib.sha256(key.encode()).hexdigest() + SUFFIX)

    def _files(self) -> list[Path]:
        return sorted(self.directory.glob(f"*{SUFFIX}"))

    def _write(self, path: Path, body: bytes) -> None:
        self._set_corrupt_aside(path)
        temporary = path.with_suffix(".tmp")
        with temporary.open("wb") as file:
            file.write(hashlib.sha256(body).hexdigest().encode() + b"\n" + body)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        self._flush_directory()

    def _read(self, path: Path) -> tuple[str, Json] | None:
        """Key and value of a file; None if there is none."""
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return None
        digest, body = data[:DIGEST_CHARS], data[DIGEST_CHARS + 1 :]
        if hashlib.sha256(body).hexdigest().encode() != digest:
            raise StateCorrupt(path.name, "the checksum is wrong")
        key, _, value = body.partition(b"\n")
        return jsonvalue.loads(key), jsonvalue.loads(value)

    def _keys(self) -> list[str]:
        found = [self._read(path) for path in self._files()]
        return [item[0] for item in found if item is not None]

    def _remove(self, path: Path) -> bool:
        if self._set_corrupt_aside(path):
            return True
        try:
            path.unlink()
        except FileNotFoundError:
            return False
        self._flush_directory()
        return True

    def _set_corrupt_aside(self, path: Path) -> bool:
        """Keep a file that can't be read; whoever looks into it may find what it held."""
        try:
            self._read(path)
        except StateCorrupt:
            aside = self.directory / "corrupt"
            aside.mkdir(exist_ok=True)
            number = len(list(aside.glob(f"{path.stem}.*")))
            path.rename(aside / f"{path.stem}.{number}")
            return True
        return False

    def _flush_directory(self) -> None:
        """Make a rename or a removal last over a loss of power."""
        directory = os.open(self.directory, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


_opened: dict[Path, FileBackend] = {}


def open_directory(directory: str) -> FileBackend:
    """The process's one backend for a directory; agents that name the same one share it.

    Raises:
        StorageError: see `FileBackend`.
    """
    path = Path(directory).resolve()
    if path not in _opened:
        _opened[path] = FileBackend(path)
    return _opened[path]
