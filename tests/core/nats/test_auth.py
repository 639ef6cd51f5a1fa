"""Credentials: what of them CONNECT says, when they are evaluated, and who never sees them."""

from __future__ import annotations

import asyncio
import logging
import traceback
from base64 import urlsafe_b64decode
from collections import UserString
from os import PathLike
from typing import Any
from unittest.mock import Mock

import pytest

from agents_core import nats, platform
from agents_core.bus import Status
from agents_core.errors import (
    AgentsError,
    AuthorizationError,
    CredentialsUnavailable,
    InvalidCredentials,
    InvalidHeader,
    Unsupported,
)
from agents_core.nats import auth
from agents_core.nats.nkeys import decode_seed
from agents_core.nats.options import Options
from agents_core.nats.servers import parse_url
from agents_core.testing.server import ScriptedServer, info
from tests.core.nats.credentials import CREDS, JWT, PUBLIC, SEED
from tests.core.nats.scripted import cancelled, client, reached

NONCE = "PXoWU7zWAMt75FY"


class Plain:
    """A signer that signs at once."""

    public_key = "UPLAIN"

    def sign(self, data: bytes) -> bytes:
        return b"<" + data + b">"


class Slow(Plain):
    """One whose key is elsewhere."""

    public_key = "USLOW"

    async def sign(self, data: bytes) -> bytes:  # type: ignore[override]
        await asyncio.sleep(0)
        return b"(" + data + b")"


async def answer(url: str = "nats://one", nonce: str = NONCE, **options: Any) -> dict[str, str]:
    login = await Options(**options).login(parse_url(url))
    return await login.answer(nonce)


def signature(fields: dict[str, str]) -> bytes:
    return urlsafe_b64decode(fields["sig"] + "==")


def later(value: object) -> Any:
    async def function() -> object:
        await asyncio.sleep(0)
        return value

    return function


# -- what is said


@pytest.mark.parametrize("form", [lambda v: v, lambda v: lambda: v, later])
async def test_user_password_and_token(form: Any) -> None:
    assert await answer(user=form("u"), password=form(" p ")) == {"user": "u", "pass": " p "}
    assert await answer(token=form("t")) == {"auth_token": "t"}
    assert await answer(user=None, password=None, token=None) == {}


async def test_those_of_the_url_come_first() -> None:
    own = {"user": "u", "password": "p", "token": "t"}
    assert await answer("nats://v:w@one", **own) == {"user": "v", "pass": "w"}
    assert await answer("nats://x@one", **own) == {"auth_token": "x"}


@pytest.mark.parametrize("form", [lambda v: v, lambda v: lambda: v, later])
async def test_an_nkey_signs_the_nonce(form: Any) -> None:
    fields = await answer(nkeys_seed_str=form(f" {SEED}\n"))
    assert fields["nkey"] == PUBLIC
    signer = await platform.current().signer(decode_seed(SEED))
    signed = signer.sign(NONCE.encode())
    assert signature(fields) == (signed if isinstance(signed, bytes) else await signed)
    assert "=" not in fields["sig"]


@pytest.mark.parametrize("signer", [Plain(), Slow()])
async def test_a_key_that_is_elsewhere(signer: Any) -> None:
    fields = await answer(signer=signer)
    assert fields["nkey"] == signer.public_key
    assert signature(fields)[1:-1] == NONCE.encode()
    fields = await answer(signer=signer, user_jwt_cb=lambda: JWT, token="beside")
    assert fields.keys() == {"jwt", "sig", "auth_token"}


async def test_a_signer_whose_public_key_is_bytes() -> None:
    """As that of the `nkeys` package is."""
    signer = Plain()
    signer.public_key = b"UPLAIN"  # type: ignore[assignment]
    assert (await answer(signer=signer))["nkey"] == "UPLAIN"


CONTENTS = [
    CREDS.encode(),
    bytearray(CREDS.encode()),
    CREDS,
    CREDS.replace("\n", "\r\n").encode(),
    CREDS.encode("utf-8-sig"),
    nats.RawCredentials(CREDS),
    UserString(CREDS),  # as nats-py's own class is
    lambda: CREDS,
    later(CREDS.encode()),
]


@pytest.mark.parametrize("contents", CONTENTS)
async def test_credentials_by_their_contents(contents: Any) -> None:
    fields = await answer(user_credentials=contents)
    assert fields.keys() == {"jwt", "sig"}
    assert fields["jwt"] == JWT
    assert fields["sig"] == (await answer(nkeys_seed_str=SEED))["sig"]


