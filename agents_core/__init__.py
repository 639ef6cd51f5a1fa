"""Supervised, stateful Python agents, in browser tabs and on servers, talking over NATS.

from agents_core import Agent, connect, on

class Greeter(Agent):
    @on("greet")
    def greet(self, payload):
        return f"hello {payload['name']}"

async with connect("local://") as node:
    greeter = await node.spawn(Greeter, "greeter")
    print(await greeter.ask({"type": "greet", "name": "Ada"}))
"""

from agents_core.agent import Agent
from agents_core.child import AgentConfig, Child, Supervisor
from agents_core.connect import connect
from agents_core.context import Context
from agents_core.discovery import NodeInfo
from agents_core.errors import AgentsError
from agents_core.events import Event, Slow
from agents_core.exit import Exit
from agents_core.handlers import every, on
from agents_core.hosts.host import Host
from agents_core.ids import AgentId
from agents_core.localbus import LocalBus
from agents_core.message import Message
from agents_core.node import Node
from agents_core.ref import AgentRef
from agents_core.state.actions import Clear, Delete, Get, List, StateAction, Store
from agents_core.state.agent_state import AgentState
from agents_core.state.backend import MemoryBackend
from agents_core.state.memory import InMemoryBackend

__all__ = [
    "Agent",
    "AgentConfig",
    "AgentId",
    "AgentRef",
    "AgentState",
    "AgentsError",
    "Child",
    "Clear",
    "Context",
    "Delete",
    "Event",
    "Exit",
    "Get",
    "Host",
    "InMemoryBackend",
    "List",
    "LocalBus",
    "MemoryBackend",
    "Message",
    "Node",
    "NodeInfo",
    "Slow",
    "StateAction",
    "Store",
    "Supervisor",
    "connect",
    "every",
    "on",
]
