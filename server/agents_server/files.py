"""State in files: one per key, replaced atomically, checked when read."""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from agents_core import jsonvalue
from agents_core.errors import InvalidMessage, StateCorrupt, StorageError
from agents_core.state.backend import Json
from agents_core.state.memory import check_key

T = TypeVar("T")

WAITING_MAX = 10_000
"""Operations that may wait for the disk; an agent awaits its own, so more are a loop without an
await."""

ASIDE_MAX = 100
"""Damaged files kept per key. A disk that damages more has to be looked at, not written to."""

CHECKSUM_CHARS = 64
_OWN = re.compile(r"[0-9a-f]{64}\.state")
_LEFT_OVER = re.compile(r"[0-9a-f]{64}\.tmp")


class FileBackend:
    """A `MemoryBackend` in a directory.

    When `store` returns, the value is on the disk: it was written to a temporary file, flushed,
    renamed over the old one, and the directory flushed. A crash at any moment leaves the old value
    or the new one.

    A file's name is a hash of the key, so no key can name a path. A file that fails its checksum
    raises `StateCorrupt` each time it is read, as an agent must not start empty because it was
    restarted once; storing or deleting its key moves it aside, into `corrupt/`, and overwrites
    nothing. Files of other names are not touched.

    All files are written and read by one thread: in order, and the event loop goes on meanwhile.

    Args:
        directory: made if it is not there. One backend at a time may have it; `open_directory`
            gives everybody in this process the same one.

    Raises:
        StorageError: it can't be made or written, or another backend has it.
    """

    def __init__(self, directory: str | Path) -> None:
        self.directory = Path(directory).resolve()
        self._waiting = 0
        self._closed = False
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            self._lock = _take_lock(self.directory)
        except OSError as error:
            raise self._failure(error) from None
        try:
            for left in self._named(_LEFT_OVER):
                left.unlink()  # a write that was cut off; the value before it is in its file
        except OSError as error:
            os.close(self._lock)
            raise self._failure(error) from None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="agents-files")

    def close(self) -> None:
        """Let others have the directory; what is under way is written first."""
        if self._closed:
            return
        self._closed = True
        self._thread.shutdown()
        os.close(self._lock)
        if _opened.get(self.directory) is self:
            del _opened[self.directory]

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
        return await self._run(lambda: self._read(self._path(key)))

    async def delete(self, key: str) -> bool:
        """See `MemoryBackend.delete`."""
        check_key(key)
        return await self._run(lambda: self._remove(self._path(key)))

    async def list_keys(self, prefix: str | None = None) -> list[str]:
        """See `MemoryBackend.list_keys`; a damaged value does not hide its key.

        Raises:
            StateCorrupt: the part of a file that holds its key is damaged.
        """
        keys = await self._run(lambda: [_key_of(path) for path in self._named(_OWN)])
        return sorted(key for key in keys if key.startswith(prefix or ""))

    async def clear(self) -> None:
        """See `MemoryBackend.clear`."""

        def remove_all() -> None:
            for path in self._named(_OWN):
                self._remove(path)

        await self._run(remove_all)

    # -- in the thread

    async def _run(self, work: Callable[[], T]) -> T:
        """Do it in the thread, behind what was asked for before.

        Raises:
            StorageError: the system refused, the backend is closed, or too much waits.
        """
        if self._closed:
            raise StorageError(str(self.directory), "it was closed")
        if self._waiting >= WAITING_MAX:
            raise StorageError(str(self.directory), f"{WAITING_MAX} operations wait already")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except OSError as error:
            raise self._failure(error) from None
        finally:
            self._waiting -= 1

    def _failure(self, error: OSError) -> StorageError:
        return StorageError(str(self.directory), error.strerror or str(error))

    def _path(self, key: str) -> Path:
        return self.directory / f"{_digest(key.encode())}.state"

    def _named(self, pattern: re.Pattern[str]) -> list[Path]:
        return sorted(path for path in self.directory.iterdir() if pattern.fullmatch(path.name))

    def _write(self, path: Path, body: bytes) -> None:
        self._set_corrupt_aside(path)
        temporary = path.with_suffix(".tmp")
        try:
            with temporary.open("wb") as file:
                file.write(_digest(body).encode() + b"\n" + body)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except OSError:
            temporary.unlink(missing_ok=True)  # half a value must not take a full disk's last room
            raise
        self._flush_directory()

    def _read(self, path: Path) -> Json:
        """The value of a file, None if there is none."""
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return None
        checksum, body = data[:CHECKSUM_CHARS], data[CHECKSUM_CHARS + 1 :]
        if _digest(body).encode() != checksum:
            raise StateCorrupt(path.name, "the checksum is wrong")
        key, _, value = body.partition(b"\n")
        _check_key_line(path, key)
        return _decode(path, value)

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
            path.rename(self._free_place(path))
            self._flush_directory()
            return True
        return False

    def _free_place(self, path: Path) -> Path:
        aside = self.directory / "corrupt"
        aside.mkdir(exist_ok=True)
        for number in range(ASIDE_MAX):
            place = aside / f"{path.stem}.{number}"
            if not place.exists():
                return place
        reason = f"{ASIDE_MAX} damaged files of one key are in corrupt/ already"
        raise StorageError(str(self.directory), reason)

    def _flush_directory(self) -> None:
        """Make a rename or a removal last over a loss of power."""
        directory = os.open(self.directory, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def _take_lock(directory: Path) -> int:
    lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        if not isinstance(error, BlockingIOError):
            raise
        reason = "another process, or another backend of this one, has it"
        raise StorageError(str(directory), reason) from None
    return lock


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _key_of(path: Path) -> str:
    """The key of a file, whose name proves it: the value need not be read."""
    with path.open("rb") as file:
        file.seek(CHECKSUM_CHARS + 1)
        return _check_key_line(path, file.readline().removesuffix(b"\n"))


def _check_key_line(path: Path, line: bytes) -> str:
    key = _decode(path, line)
    if not isinstance(key, str) or _digest(key.encode()) != path.stem:
        raise StateCorrupt(path.name, "it holds another key")
    return key


def _decode(path: Path, data: bytes) -> Json:
    try:
        value: Json = jsonvalue.loads(data)
    except InvalidMessage as error:
        raise StateCorrupt(path.name, error.reason) from None
    return value


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
