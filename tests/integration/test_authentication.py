"""Every way to say who one is, against real servers, over TCP, over WebSocket, and over nats-py."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import traceback
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import pytest

from agents_core import connect as connect_node
from agents_core import nats
from agents_core.bus import Bus, Status
from agents_core.errors import AgentsError, AuthorizationError, InvalidCredentials
from agents_core.ids import unique
from agents_core.nats.nkeys import Seed, decode_seed
from agents_server.nats_py import NatsPyBus
from agents_server.nats_server import NatsServer, free_port
from agents_server.nkeys import Key
from tests.issuer import Operator, User

pytestmark = pytest.mark.nats

Opener: TypeAlias = "Callable[..., Awaitable[Bus]]"
Start: TypeAlias = "Callable[..., NatsServer]"
Options: TypeAlias = "dict[str, Any]"

SEED = Seed(os.urandom(32))
KEY = Key(SEED)
USERS = f"""
authorization {{
  users: [ {{ user: ada, password: "love lace" }}, {{ nkey: {KEY.public_key} }} ]
}}
"""


class Urls(Protocol):
    """What of a server a client needs."""

    @property
    def url(self) -> str: ...
    @property
    def websocket_url(self) -> str: ...


async def tcp(server: Urls, **options: Any) -> Bus:
    return await nats.connect(server.url, **options)


async def websocket(server: Urls, **options: Any) -> Bus:
    return await nats.connect(server.websocket_url, **options)


async def nats_py(server: Urls, **options: Any) -> Bus:
    bus = NatsPyBus(nats.Options(servers=[server.url], **options))
    await bus.connect()
    return bus


over_each = pytest.mark.parametrize("connect", [tcp, websocket, nats_py])


@dataclass
class Named:
    """A server whose URLs hold credentials."""

    server: NatsServer
    user: str

    @property
    def url(self) -> str:
        return self.server.url.replace("://", f"://{self.user}")

    @property
    def websocket_url(self) -> str:
        return self.server.websocket_url.replace("://", f"://{self.user}")


@asynccontextmanager
async def opened(connect: Opener, server: Urls, **options: Any) -> AsyncIterator[Bus]:
    """A bus that is closed at the end, and that carries messages."""
    bus = await connect(server, **options)
    try:
        await works(bus)
        yield bus
    finally:
        await bus.close()


async def works(bus: Bus) -> None:
    subject = unique()
    subscription = await bus.subscribe(subject)
    bus.publish(subject, b"x")
    assert (await subscription.next_msg(5)).data == b"x"


def later(value: object) -> Any:
    async def function() -> object:
        await asyncio.sleep(0)
        return value

    return function


def reload(server: NatsServer, extra: str) -> None:
    """Have the running server read other lines of configuration."""
    server.extra = extra
    server.config_path.write_text(server.config(), encoding="utf-8")
    assert server.process is not None
    server.process.send_signal(signal.SIGHUP)


class Watch:
    """What happened to a bus: waits for the next change of its status, and keeps its errors."""

    def __init__(self) -> None:
        self.errors: list[str] = []
        self.statuses: asyncio.Queue[Status] = asyncio.Queue()

    def error(self, error: Exception) -> None:
        self.errors.append(str(error).lower())  # nats-py lowers what the server says

    async def until(self, wanted: Status) -> None:
        while await self.statuses.get() is not wanted:
            pass


@asynccontextmanager
async def watched(
    connect: Opener, server: Urls, **options: Any
) -> AsyncIterator[tuple[Bus, Watch]]:
    watch = Watch()
    async with opened(connect, server, error_cb=watch.error, **options) as bus:
        bus.on_status(watch.statuses.put_nowait)
        yield bus, watch


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts servers with more lines in their configuration, and stops them at the end."""
    started: list[NatsServer] = []

    def starting(extra: str, cookies: str = "") -> NatsServer:
        port = free_port()
        if cookies:  # another such block takes the place of the usual one
            listen = f'listen: "127.0.0.1:{port}", no_tls: true'
            extra = f"{extra}\nwebsocket {{ {listen}, {cookies} }}\n"
        server = NatsServer(tmp_path / f"server{len(started)}", websocket_port=port, extra=extra)
        started.append(server)
        server.start()
        return server

    yield starting
    for server in started:
        server.stop()


