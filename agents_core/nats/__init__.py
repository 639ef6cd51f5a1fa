"""A NATS client that runs on CPython and in the browser; usable by itself.

from agents_core import nats

nc = await nats.connect("ws://127.0.0.1:8080")
nc.publish("greet", b"hello")
"""

from agents_core.nats.auth import RawCredentials
from agents_core.nats.client import Client, connect
from agents_core.nats.headers import Headers
from agents_core.nats.msg import Msg
from agents_core.nats.nkeys import Signer
from agents_core.nats.options import Options
from agents_core.nats.servers import Server
from agents_core.nats.subscription import Subscription

__all__ = [
    "Client",
    "Headers",
    "Msg",
    "Options",
    "RawCredentials",
    "Server",
    "Signer",
    "Subscription",
    "connect",
]
