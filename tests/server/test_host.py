"""Hosts that are processes: what every host promises, and what only a process can go through."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agents_core import connect
from agents_core.errors import RemoteError
from agents_core.hosts.host import Host
from agents_core.testing.hosts import suite
from agents_core.testing.hosts.agents import Adder, Increase
from agents_core.testing.hosts.kit import ASK_S, Check, Kit
from agents_server.nats_server import NatsServer
from tests.server.hosted import Prisoner

SECONDS_MAX = 10.0


@pytest.mark.parametrize("check", suite.CHECKS, ids=lambda check: check.__name__)
async def test_promise(check: Check) -> None:
    async with Kit.over("local://") as kit:
        await check(kit)
        await kit.clean()


def children() -> set[int]:
    """The processes that this one has started and that live."""
    threads = Path("/proc/self/task").glob("*/children")
    return {int(pid) for path in threads for pid in path.read_text().split()}


async def gone(pid: int) -> None:
    """Wait until there is no such process."""
    async with asyncio.timeout(SECONDS_MAX):
        while Path(f"/proc/{pid}").exists():
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (signal.SIGKILL, "the process died with signal 9 (Killed)"),
        (signal.SIGSEGV, "the process died with signal 11 (Segmentation fault)"),
        (signal.SIGSTOP, "no answer for 0.5 s"),
    ],
)
async def test_a_signal_from_outside(number: signal.Signals, reason: str) -> None:
    """Others go on, and the agent comes back with its state."""
    async with Kit.over("local://") as kit:
        adder, prisoner = await kit.spawn(Adder), await kit.spawn(Prisoner)
        other = await kit.spawn(Adder, host="b")
        await adder.ask(Increase(5), ASK_S)
        pid = await prisoner.ask("pid", ASK_S)
        os.kill(pid, number)
        for ref in (adder, prisoner):
            crash = await kit.event("crashed", ref)
            assert crash.reason is not None
            assert (crash.reason.kind, crash.reason.message) == ("killed", reason)
            await kit.event("restarted", ref)
        assert await adder.ask(Increase(1), ASK_S) == 6
        assert await prisoner.ask("pid", ASK_S) != pid
        assert (await other.info())["restarts"] == 0
        await gone(pid)


async def test_a_process_that_ends_by_itself() -> None:
    async with Kit.over("local://") as kit:
        prisoner = await kit.spawn(Prisoner)
        with pytest.raises(RemoteError, match="the process ended with code 3"):
            await prisoner.ask("exit", ASK_S)
        await kit.event("restarted", prisoner)


async def test_last_words_are_heard(caplog: pytest.LogCaptureFixture) -> None:
    async with Kit.over("local://") as kit:
        prisoner = await kit.spawn(Prisoner)
        with pytest.raises(RemoteError, match="code 4"):
            await prisoner.ask("last words", ASK_S)
        assert "last words" in caplog.messages


async def test_nothing_is_left(tmp_path: Path) -> None:
    before = children()
    async with Kit.over("local://") as kit:
        for host in ("a", "b", "own"):
            await kit.spawn(Prisoner, host=host)
        pids = children() - before
        assert len(pids) == 3
    assert children() == before
    for pid in pids:
        assert not Path(f"/proc/{pid}").exists()


async def test_a_host_that_hangs_is_not_left_either() -> None:
    before = children()
    async with Kit.over("local://") as kit:
        prisoner = await kit.spawn(Prisoner, shutdown=0.1)
        prisoner.tell("spin")
        await asyncio.sleep(0)
    assert children() == before


async def test_a_parent_that_was_blocked_blames_nobody() -> None:
    async with Kit.over("local://", answer=0.2) as kit:
        prisoner = await kit.spawn(Prisoner)
        for _ in range(3):
            time.sleep(1.0)  # noqa: ASYNC251 - that is the point
            await asyncio.sleep(0)
        assert await prisoner.ask({"type": "echo", "x": 1}, ASK_S) == {"x": 1}
        assert (await prisoner.info())["restarts"] == 0


async def test_nothing_is_inherited_but_what_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NATS_CREDS", "a secret")
    monkeypatch.setenv("WANTED", "by the agent")
    with (tmp_path / "open").open("wb") as file:
        os.set_inheritable(file.fileno(), True)
        async with Kit.over("local://") as kit:
            host = Host("poor", environment=("WANTED",))
            prisoner = await kit.spawn(Prisoner, host=host)
            environment = await prisoner.ask("environment", ASK_S)
            assert "NATS_CREDS" not in environment
            assert {"PATH", "WANTED"} <= set(environment)
            open_files = await prisoner.ask("files", ASK_S)
            assert file.name not in open_files
            assert sum(name.startswith("socket:") for name in open_files) <= 4, open_files
            session = await prisoner.ask("session", ASK_S)
            assert session != os.getsid(0)  # Ctrl-C in the terminal does not reach it


async def test_a_thread_may_log(caplog: pytest.LogCaptureFixture) -> None:
    async with Kit.over("local://") as kit:
        prisoner = await kit.spawn(Prisoner)
        await prisoner.ask("log", ASK_S)
        assert "from a thread" in caplog.messages
        (record,) = [r for r in caplog.records if r.getMessage() == "from a thread"]
        assert (record.name, record.levelno) == (f"agents.{prisoner.id}", logging.WARNING)


async def test_an_interpreter_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Kit.over("local://") as kit:
        with monkeypatch.context() as patch:
            patch.setattr(sys, "executable", "/no/such/python")
            with pytest.raises(RemoteError, match="/no/such/python: No such file"):
                await kit.spawn(Prisoner)
        await kit.spawn(Prisoner)


async def test_it_is_reached_over_nats(nats_server: NatsServer) -> None:
    space = f"space-{os.getpid()}"
    url = nats_server.url
    async with connect(url, space=space) as one, connect(url, space=space) as two:
        await one.spawn(Adder, "adder", host="worker")
        assert await two.agent("adder").ask(Increase(2), ASK_S) == 2
        await two.spawn(Adder, "other", host="worker")
        assert await one.agent("other").ask(Increase(3), ASK_S) == 3
        entry = next(a for a in two.agents() if a["id"] == "other")
        assert entry["host"] == "worker of other"


SCRIPT = """
import asyncio, os, sys
from agents_core import Agent, connect, on

