"""Our client and nats.js (in Node) understand one another."""

from __future__ import annotations

import pytest

from agents_core import nats
from agents_server.nats_server import NatsServer
from tests.interop.cases import CASES
from tests.interop.cases.case import Case
from tests.interop.peer import nats_js

pytestmark = pytest.mark.nats


@pytest.mark.parametrize("scheme", ["tcp", "websocket"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
async def test_both_ways(case: Case, scheme: str, nats_server: NatsServer) -> None:
    url = nats_server.url if scheme == "tcp" else nats_server.websocket_url
    nc = await nats.connect(url)
    try:
        async with nats_js(nats_server.url) as js:
            await case(nc, js)
    finally:
        await nc.close()
