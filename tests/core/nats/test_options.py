"""Options: their defaults, and what of them the server and the dialer hear."""

from __future__ import annotations

import pytest

from agents_core import nats
from agents_core.errors import CredentialsUnavailable, TransportError, Unsupported
from agents_core.nats.auth import Identity
from agents_core.nats.options import CALLBACKS, Options, log_error
from agents_core.testing.server import ScriptedServer


def test_headers_and_no_responders_go_together() -> None:
    fields = Options().connect_fields()
    assert fields["headers"] is fields["no_responders"] is True
    assert (fields["protocol"], fields["echo"]) == (1, True)


@pytest.mark.parametrize(
    "name", ["connect_timeout", "reconnect_time_wait", "ping_interval", "drain_timeout"]
)
@pytest.mark.parametrize("wrong", [None, "1", float("nan")])
def test_what_is_no_number_of_seconds_is_refused(name: str, wrong: object) -> None:
    with pytest.raises(ValueError, match="is not a number of seconds"):
        Options(**{name: wrong})


def test_of_several_seconds_the_wrong_ones_are_named() -> None:
    with pytest.raises(ValueError, match=r"^drain_timeout: None is not a number of seconds$"):
        Options(drain_timeout=None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "name", ["max_reconnect_attempts", "max_outstanding_pings", "pending_size"]
)
@pytest.mark.parametrize("wrong", [None, "1", float("nan")])
def test_what_is_no_number_is_refused(name: str, wrong: object) -> None:
    with pytest.raises(ValueError, match=f"^{name} is a number, not {wrong!r}$"):
        Options(**{name: wrong})


@pytest.mark.parametrize(
    ("name", "wrong"), [("ping_interval", 0), ("ping_interval", -1), ("reconnect_time_wait", -1)]
)
def test_what_would_leave_no_pause_is_refused(name: str, wrong: float) -> None:
    with pytest.raises(ValueError, match=name):
        Options(**{name: wrong})


def test_a_name_is_a_text() -> None:
    with pytest.raises(ValueError, match=r"^name is a text, not 3$"):
        Options(name=3)  # type: ignore[arg-type]


def test_tls_settings() -> None:
    context = object()
    tls = Options(tls=context, tls_hostname="h", tls_handshake_first=True).tls_settings()
    assert (tls.context, tls.hostname, tls.handshake_first) == (context, "h", True)


@pytest.mark.parametrize(
    ("error", "level", "traced"),
    [
        (ValueError("a fault of the user's"), "WARNING", True),
        (TransportError("nats://one", "refused"), "DEBUG", True),
        (CredentialsUnavailable("token", "raised ValueError"), "WARNING", False),
    ],
)
def test_what_no_call_can_raise_is_logged(
    error: Exception, level: str, traced: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", "agents_core")
    with pytest.raises(type(error)):
        raise error
    log_error(error)
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("agents_core", level)
    assert bool(record.exc_info) is traced


def test_who_wants_to_hear_of_no_error_says_so() -> None:
    assert Options().error_cb is log_error
    assert Options(error_cb=None).error_cb is None


async def test_an_unknown_option_is_refused() -> None:
    with pytest.raises(TypeError, match="max_reconnects"):
        await nats.connect("nats://one", max_reconnects=1, dialer=ScriptedServer())


@pytest.mark.parametrize("name", CALLBACKS)
async def test_what_can_not_be_called_is_no_callback(name: str) -> None:
    with pytest.raises(Unsupported, match=r"a str as a callback.*a function, plain or async"):
        await nats.connect("nats://one", dialer=ScriptedServer(), **{name: "x"})


def test_all_callbacks_are_looked_at() -> None:
    named = {name for name in Options.__dataclass_fields__ if name.endswith(("_cb", "_handler"))}
    assert set(CALLBACKS) == named - set(Identity.__dataclass_fields__)


async def test_servers_may_be_a_list_or_a_text() -> None:
    for servers in (["nats://one", "two"], "nats://one, two"):
        nc = await nats.connect(servers, dialer=ScriptedServer(), dont_randomize=True)
        assert sorted(nc.servers) == ["nats://one:4222", "nats://two:4222"]
        await nc.close()
