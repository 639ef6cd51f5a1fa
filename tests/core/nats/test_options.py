"""Options: their defaults, and what of them the server and the dialer hear."""

from __future__ import annotations

import pytest

from agents_core import nats
from agents_core.nats.options import Options
from agents_core.testing.server import ScriptedServer


def test_headers_and_no_responders_go_together() -> None:
    fields = Options().connect_fields()
    assert fields["headers"] is fields["no_responders"] is True
    assert (fields["protocol"], fields["echo"]) == (1, True)


def test_tls_settings() -> None:
    context = object()
    tls = Options(tls=context, tls_hostname="h", tls_handshake_first=True).tls_settings()
    assert (tls.context, tls.hostname, tls.handshake_first) == (context, "h", True)


async def test_an_unknown_option_is_refused() -> None:
    with pytest.raises(TypeError, match="max_reconnects"):
        await nats.connect("nats://one", max_reconnects=1, dialer=ScriptedServer())


async def test_servers_may_be_a_list_or_a_text() -> None:
    for servers in (["nats://one", "two"], "nats://one, two"):
        nc = await nats.connect(servers, dialer=ScriptedServer(), dont_randomize=True)
        assert sorted(nc.servers) == ["nats://one:4222", "nats://two:4222"]
        await nc.close()