class Clerk:
    """A signer whose key is elsewhere, so that it takes a while."""

    public_key = KEY.public_key

    async def sign(self, data: bytes) -> bytes:
        await asyncio.sleep(0.01)
        return KEY.sign(data)


# -- passwords, tokens, NKeys


@over_each
async def test_user_and_password(connect: Opener, start: Start) -> None:
    server = start(USERS)
    for form in (str, lambda v: lambda: v, later):
        async with opened(connect, server, user=form("ada"), password=form("love lace")):
            pass
    named = Named(server, "ada:love%20lace@")
    async with opened(connect, named, user="somebody", password="else"):
        pass
    for password in ("", "lovelace", "love lace "):
        with pytest.raises(AuthorizationError, match="Authorization Violation"):
            await connect(server, user="ada", password=password)


@over_each
async def test_token(connect: Opener, start: Start) -> None:
    server = start("authorization { token: right }")
    for token in ("right", lambda: "right", later("right")):
        async with opened(connect, server, token=token):
            pass
    with pytest.raises(AuthorizationError):
        await connect(server, token="wrong")


@over_each
async def test_nkey(connect: Opener, start: Start, tmp_path: Path) -> None:
    server = start(USERS)
    file = tmp_path / "user.nk"
    file.write_text(f"{SEED.encode()}\n")
    ways: list[Options] = [
        {"nkeys_seed": file},
        {"nkeys_seed": str(file)},
        {"nkeys_seed_str": SEED.encode()},
        {"nkeys_seed_str": later(SEED.encode())},
        {"signer": KEY},
        {"signer": Clerk()},
    ]
    for options in ways:
        async with opened(connect, server, **options):
            pass
    with pytest.raises(AuthorizationError):
        await connect(server, nkeys_seed_str=Seed(bytes(32)).encode())
    with pytest.raises(InvalidCredentials, match="nkeys_seed: No such file"):
        await connect(server, nkeys_seed=tmp_path / "none")
    file.write_bytes(bytes(2 * 1024 * 1024))
    with pytest.raises(InvalidCredentials, match="nkeys_seed: larger than 1048576 bytes"):
        await connect(server, nkeys_seed=file)


@over_each
async def test_credentials_for_a_server_that_asks_for_none(
    connect: Opener, nats_server: NatsServer
) -> None:
    for options in ({"user": "a", "password": "b"}, {"token": "t"}, {"signer": KEY}):
        async with opened(connect, nats_server, **options):
            pass


# -- JWTs


@over_each
async def test_jwt_credentials(connect: Opener, start: Start, tmp_path: Path) -> None:
    operator = Operator()
    server = start(operator.config())
    user = operator.account.user()
    key = Key(decode_seed(user.seed))
    both, jwt, seed = tmp_path / "user.creds", tmp_path / "user.jwt", tmp_path / "user.nk"
    both.write_text(user.creds)
    jwt.write_text(user.jwt)
    seed.write_text(user.seed)

    def sign(nonce: str) -> bytes:
        return b64encode(key.sign(nonce.encode()))

    ways: list[Options] = [
        {"user_credentials": both},
        {"user_credentials": str(both)},
        {"user_credentials": (jwt, str(seed))},
        {"user_credentials": user.creds.encode()},
        {"user_credentials": nats.RawCredentials(user.creds)},
        {"user_credentials": later(user.creds)},
        {"user_jwt_cb": user.jwt.encode, "signature_cb": sign},
        {"user_jwt_cb": later(user.jwt), "signature_cb": lambda nonce: later(sign(nonce))()},
        {"user_jwt_cb": later(user.jwt), "nkeys_seed": seed},
        {"user_jwt_cb": lambda: user.jwt, "signer": key, "token": "for an auth callout"},
    ]
    for options in ways:
        async with opened(connect, server, **options):
            pass


