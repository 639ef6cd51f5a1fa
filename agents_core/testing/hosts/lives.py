"""Checks: agents start, end and are restarted; hosts are replaced; bounds hold."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from agents_core import AgentRef, Child, Supervisor, modules
from agents_core.errors import (
    AgentError,
    HostFull,
    InvalidSpec,
    MailboxFull,
    RemoteError,
)
from agents_core.hosts.host import Host
from agents_core.hosts.passage import WINDOW
from agents_core.ids import unique
from agents_core.testing.hosts.agents import Adder, Clock, Diary, Increase, Refuses
from agents_core.testing.hosts.kit import ASK_S, Kit, raises, until

TEXT = """
from agents_core import Agent, on
from {other} import WORD

class Fresh(Agent):
    @on("word")
    def word(self):
        return WORD

class Outer:
    class Inner(Fresh):
        pass
"""


async def tells_of_its_agents(kit: Kit) -> None:
    """Starts, crashes, restarts and ends are events of the node."""
    adder = await kit.spawn(Adder)
    assert (await kit.event("started", adder)).reason is None
    adder.tell({"type": "fail", "why": "so"})
    crash = await kit.event("crashed", adder)
    assert crash.reason is not None
    assert (crash.reason.type, crash.reason.message) == ("ValueError", "so")
    assert "in fail" in crash.reason.traceback
    await kit.event("restarted", adder)
    assert await adder.ask("before", ASK_S) == ["error", "ValueError", "so"]
    await adder.stop()
    end = await kit.event("stopped", adder)
    assert end.reason is not None
    assert end.reason.kind == "shutdown"
    with raises(Exception):
        await adder.ask("total", 1.0)


async def ends_in_order(kit: Kit) -> None:
    """`on_stop` is called, also when the agent itself wants to end."""
    for how in ("leave", "stop yourself"):
        adder = await kit.spawn(Adder, restart="temporary")
        backend = kit.node.router.cells[adder.id].state
        adder.tell(how)
        await kit.event("stopped", adder)
        kind = "normal" if how == "leave" else "shutdown"
        assert await backend.get("stopped") == kind, how


async def does_not_wait_for_ever(kit: Kit) -> None:
    """An agent that does not end in time is killed."""
    adder = await kit.spawn(Adder, shutdown=0.05)
    other = await kit.spawn(Adder)
    waiting = await kit.waiting(adder)
    await adder.stop()
    with raises(RemoteError, "shutdown took too long"):
        await waiting
    crash = await kit.event("crashed", adder)
    assert crash.reason is not None
    assert crash.reason.message == "shutdown took too long"
    assert await other.ask(Increase(1), ASK_S) == 1


async def has_time(kit: Kit) -> None:
    """`@every` and `ctx.after` work in a host."""
    clock = await kit.spawn(Clock)

    async def ticked() -> bool:
        ticks, later = await clock.ask("ticks", ASK_S)
        return bool(ticks > 2 and later == 1)

    await until(ticked)


async def says_why_it_does_not_start(kit: Kit) -> None:
    """An agent that can't start is no reason to end its host, and its id is free again."""
    await kit.spawn(Adder)
    for where, why in (("class", "no instance"), ("hook", "no start")):
        with raises(RemoteError, why) as caught:
            await kit.spawn(Refuses, where)
        assert caught.error.type == "ValueError"
        assert "raise ValueError" in caught.error.traceback
        assert caught.error.agent not in kit.node.router.cells
    assert not [event for event in kit.events if event.reason and event.reason.kind == "killed"]


async def brings_modules_along(kit: Kit) -> None:
    """A module that exists here only as text, and one that it needs, are there too."""
    name, other = f"module_{unique(6)}", f"module_{unique(6)}"
    modules.define(other, "WORD = 'here'")
    module = modules.define(name, TEXT.format(other=other))
    for cls in (module.Fresh, module.Outer.Inner):
        fresh = await kit.spawn(cls)
        assert await fresh.ask("word", ASK_S) == "here"
    missing = f"module_{unique(6)}"
    module.Fresh.__module__ = missing
    with raises(RemoteError, f"no module {missing}"):
        await kit.spawn(module.Fresh)


async def keeps_deadlines(kit: Kit) -> None:
    """A handler that awaits for too long ends its agent, and nobody else."""
    adder, other = await kit.spawn(Adder, deadline=0.1), await kit.spawn(Adder)
    with raises(RemoteError, "a message took longer than 0.1 s"):
        await adder.ask("wait", ASK_S)
    await kit.event("restarted", adder)
    assert await adder.ask(Increase(1), ASK_S) == 1
    assert (await other.info())["restarts"] == 0


async def kills(kit: Kit) -> None:
    """At once, with a reason, in a host of its own and in a shared one."""
    for host in ("own", "a"):
        adder, other = await kit.spawn(Adder, host=host), await kit.spawn(Adder)
        asking = await kit.waiting(adder)
        await adder.kill("because")
        with raises(RemoteError, "Killed: because"):
            await asking
        crash = await kit.event("crashed", adder)
        assert crash.reason is not None
        assert (crash.reason.kind, crash.reason.message) == ("killed", "because")
        await kit.event("restarted", adder)
        assert await adder.ask("before", ASK_S) == ["killed", "Killed", "because"]
        assert (await other.info())["restarts"] == 0


