"""This tab's node, and its line to the page.

The worker's JavaScript calls `run` once and then hands over what the page sends. Both ways it is
JSON text, so neither side holds a proxy of the other's objects. What the page may send, each with
an `id` that its `reply` repeats:

    {"method": "ask", "agent", "payload", "timeout"}    {"method": "tell", "agent", "payload"}
    {"method": "control", "agent", "action"}            {"method": "stop"}
    {"method": "publish", "subject", "value"}           {"method": "define", "module", "source"}
    {"method": "subscribe", "subject"}                  {"method": "unsubscribe", "subscription"}
    {"method": "install", "package"}                    {"method": "spawn", "path", "agent", "args",
                                                         "kwargs", "child", "supervisor"}
    {"method": "lifecycle", "event"}                    {"method": "ping"}

and what it hears: `phase`, `status`, `nodes`, `event`, `slow`, `message`, `reply`, `failed`.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import logging
from collections.abc import Callable, Coroutine
from dataclasses import asdict
from typing import Any

from agents_browser import eventloop, log, packages
from agents_browser.devtools import SlowMeasures
from agents_browser.lifecycle import Lifecycle
from agents_core import (
    Child,
    Event,
    Node,
    Supervisor,
    codec,
    connect,
    faults,
    jsonvalue,
    modules,
    tracebacks,
)
from agents_core.bus import Status, Subscription
from agents_core.errors import AgentsError, InvalidMessage
from agents_core.events import Slow
from agents_core.exit import sendable
from agents_core.ids import unique
from agents_core.nats.msg import Msg

NODES_S = 0.25
"""Seconds that changes are collected before the page hears of them."""

RTT_S = 3.0
"""Seconds between two measurements of the round trip."""

CALLS_MAX = 1024
"""Calls of the page under way at once; a page that has more does not wait for answers."""

NEVER_TOO_MANY = ("lifecycle", "unsubscribe")
"""What is taken all the same: a page says it once, and nobody would hear that it was refused."""

_log = logging.getLogger("agents_browser")


async def run(settings: str, post: Callable[[str], None]) -> Callable[[str], None] | None:
    """Connect, start the tab's agents, and return what takes the page's messages.

    Args:
        settings: JSON with `nats` (a URL), `space`, `name` (of the node; empty for a random one),
            `ping_interval` (in seconds, or null), `module` (the example's, or null), `index` (of
            packages, or null) and `log`.
        post: sends a text to the page.

    Returns:
        None if that failed, as when an agent could not be started or the URL can't be used here;
        the page was told.
    """
    found = json.loads(settings)
    log.install(found.get("log") or "INFO")
    eventloop.install()
    asked = found.get("ping_interval") is not None and not found["nats"].startswith("local://")
    options = {"ping_interval": found["ping_interval"]} if asked else {}
    tab = Tab(post, found["index"])
    try:
        await tab.start(found["nats"], found["space"], found["name"], found["module"], **options)
    except Exception as error:
        tab.fail(error)
        return None
    return tab.receive


class Tab:
    """The node of this tab and what the page wants of it.

    Args:
        post: sends a text to the page.
        index: where packages are looked up by name; None for PyPI.
    """

    def __init__(self, post: Callable[[str], None], index: str | None) -> None:
        self._post = post
        self._index = index
        self._phase = "starting"
        self._node: Node | None = None
        self._lifecycle: Lifecycle | None = None
        self._measures = SlowMeasures()
        self._rtt: float | None = None
        self._nodes_due = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._stops: set[asyncio.Task[None]] = set()  # beside them, as they end them
        self._subscriptions: dict[int, Subscription] = {}

    @property
    def node(self) -> Node:
        """The node, once `start` has made it."""
        assert self._node is not None
        return self._node

    def send(self, kind: str, **fields: Any) -> None:
        """Tell the page something."""
        self._post(jsonvalue.dumps({"type": kind, **fields}).decode())

    # -- life

    async def start(
        self, url: str, space: str, name: str, module: str | None, **options: Any
    ) -> None:
        """Join, then start what the example has for a tab; `options` are for its connection."""
        self._enter("connecting")
        name = name or f"tab-{unique(6)}"
        node = self._node = await connect(url, name=name, space=space, **options)
        node.on_change(self._nodes_changed)
        node.on_event(self._event)
        node.on_slow(self._slow)
        node.bus.on_status(self._on_status)
        self._lifecycle = Lifecycle(node, self._spawn)
        self._spawn(self._measure())
        self._enter("spawning", node=node.name)
        if module is not None:
            children = importlib.import_module(module).tab(node.name)
            # A tab's agents are restarted often by hand: the page has a button to crash them.
            await node.supervise(Supervisor(children, name="tab", max_restarts=20, max_seconds=5))
        self._send_nodes()
        self._send_status()
        self._enter("running", node=node.name)

    def _enter(self, phase: str, **fields: str) -> None:
        self._phase = phase
        self.send("phase", phase=phase, **fields)

    def fail(self, error: Exception) -> None:
        """Tell the page that the start failed: in which phase, in one line, and where."""
        text = getattr(error, "traceback", "") or tracebacks.text_of(error)
        message = sendable(f"{type(error).__name__}: {error}")
        self.send("failed", phase=self._phase, message=message, detail=sendable(text))

    async def stop(self) -> None:
        """Stop the agents in order and leave; a second call waits for the first."""
        for task in self._tasks:
            task.cancel()
        await self.node.drain()
        self._enter("stopped")

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        self._keep(work, self._tasks)

    def _keep(self, work: Coroutine[Any, Any, None], among: set[asyncio.Task[None]]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        among.add(task)
        task.add_done_callback(among.discard)

    # -- to the page

    def _nodes_changed(self) -> None:
        if not self._nodes_due:
            self._nodes_due = True
            self.node.timers.after(NODES_S, self._send_nodes)

    def _send_nodes(self) -> None:
        self._nodes_due = False
        self.send("nodes", nodes=[info.to_json() for info in self.node.nodes()])

    def _event(self, event: Event) -> None:
        self.send("event", event=event.to_json())

    def _slow(self, slow: Slow) -> None:
        if self._measures.add(slow):
            self.send("slow", **asdict(slow))

    def _send_status(self) -> None:
        bus = self.node.bus
        if bus.status is not Status.CONNECTED:
            self._rtt = None
        reconnects = bus.stats.reconnects
        status = str(bus.status)
        self.send("status", status=status, url=bus.url, rtt=self._rtt, reconnects=reconnects)

    def _on_status(self, status: Status) -> None:
        self._send_status()
        if status is Status.CONNECTED:
            self._spawn(self._measure_once())

    async def _measure(self) -> None:
        while True:
            await self._measure_once()
            await asyncio.sleep(RTT_S)

    async def _measure_once(self) -> None:
        """Take the round-trip time; what goes wrong shows in the connection's status."""
        try:
            self._rtt = await self.node.bus.rtt()
        except AgentsError:
            self._rtt = None
        self._send_status()

    # -- from the page

    def receive(self, text: str) -> None:
        """Take one message of the page."""
        call = json.loads(text)
        if call["method"] == "stop":
            self._keep(self._answer(call), self._stops)
        elif len(self._tasks) >= CALLS_MAX and call["method"] not in NEVER_TOO_MANY:
            message, data = f"more than {CALLS_MAX} calls under way", {"limit": CALLS_MAX}
            error = {"name": "TooManyCalls", "message": message, "data": data}
            self.send("reply", id=call["id"], error=error)
        else:
            self._spawn(self._answer(call))

    async def _answer(self, call: dict[str, Any]) -> None:
        try:
            value = await self._do(call)
            self.send("reply", id=call["id"], value=value)
        except Exception as error:
            self._refuse(call, error)
            if not isinstance(error, AgentsError):
                _log.exception("%s: %s", call["method"], error)

    def _refuse(self, call: dict[str, Any], error: Exception) -> None:
        described = faults.to_json(error, inside=True)["error"]
        self.send("reply", id=call["id"], error=described)

    async def _do(self, call: dict[str, Any]) -> Any:
        match call["method"]:
            case "ask":
                ref = self.node.agent(call["agent"])
                return _plain(await ref.ask(call["payload"], timeout=call["timeout"]))
            case "tell":
                self.node.agent(call["agent"]).tell(call["payload"])
            case "define" | "install" | "spawn":
                await self._bring(call)
            case "publish" | "subscribe" | "unsubscribe":
                await self._talk(call)
            case "control":
                return await self._control(call["agent"], call["action"])
            case "lifecycle":
                if self._lifecycle is not None:  # else: there is nobody yet to be told
                    await self._lifecycle.take(call["event"])
            case "ping":
                pass
            case "stop":
                await self.stop()
            case other:
                raise InvalidMessage(f"no method {other!r}")
        return None

    async def _bring(self, call: dict[str, Any]) -> None:
        """Code, and agents of it."""
        match call["method"]:
            case "define":
                modules.define(call["module"], call["source"])
            case "install":
                await packages.install(call["package"], self._index)
            case _:  # as `Node.spawn`, with the options apart from what is for the class
                cls, id = modules.load(call["path"]), call["agent"]
                child = Child(cls, id, tuple(call["args"]), call["kwargs"], **call["child"])
                await self.node.supervise(Supervisor([child], name=id, **call["supervisor"]))

    async def _talk(self, call: dict[str, Any]) -> None:
        match call["method"]:
            case "publish":
                self.node.publish_json(self._subject(call), call["value"])
            case "subscribe":
                await self._subscribe(call["id"], self._subject(call))
            case _:
                subscription = self._subscriptions.pop(call["subscription"], None)
                if subscription is not None:
                    await subscription.unsubscribe()

    async def _control(self, agent: str, action: str) -> Any:
        ref = self.node.agent(agent)
        match action:
            case "stop":
                return await ref.stop()
            case "kill":
                return await ref.kill("killed from the page")
            case "info":
                return await ref.info()
            case other:
                raise InvalidMessage(f"no control action {other!r}")

    async def _subscribe(self, id: int, subject: str) -> None:
        def take(msg: Msg) -> None:
            try:
                self.send("message", subscription=id, value=jsonvalue.loads(msg.data))
            except AgentsError as error:  # anybody may publish there
                _log.warning("%s: %s", msg.subject, error)

        self._subscriptions[id] = await self.node.subscribe(subject, cb=take)

    def _subject(self, call: dict[str, Any]) -> str:
        return f"{self.node.root}.{call['subject']}"


def _plain(value: Any) -> Any:
    """A reply as JSON: an agent of this tab answers with the object itself."""
    return codec.encode(value)[1]