@over_each
async def test_a_bearer_token_alone(connect: Opener, start: Start) -> None:
    operator = Operator()
    server = start(operator.config())
    bearer, plain = operator.account.user(bearer_token=True), operator.account.user()
    async with opened(connect, server, user_jwt_cb=lambda: bearer.jwt):
        pass
    with pytest.raises(AuthorizationError):
        await connect(server, user_jwt_cb=lambda: plain.jwt)


@over_each
async def test_jwts_that_are_refused(connect: Opener, start: Start) -> None:
    operator, stranger = Operator(), Operator()
    server = start(operator.config())
    one, two = operator.account.user(), operator.account.user()
    refused = {
        "of another operator": stranger.account.user(),
        "with another user's key": User(two.seed, one.jwt),
        "expired": operator.account.user(seconds=-5),
        "not over this way": operator.account.user(allowed_connection_types=["MQTT"]),
    }
    for user in refused.values():
        with pytest.raises(AuthorizationError):
            await connect(server, user_credentials=user.creds.encode())


@over_each
async def test_a_jwt_for_websocket_only(connect: Opener, start: Start) -> None:
    operator = Operator()
    server = start(operator.config())
    user = operator.account.user(allowed_connection_types=["WEBSOCKET"])
    if connect is websocket:
        async with opened(connect, server, user_credentials=user.creds):
            pass
    else:
        with pytest.raises(AuthorizationError):
            await connect(server, user_credentials=user.creds)


# -- what ends in mid-session


@over_each
async def test_what_expires_is_renewed(connect: Opener, start: Start) -> None:
    operator = Operator()
    server = start(operator.config())
    seconds = iter((2.0, 60.0))

    async def creds() -> str:
        return operator.account.user(seconds=next(seconds)).creds

    async with watched(connect, server, user_credentials=creds) as (bus, watch):
        subscription = await bus.subscribe("kept")
        await watch.until(Status.RECONNECTING)
        await watch.until(Status.CONNECTED)
        bus.publish("kept", b"on the new session")
        assert (await subscription.next_msg(5)).data == b"on the new session"
        assert bus.stats.reconnects == 1
        assert set(watch.errors) == {"server: user authentication expired"}


@over_each
async def test_a_file_that_is_renewed(connect: Opener, start: Start, tmp_path: Path) -> None:
    operator = Operator()
    server = start(operator.config())
    file = tmp_path / "user.creds"
    file.write_text(operator.account.user(seconds=2).creds)
    async with watched(connect, server, user_credentials=file) as (bus, watch):
        file.write_text(operator.account.user().creds)
        await watch.until(Status.CONNECTED)
        await works(bus)


@over_each
async def test_what_expires_and_is_not_renewed_is_the_end(connect: Opener, start: Start) -> None:
    operator = Operator()
    server = start(operator.config())
    user = operator.account.user(seconds=2)
    async with watched(connect, server, user_credentials=user.creds) as (bus, watch):
        await watch.until(Status.CLOSED)
        assert "server: user authentication expired" in watch.errors
        with pytest.raises(AgentsError):
            bus.publish("a")


@over_each
async def test_revoked(connect: Opener, start: Start) -> None:
    operator = Operator()
    server = start(operator.config())
    user = operator.account.user()
    async with watched(connect, server, user_credentials=user.creds) as (_, watch):
        operator.account.revoke(Key(decode_seed(user.seed)).public_key)
        reload(server, operator.config())
        async with asyncio.timeout(5):
            await watch.until(Status.CLOSED)
        assert watch.errors[0] == "server: user authentication revoked"


