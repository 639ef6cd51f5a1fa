"""What our client and nats.js have to understand of one another, as cases that run anywhere.

Each takes a client of ours and one of nats.js, connected to the same server: in Node over TCP, or
in one worker of a browser over WebSocket. The JavaScript is as its users write it.
"""

from tests.interop.cases import core, jetstream, kv, objects, services

CASES = [*core.CASES, *services.CASES, *jetstream.CASES, *kv.CASES, *objects.CASES]
