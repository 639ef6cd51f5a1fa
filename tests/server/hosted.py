"""Agents that look at the process that they are in, and end it."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

from agents_core import Agent, on


class Prisoner(Agent):
    @on("pid")
    def pid(self) -> int:
        return os.getpid()

    @on("environment")
    def environment(self) -> list[str]:
        return sorted(os.environ)

    @on("files")
    def files(self) -> list[str]:
        """What is open, but for the folder that is being read."""
        return [os.readlink(path) for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]

    @on("session")
    def session(self) -> int:
        return os.getsid(0)

    @on("exit")
    def exit(self) -> None:
        os._exit(3)

    @on("spin")
    def spin(self) -> None:
        while True:
            pass

    @on("log")
    async def log(self) -> None:
        await asyncio.to_thread(self.ctx.log.warning, "from a thread")

    @on("last words")
    def last_words(self) -> None:
        self.ctx.log.warning("last words")
        os._exit(4)

    @on("echo")
    def echo(self, payload: Any) -> Any:
        return payload