async def replaces_a_host_that_hangs(kit: Kit) -> None:
    """Its agents die with a reason and come back with their state; other hosts go on."""
    beside, elsewhere = await kit.spawn(Adder), await kit.spawn(Adder, host="b")
    adder = await kit.spawn(Adder)
    await adder.ask(Increase(5), ASK_S)
    hanging, asked = kit.hang(adder), 0
    while not hanging.done():
        assert await elsewhere.ask(Increase(1), ASK_S) == (asked := asked + 1)
    with raises(RemoteError, f"Killed: no answer for {kit.answer} s"):
        await hanging
    for ref in (adder, beside):
        crash = await kit.event("crashed", ref)
        assert crash.reason is not None
        assert crash.reason.kind == "killed"
        await kit.event("restarted", ref)
    assert await adder.ask(Increase(1), ASK_S) == 6
    assert (await elsewhere.info())["restarts"] == 0


async def replaces_a_host_without_memory(kit: Kit) -> None:
    """Before it takes everybody else's."""
    small = replace(kit.host("small"), heap=192 * 1024**2)  # full before it is missed
    adder, elsewhere = await kit.spawn(Adder, host=small), await kit.spawn(Adder, host="b")
    await adder.ask(Increase(5), ASK_S)
    exhausted = kit.exhaust(adder)
    with raises(RemoteError):
        await exhausted
    crash = await kit.event("crashed", adder)
    assert crash.reason is not None
    assert crash.reason.kind == "killed"
    assert crash.reason.message.startswith("heap ceiling"), crash.reason.message
    await kit.event("restarted", adder)
    assert await adder.ask(Increase(1), ASK_S) == 6
    assert (await elsewhere.info())["restarts"] == 0


async def keeps_what_waits(kit: Kit) -> None:
    """Messages that the host had not been given outlive it; asks that it had are told."""
    adder = await kit.spawn(Adder, 0, False)
    hanging = kit.hang(adder)
    asks = [asyncio.create_task(adder.ask(Increase(1), ASK_S)) for _ in range(3 * WINDOW)]
    with raises(RemoteError):
        await hanging
    results = await asyncio.gather(*asks, return_exceptions=True)
    lost = [result for result in results if isinstance(result, RemoteError)]
    assert len(lost) == WINDOW - 1, len(lost)
    assert results[len(lost) :] == list(range(1, 2 * WINDOW + 2))


async def dies_once(kit: Kit) -> None:
    """The death of a host is one failure to a supervisor, however many agents were in there."""
    children = [Child(Adder, f"agent-{unique(8)}", host=kit.host()) for _ in range(5)]
    tree = await kit.node.supervise(Supervisor([*children], max_restarts=1, max_seconds=60))
    refs = [kit.node.agent(child.id) for child in children]
    kit.agents += refs
    with raises(RemoteError):
        await kit.hang(refs[0])
    for ref in refs:
        await kit.event("restarted", ref)
        assert await ref.ask(Increase(1), ASK_S) == 1
    assert tree.phase == "running"


async def takes_so_many_agents(kit: Kit) -> None:
    """And no more; children that share a host agree on its bounds."""
    small = Host(f"host-{unique(6)}", agents=2, answer=kit.answer)
    await kit.spawn(Adder, host=small)
    last = await kit.spawn(Adder, host=small)
    with raises(HostFull, "2 agents"):
        await kit.spawn(Adder, host=small)
    await last.stop()
    await kit.spawn(Adder, host=small)
    other = Host(small.name, agents=3)
    with raises(InvalidSpec, "other bounds"):
        await kit.spawn(Adder, host=other)


async def takes_so_many_messages(kit: Kit) -> None:
    """For one agent, and for all of a host together."""
    small = Host(f"host-{unique(6)}", mailbox=100, answer=kit.answer)
    one, two = [await kit.spawn(Adder, host=small, mailbox=n, shutdown=0.01) for n in (10, 1000)]
    for ref in (one, two):
        ref.tell("wait")
    with raises(MailboxFull, "10 messages"):
        _tell(one, WINDOW + 10)
    with raises(HostFull, "100 messages"):
        _tell(two, 100)
    await one.stop()
    two.tell(Increase(1))
    await two.kill()
    await kit.event("restarted", two)
    await two.ask(Increase(1), ASK_S)
    assert kit.node.hosts.info()[small.name]["waiting"] == 0
    with raises(HostFull):
        _tell(two, 101)


def _tell(ref: AgentRef, count: int) -> None:
    list(map(ref.tell, [Increase(1)] * count))


async def is_suspended(kit: Kit) -> None:
    """Its agents' hooks are called."""
    here, there = await kit.spawn(Diary, host="a"), await kit.spawn(Adder, host="b")
    await kit.node.suspend("hidden")
    await kit.node.resume(3.5)
    assert await here.ask("read", ASK_S) == ["hidden", 3.5]
    assert await there.ask("seen", ASK_S) == []


async def leaves_nothing(kit: Kit) -> None:
    """A host without agents ends; who waited is told."""
    adder = await kit.spawn(Adder, host="own", shutdown=0.01)
    (name,) = [name for name, host in kit.node.hosts.info().items() if adder.id in host["agents"]]
    adder.tell("wait")
    asks = [asyncio.create_task(adder.ask(Increase(1), ASK_S)) for _ in range(2 * WINDOW)]
    await asyncio.sleep(0)
    await adder.stop()
    for ask in asks:
        with raises(AgentError):
            await ask
    await kit.node.hosts.close()
    assert name not in kit.node.hosts.info()


CHECKS = (
    tells_of_its_agents,
    ends_in_order,
    does_not_wait_for_ever,
    has_time,
    says_why_it_does_not_start,
    brings_modules_along,
    keeps_deadlines,
    kills,
    replaces_a_host_that_hangs,
    replaces_a_host_without_memory,
    keeps_what_waits,
    dies_once,
    takes_so_many_agents,
    takes_so_many_messages,
    is_suspended,
    leaves_nothing,
)