@over_each
async def test_a_token_that_is_changed(connect: Opener, start: Start) -> None:
    server = start("authorization { token: first }")
    tokens = iter(("first", "second"))
    async with watched(connect, server, token=lambda: next(tokens)) as (bus, watch):
        reload(server, "authorization { token: second }")
        await watch.until(Status.CONNECTED)
        await works(bus)


@over_each
async def test_a_login_service_that_is_not_there_yet(connect: Opener, start: Start) -> None:
    server = start("authorization { token: right }")
    answers: list[str] = ["", "", "right"]

    async def token() -> str:
        if answer := answers.pop(0):
            return answer
        raise ConnectionRefusedError

    watch = Watch()
    options: Options = {"reconnect_time_wait": 0.01, "error_cb": watch.error, "token": token}
    bus = await connect(server, retry_on_failed_connect=True, **options)
    bus.on_status(watch.statuses.put_nowait)
    if bus.status is not Status.CONNECTED:
        await watch.until(Status.CONNECTED)
    assert watch.errors == ["credentials: token raised connectionrefusederror"] * 2
    await bus.close()


# -- cookies and other headers


async def test_cookies(start: Start) -> None:
    """In a browser they are sent by themselves, see tests/browser."""
    operator = Operator()
    bearer = operator.account.user(bearer_token=True)
    plain = "user_cookie: u, pass_cookie: p, token_cookie: t"
    for rules, cookies, right, wrong in (
        (USERS, plain, {"Cookie": "u=ada; p=love lace"}, {"Cookie": "u=ada"}),
        ("authorization { token: right }", plain, {"Cookie": ["t=right"]}, {"Cookie": ["t=no"]}),
        (operator.config(), "jwt_cookie: j", later({"Cookie": f"j={bearer.jwt}"}), {}),
    ):
        server = start(rules, cookies)
        async with opened(websocket, server, ws_connection_headers=right):
            pass
        with pytest.raises(AuthorizationError):
            await websocket(server, ws_connection_headers=wrong)


# -- secrets


@over_each
async def test_secrets_stay_secret(
    connect: Opener, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    """In no log, however chatty, and in no error."""
    for name in (None, "websockets.client", "nats.aio.client", "asyncio"):
        caplog.set_level(logging.DEBUG, name)
    server = start(USERS.replace("love lace", "canary"))
    user = Operator().account.user()
    headers = {"Cookie": "canary=cookie", "Authorization": "Bearer canary"}
    errors: list[Exception] = []
    for options in (
        {"user": "ada", "password": "canary"},
        {"user": "canary", "password": "canary", "token": "canary"},
        {"user_credentials": user.creds},
        {"nkeys_seed": user.seed},
    ):
        try:
            bus = await connect(server, error_cb=errors.append, **options, **more(connect, headers))
        except AgentsError as error:
            errors.append(error)
        else:
            await works(bus)
            await bus.close()
    assert len(errors) >= 3
    shown = "".join(text for error in errors for text in traceback.format_exception(error))
    for text in (shown, repr(errors), caplog.text):
        for secret in ("canary", user.seed, user.jwt, user.jwt.split(".")[2]):
            assert secret not in text


def more(connect: Opener, headers: dict[str, str]) -> Options:
    return {"ws_connection_headers": headers} if connect is websocket else {}


# -- nodes


@pytest.mark.parametrize("scheme", ["nats", "ws"])
async def test_nodes_say_who_they_are(scheme: str, start: Start) -> None:
    operator = Operator()
    server = start(operator.config())
    url = {"nats": server.url, "ws": server.websocket_url}[scheme]
    user = operator.account.user()
    async with connect_node(url, user_credentials=user.creds) as node:
        assert node.bus.status is Status.CONNECTED
    with pytest.raises(AuthorizationError):
        await connect_node(url, token="wrong")
