"""The smallest example: an agent on the server and one in every tab, greeting each other."""

from dataclasses import dataclass

from agents_core import Agent, Child, on


@dataclass
class Hello:
    name: str


@dataclass
class Greeting:
    text: str
    node: str


@dataclass
class Introduce:
    """Say hello to another agent and tell what it answered."""

    to: str


class Greeter(Agent):
    @on
    def hello(self, m: Hello) -> Greeting:
        return Greeting(f"hello {m.name}", self.ctx.node.name)

    @on
    async def introduce(self, m: Introduce) -> Greeting:
        greeting: Greeting = await self.ctx.agent(m.to).ask(Hello(self.id))
        return greeting


def server(node_name: str, input: str | None = None) -> list[Child]:
    """The agents of the server node."""
    return [Child(Greeter, "greeter-server")]


def tab(node_name: str) -> list[Child]:
    """The agents of a tab."""
    return [Child(Greeter, f"greeter-{node_name}")]