@pytest.mark.parametrize(
    "form", [lambda v: v, lambda v: v.encode(), lambda v: bytearray(v, "utf8")]
)
async def test_callbacks_as_in_nats_py(form: Any) -> None:
    asked: list[str] = []

    def sign(nonce: str) -> object:
        asked.append(nonce)
        return form("c2ln\n")

    async def sign_later(nonce: str) -> object:
        return sign(nonce)

    for signature_cb in (sign, sign_later):
        for user_jwt_cb in (lambda: form(JWT + "\n"), later(form(CREDS))):
            fields = await answer(user_jwt_cb=user_jwt_cb, signature_cb=signature_cb)
            assert fields == {"jwt": JWT, "sig": "c2ln"}
    assert asked == [NONCE] * 4


async def test_a_bearer_token_needs_no_signature() -> None:
    assert await answer(user_jwt_cb=lambda: JWT) == {"jwt": JWT}


async def test_nothing_is_signed_that_the_server_does_not_ask_for() -> None:
    assert await answer(nonce="", user_credentials=CREDS, token="t") == {
        "jwt": JWT,
        "auth_token": "t",
    }
    assert await answer(nonce="", signer=Plain()) == {}
    assert await answer(nonce="", signature_cb=lambda _: "s", user_jwt_cb=lambda: JWT) == {
        "jwt": JWT
    }


async def test_the_server_gets_them(caplog: pytest.LogCaptureFixture) -> None:
    server = ScriptedServer(info(nonce=NONCE))
    headers = {"Cookie": ["a=b", "c=d"], "Authorization": "Bearer x"}
    options = {"signer": Slow(), "ws_connection_headers": headers}
    async with client(server, "ws://one", **options):
        peer = await server.accept()
        fields = (await peer.expect("CONNECT")).fields
        assert (fields["nkey"], fields["name"]) == ("USLOW", "")
        assert peer.headers == headers


@pytest.mark.parametrize("nonce", [7, None])
async def test_a_nonce_that_is_none(nonce: object) -> None:
    server = ScriptedServer(info(nonce=nonce))
    async with client(server, signer=Plain()):
        assert "sig" not in (await (await server.accept()).expect("CONNECT")).fields


# -- evaluated for each connection


async def test_everything_is_evaluated_again_for_each_connection() -> None:
    server = ScriptedServer(info(nonce=NONCE))
    count = 0

    def next_one() -> str:
        nonlocal count
        count += 1
        return str(count)

    async def next_headers() -> dict[str, str]:
        return {"Cookie": next_one()}

    options = {
        "user": next_one,
        "password": next_one,
        "token": next_one,
        "user_jwt_cb": next_one,
        "ws_connection_headers": next_headers,
        "signature_cb": lambda nonce: next_one() + nonce,
    }
    async with client(server, "ws://one", **options) as nc:
        for first in (1, 7):
            peer = await server.accept()
            fields = (await peer.expect("CONNECT")).fields
            names = ("user", "pass", "auth_token", "jwt")
            assert [fields[name] for name in names] == [str(first + n) for n in range(4)]
            assert peer.headers == {"Cookie": str(first + 4)}
            assert fields["sig"] == f"{first + 5}{NONCE}"
            peer.cut()
            await reached(nc, Status.RECONNECTING, Status.CONNECTED)


async def test_a_login_service_that_is_away_for_a_while() -> None:
    errors: list[Exception] = []
    server = ScriptedServer()
    tokens = ["first", "", "", "cancelled", "fifth"]

    async def token() -> str:
        if (found := tokens.pop(0)) == "cancelled":
            return await cancelled()
        if found:
            return found
        raise ConnectionError("no route to the login service, which is called canary")

    async with client(server, token=token, error_cb=errors.append) as nc:
        (await server.accept()).cut()
        await reached(nc, Status.RECONNECTING, Status.CONNECTED)
        fields = (await (await server.accept()).expect("CONNECT")).fields
        assert fields["auth_token"] == "fifth"
    assert [str(error) for error in errors[1:]] == [
        "credentials: token raised ConnectionError",
        "credentials: token raised ConnectionError",
        "credentials: token raised CallbackCancelled",
    ]


async def test_a_function_that_gives_nothing_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth, "FUNCTION_S", 0.01)
    server = ScriptedServer()
    with pytest.raises(CredentialsUnavailable, match="password raised TimeoutError"):
        await nats.connect("nats://one", dialer=server, user="u", password=asyncio.Event().wait)
    assert not server.dialled