class Mine(Agent):
    @on("pid")
    def pid(self):
        return os.getpid()

    @on("spin")
    def spin(self):
        while True:
            pass

async def main():
    async with connect("local://") as node:
        mine = await node.spawn(Mine, "mine", host="worker")
        pid = await mine.ask("pid")
        mine.tell("spin")
        await asyncio.sleep(0.05)
        print(pid, pid != os.getpid(), flush=True)
        if sys.argv[1:] == ["wait"]:
            await asyncio.get_running_loop().create_future()

if __name__ == "__main__":
    asyncio.run(main())
"""


def script(folder: Path, *arguments: str, text: str = SCRIPT) -> subprocess.Popen[str]:
    path = folder / "script.py"
    path.write_text(text, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, str(path), *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=environment, stdout=pipe, stderr=pipe, text=True)


async def test_a_host_does_not_outlive_its_parent(tmp_path: Path) -> None:
    """Also when it computes for ever, and nobody could stop it."""
    with script(tmp_path, "wait") as parent:
        assert parent.stdout is not None
        pid = int((await asyncio.to_thread(parent.stdout.readline)).split()[0])
        assert Path(f"/proc/{pid}").exists()
        parent.kill()
        await gone(pid)


async def test_a_class_of_the_script_itself(tmp_path: Path) -> None:
    with script(tmp_path) as parent:
        out, _ = await asyncio.to_thread(parent.communicate)
        assert parent.returncode == 0
        assert out.split()[1] == "True"


async def test_a_script_that_a_host_would_start_again(tmp_path: Path) -> None:
    unguarded = SCRIPT.partition("if __name__")[0] + "asyncio.run(main())\n"
    with script(tmp_path, text=unguarded) as parent:
        _, errors = await asyncio.to_thread(parent.communicate)
        assert parent.returncode == 1
    assert 'below `if __name__ == "__main__":`' in errors
