"""One call, one URL, and the bus that fits."""

from __future__ import annotations

from typing import Any

import pytest

from agents_core import LocalBus, Node, connect, platform
from agents_core.bus import Status
from agents_core.errors import InvalidAgentId, SlowConsumer, TransportError, Unsupported


class Host:
    """A platform that connects everything locally and writes down what it was asked."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.bus: LocalBus | None = None

    def default_url(self) -> str:
        return "nats://default:4222"

    async def connect_bus(self, url: str, *, name: str, **options: object) -> LocalBus:
        self.error_cb: Any = options.pop("error_cb")
        self.asked.append((url, name, options))
        self.bus = LocalBus()
        return self.bus


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Host:
    host = Host()
    monkeypatch.setattr(platform, "current", lambda: host)
    return host


async def test_local_names_are_shared_and_no_name_is_private() -> None:
    async with connect("local://shared") as one, connect("local://shared") as two:
        assert (one.bus.url, two.bus.url) == ("local://shared", "local://shared")
        two.publish("hello")
    async with connect("local://") as node:
        assert isinstance(node.bus, LocalBus)


async def test_it_can_be_awaited() -> None:
    node = await connect("local://", name="n", space="s")
    assert isinstance(node, Node)
    assert (node.name, node.root) == ("n", "acore.s")
    await node.close()
    assert node.bus.status is Status.CLOSED


async def test_other_urls_are_the_platform_s(host: Host) -> None:
    async with connect("nats://there:4222", name="n", root="r", user="u"):
        pass
    assert host.asked == [("nats://there:4222", "n", {"user": "u"})]


async def test_several_servers_of_one_cluster(host: Host) -> None:
    async with connect(["nats://one", "nats://two"], name="n"), connect("nats://one,nats://two"):
        pass
    assert [url for url, _, _ in host.asked] == ["nats://one,nats://two"] * 2


@pytest.mark.parametrize("url", [5, b"nats://there", [None]])
async def test_a_url_that_is_no_text(host: Host, url: Any) -> None:
    with pytest.raises(TransportError, match="a URL is a text"):
        connect(url)


async def test_without_a_url_the_platform_says_where(host: Host) -> None:
    async with connect():
        pass
    assert host.asked == [("nats://default:4222", "", {})]


async def test_a_node_that_can_not_be_leaves_no_bus(host: Host) -> None:
    with pytest.raises(InvalidAgentId):
        await connect("nats://there", name="not a name")
    assert host.bus is not None
    assert host.bus.status is Status.CLOSED


async def test_a_scheme_that_nobody_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    async def connect_bus(url: str, **options: object) -> LocalBus:
        raise Unsupported(url, "use nats://")

    host = Host()
    monkeypatch.setattr(host, "connect_bus", connect_bus)
    monkeypatch.setattr(platform, "current", lambda: host)
    with pytest.raises(Unsupported, match="use nats://"):
        await connect("gopher://there")


async def test_what_no_call_can_raise_is_logged(
    host: Host, caplog: pytest.LogCaptureFixture
) -> None:
    async with connect("nats://somewhere"):
        host.error_cb(SlowConsumer("a.b", 3))
        host.error_cb(TransportError("nats://somewhere", "connection refused"))
    assert [r.levelname for r in caplog.records if "a.b" in r.message] == ["WARNING"]
    assert not any("refused" in r.message for r in caplog.records if r.levelname != "DEBUG")


async def test_the_users_own_callback_is_kept(host: Host) -> None:
    errors: list[Exception] = []
    async with connect("nats://somewhere", error_cb=errors.append):
        assert host.error_cb == errors.append