async def test_a_signature_is_waited_for_as_long_as_for_the_server() -> None:
    async def never(_: str) -> str:
        return await asyncio.get_running_loop().create_future()

    server = ScriptedServer(info(nonce=NONCE))
    options: dict[str, Any] = {"signature_cb": never, "user_jwt_cb": lambda: JWT}
    with pytest.raises(AgentsError, match=r"within 0\.01 s"):
        await nats.connect("nats://one", dialer=server, connect_timeout=0.01, **options)
    await server.sessions[0].wait_closed()


async def test_what_is_refused_is_not_asked_again_and_again() -> None:
    server = ScriptedServer()
    server.answers = {"CONNECT": b"-ERR 'Authorization Violation'\r\n"}
    with pytest.raises(AuthorizationError):
        await nats.connect("nats://one", dialer=server, retry_on_failed_connect=True)
    assert len(server.dialled) == 1
    with pytest.raises(InvalidCredentials):
        await nats.connect(
            "nats://one", dialer=server, retry_on_failed_connect=True, nkeys_seed_str="none"
        )


# -- what can't be used


def boom(*_: object) -> str:
    raise ValueError("canary")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"token": boom}, "token raised ValueError"),
        ({"token": 5}, "token is int, not a text"),
        ({"token": b"\xff"}, "token is not UTF-8"),
        ({"user": later(None)}, "user is NoneType, not a text"),
        ({"nkeys_seed_str": "SUCANARY"}, "has 58 characters, not 8"),
        ({"nkeys_seed_str": lambda: ""}, "has 58 characters, not 0"),
        ({"user_credentials": CREDS.replace("SEED", "CANARY")}, "there is no SEED in it"),
        ({"user_credentials": CREDS.replace("JWT", "CANARY")}, "there is no JWT in it"),
        ({"user_credentials": CREDS.replace(JWT, "")}, "there is no JWT in it"),
        ({"user_credentials": b""}, "there is no JWT in it"),
        ({"user_credentials": ("a", "b", "c")}, "user_credentials is tuple, not a text"),
        ({"user_credentials": boom}, "user_credentials raised ValueError"),
        ({"user_jwt_cb": lambda: ""}, "user_jwt_cb: there is no JWT in it"),
        ({"user_jwt_cb": boom}, "user_jwt_cb raised ValueError"),
        ({"user_jwt_cb": lambda: "j", "signature_cb": boom}, "signature_cb raised ValueError"),
        ({"ws_connection_headers": 5}, "ws_connection_headers is int, not a mapping"),
    ],
)
async def test_what_can_not_be_used(options: dict[str, Any], reason: str) -> None:
    kind = CredentialsUnavailable if "raised" in reason else InvalidCredentials
    with pytest.raises(kind) as caught:
        await answer(**options)
    assert reason in str(caught.value)
    assert "canary" not in str(caught.value).lower()


async def test_errors_that_have_a_name_of_their_own_keep_it() -> None:
    async def token() -> str:
        raise Unsupported("fetching a token", "open the page over https://")

    with pytest.raises(Unsupported):
        await answer(token=token)


async def test_a_signer_that_gives_no_bytes() -> None:
    signer = Plain()
    signer.sign = lambda _: "text"  # type: ignore[method-assign, assignment, return-value]
    with pytest.raises(InvalidCredentials, match="signer gives str, not bytes"):
        await answer(signer=signer)


async def test_a_header_that_can_not_be_sent() -> None:
    for headers in ({"Cookie": "a\r\nX: y"}, {"A B": "c"}, {"Cookie": [5]}):
        with pytest.raises(InvalidHeader):
            await answer(ws_connection_headers=headers)
    assert (await Options(ws_connection_headers=later(None)).login(parse_url("one"))).headers == {}


@pytest.mark.parametrize(
    "options",
    [
        {"nkeys_seed": "file", "nkeys_seed_str": SEED},
        {"nkeys_seed_str": SEED, "signer": Plain()},
        {"user_credentials": "file", "signer": Plain()},
        {"user_credentials": "file", "user_jwt_cb": lambda: JWT},
        {"user_jwt_cb": lambda: JWT, "signature_cb": boom, "nkeys_seed": "file"},
        {"signature_cb": boom},
        {"signer": SEED},
    ],
)
def test_options_that_contradict_one_another(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidCredentials, match="give"):
        Options(**options)


# -- files


class Files:
    """A platform whose files are a dictionary."""

    def __init__(self, **files: bytes) -> None:
        self.files = files
        self.signer = platform.current().signer

    def read_file(self, path: str | PathLike[str]) -> bytes:
        if str(path) not in self.files:
            raise FileNotFoundError(2, "No such file or directory", str(path))
        return self.files[str(path)]


