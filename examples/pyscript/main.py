"""A supervised counter on a PyScript page: by itself, or on NATS with `?nats=ws://…`."""

from pyscript import document, when, window

import agents_browser.eventloop
from agents_core import Agent, connect, on


class Counter(Agent):
    async def on_start(self):
        self.value = await self.state.get("value", 0)

    @on("add")
    async def add(self, message):
        self.value += message["n"]
        await self.state.set("value", self.value)
        return self.value


async def show(n):
    document.querySelector("output").value = await counter.ask({"type": "add", "n": n})


@when("click", "#add")
async def clicked(event):
    await show(1)


agents_browser.eventloop.install()
node = await connect(window.URLSearchParams.new(window.location.search).get("nats") or "local://")  # noqa: F704, PLE1142
counter = await node.spawn(Counter, f"counter-{node.name}")  # noqa: F704, PLE1142
await show(0)  # noqa: F704, PLE1142
document.querySelector("#add").disabled = False
