"""The agent that the measured page sends its first message to."""

from agents_core import Agent, Child, on


class Echo(Agent):
    @on("echo")
    def echo(self, payload):
        return payload


def server(node_name: str, input: str | None = None) -> list[Child]:
    return []


def tab(node_name: str) -> list[Child]:
    return [Child(Echo, f"echo-{node_name}")]