class Named:
    """A path that is no text."""

    def __fspath__(self) -> str:
        return "both"

    __str__ = __fspath__


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> Files:
    found = Files(both=CREDS.encode(), jwt=f"{JWT}\n".encode(), seed=f"{SEED}\n".encode())
    monkeypatch.setattr(platform, "current", lambda: found)
    return found


async def test_files(files: Files) -> None:
    expected = await answer(user_credentials=CREDS)
    for option in ("both", Named(), ("jwt", "seed"), (Named(), Named()), lambda: "both"):
        assert await answer(user_credentials=option) == expected
    files.files["marked"] = SEED.encode("utf-8-sig")  # by an editor
    for path in ("seed", "both", "marked", Named()):
        fields = await answer(nkeys_seed=path)
        assert fields == {"nkey": PUBLIC, "sig": expected["sig"]}
    fields = await answer(nkeys_seed="seed", user_jwt_cb=lambda: JWT)
    assert fields == expected


async def test_files_are_read_for_each_connection(files: Files) -> None:
    server = ScriptedServer(info(nonce=NONCE))
    async with client(server, user_credentials="both") as nc:
        peer = await server.accept()
        assert (await peer.expect("CONNECT")).fields["jwt"] == JWT
        files.files["both"] = CREDS.replace(JWT, "renewed").encode()
        peer.cut()
        await reached(nc, Status.RECONNECTING, Status.CONNECTED)
        assert (await (await server.accept()).expect("CONNECT")).fields["jwt"] == "renewed"


async def test_files_that_can_not_be_read(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    files.files["both"] = b"\xff"
    for options, reason in (
        ({"nkeys_seed": SEED}, "nkeys_seed: No such file or directory"),
        ({"user_credentials": ("jwt", "none")}, "user_credentials: No such file or directory"),
        ({"user_credentials": "both"}, "user_credentials is not UTF-8"),
    ):
        with pytest.raises(InvalidCredentials) as caught:
            await answer(**options)
        assert str(caught.value) == f"credentials: {reason}"
        assert caught.value.__suppress_context__  # a traceback would show the path, maybe a secret
    for error in (OSError(), ValueError("embedded null byte")):
        monkeypatch.setattr(files, "read_file", Mock(side_effect=error))
        with pytest.raises(InvalidCredentials, match=f"nkeys_seed: {type(error).__name__}"):
            await answer(nkeys_seed="seed")


def test_a_file_that_is_not_there() -> None:
    there_are_files = platform.current().NAME == "server"
    with pytest.raises(FileNotFoundError if there_are_files else Unsupported):
        platform.current().read_file("none")


# -- nobody else sees them

CANARIES = {
    "user": "canary-user",
    "password": "canary-password",
    "token": "canary-token",
    "nkeys_seed_str": SEED,
    "ws_connection_headers": {"Cookie": "canary=cookie"},
}


def test_options_do_not_show_them() -> None:
    text = repr(Options(servers=["nats://canary:canary@one"], name="shown", **CANARIES))  # type: ignore[arg-type]
    assert "canary" not in text
    assert SEED not in text
    assert "name='shown'" in text
    assert "SU" not in repr(nats.RawCredentials(CREDS))
    assert "canary" not in repr(Options(user_credentials=b"canary", nkeys_seed="canary"[:0]))


async def test_nothing_says_them(caplog: pytest.LogCaptureFixture) -> None:
    """Not the log, and no error, on any way that connecting can go wrong."""
    caplog.set_level(logging.DEBUG)
    errors: list[BaseException] = []
    for answers, greeting in (
        ({"CONNECT": b"-ERR 'Authorization Violation'\r\n"}, info(nonce=NONCE)),
        ({"CONNECT": b"BOGUS\r\n"}, info(nonce=NONCE)),
        ({}, info(nonce=NONCE)),
        ({}, b"BOGUS\r\n"),
        ({}, b""),
    ):
        server = ScriptedServer(greeting)
        server.answers = answers
        for url in ("nats://one", "nats://canary:canary@one", "tls://canary@one"):
            with pytest.raises(AgentsError) as caught:
                await nats.connect(url, dialer=server, connect_timeout=0.01, **CANARIES)
            errors.append(caught.value)
    shown = "".join("".join(traceback.format_exception(error)) for error in errors)
    for text in (shown, caplog.text, repr(errors)):
        assert "canary" not in text
        assert SEED not in text
