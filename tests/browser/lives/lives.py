"""An agent that notes what happens to its tab."""

import time

from agents_core import Agent, Child, every, on


class Diary(Agent):
    def on_start(self):
        self.entries = []
        self.ticks = 0

    async def on_suspend(self, why):
        self.entries.append(why)

    def on_resume(self, slept):
        self.entries.append(slept)

    @every(0.05)
    def tick(self):
        self.ticks += 1

    @on("read")
    def read(self):
        return {"entries": self.entries, "ticks": self.ticks, "at": time.time()}


def server(node_name, input=None):
    return []


def tab(node_name):
    return [Child(Diary, f"diary-{node_name}")]
