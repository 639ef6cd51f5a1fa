"""Who a client is: the credentials, and what of them CONNECT says to a server.

Everything is evaluated anew for each connection, so that what expires can be replaced.
"""

from __future__ import annotations

import asyncio
import inspect
from base64 import urlsafe_b64encode
from collections import UserString
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from os import PathLike
from typing import Any, TypeAlias
from urllib.parse import SplitResult

from agents_core import platform
from agents_core.errors import (
    AgentsError,
    AuthorizationError,
    CredentialsUnavailable,
    InvalidCredentials,
    InvalidHeader,
    Unsupported,
)
from agents_core.nats.callbacks import RAISED, awaited_failure
from agents_core.nats.headers import HeadersLike, encode_headers
from agents_core.nats.nkeys import Signer, decode_seed
from agents_core.nats.servers import credentials

File: TypeAlias = "str | PathLike[str]"
Text: TypeAlias = "str | bytes | bytearray | UserString"
Secret: TypeAlias = "str | Callable[[], str | Awaitable[str]]"
"""A text, or a function, plain or async, that gives it."""

FUNCTION_S = 10.0
"""Seconds that an async function of the user's may take for one credential."""

BEGIN = "-----BEGIN"
"""What the contents of a credentials file have, and no path."""

HOPELESS = (AuthorizationError, InvalidCredentials, InvalidHeader, Unsupported)
"""What a first connect raises even with `retry_on_failed_connect`: trying again changes nothing."""


class RawCredentials(UserString):
    """The contents of a credentials file, where a text would be the path of one; as in nats-py."""

    def __repr__(self) -> str:
        return "RawCredentials(…)"


Credentials: TypeAlias = "File | Text | tuple[File, File]"
"""A file, its contents, or two files with the JWT and the seed."""


@dataclass(slots=True)
class Login:
    """The credentials of one connection, evaluated before it is dialled: servers wait 2 s for them.

    Attributes:
        fields: what CONNECT says whatever the server asks.
        headers: more of them for the handshake of a WebSocket.
        signer, signature_cb: what signs.
    """

    fields: dict[str, str] = field(repr=False)
    headers: HeadersLike = field(repr=False)
    signer: Signer | None = field(default=None, repr=False)
    signature_cb: Callable[[str], Text | Awaitable[Text]] | None = field(default=None, repr=False)

    async def answer(self, nonce: str) -> dict[str, str]:
        """The fields of CONNECT for a server that wants this to be signed; empty for none.

        Raises:
            CredentialsUnavailable: signing failed.
        """
        fields = dict(self.fields)
        if nonce and self.signature_cb is not None:
            fields["sig"] = (await _text("signature_cb", self.signature_cb, nonce)).strip()
        elif nonce and self.signer is not None:
            signature = await _value("signer", self.signer.sign, nonce.encode())
            if not isinstance(signature, bytes):
                raise InvalidCredentials(f"signer gives {type(signature).__name__}, not bytes")
            fields["sig"] = urlsafe_b64encode(signature).decode().rstrip("=")
            if "jwt" not in fields:
                fields["nkey"] = _decoded("signer", self.signer.public_key)
        return fields


@dataclass(slots=True, kw_only=True)
class Identity:
    """The credentials among a client's options, named as in nats-py; never shown.

    A value may also be a function, plain or async, that gives it. It is called before each attempt
    to connect and has `FUNCTION_S` seconds; what it raises counts as a failed attempt.

    Attributes:
        user, password: a server's `users`; those in a server's URL come first.
        token: a server's `token`, alone or beside anything else, for an auth callout (ADR-26).
        nkeys_seed: a file with the seed of an NKey, `SU…`. Read for each connection.
        nkeys_seed_str: the seed itself.
        signer: an NKey whose private half is elsewhere, such as `agents_browser.nkeys.Key`.
        user_credentials: a credentials file with a user's JWT and seed; or its contents, as bytes
            or `RawCredentials`; or two files with one each.
        user_jwt_cb: gives a user's JWT. Without a key it has to be a bearer token.
        signature_cb: gets the server's nonce and gives its signature by the JWT's key as base64.
        ws_connection_headers: more headers of the WebSocket handshake, such as `Cookie` or
            `Authorization`. Not in a browser, which sends its cookies by itself.

    Raises:
        InvalidCredentials: two of them say which key signs, or one can't.
    """

    user: Secret | None = field(default=None, repr=False)
    password: Secret | None = field(default=None, repr=False)
    token: Secret | None = field(default=None, repr=False)
    nkeys_seed: File | None = field(default=None, repr=False)
    nkeys_seed_str: Secret | None = field(default=None, repr=False)
    signer: Signer | None = field(default=None, repr=False)
    user_credentials: Credentials | Callable[[], Credentials | Awaitable[Credentials]] | None = (
        field(default=None, repr=False)
    )
    user_jwt_cb: Callable[[], Text | Awaitable[Text]] | None = field(default=None, repr=False)
    signature_cb: Callable[[str], Text | Awaitable[Text]] | None = field(default=None, repr=False)
    ws_connection_headers: (
        HeadersLike | Callable[[], HeadersLike | Awaitable[HeadersLike]] | None
    ) = field(default=None, repr=False)

    def __post_init__(self) -> None:
        names = ("nkeys_seed", "nkeys_seed_str", "signer", "user_credentials", "signature_cb")
        if len(keys := [name for name in names if getattr(self, name)]) > 1:
            raise InvalidCredentials(f"{' and '.join(keys)} both say which key signs; give one")
        if self.user_credentials and self.user_jwt_cb:
            raise InvalidCredentials("user_credentials and user_jwt_cb both give a JWT; give one")
        if self.signature_cb and not self.user_jwt_cb:
            raise InvalidCredentials("signature_cb needs user_jwt_cb; for an NKey give signer")
        if self.signer and not hasattr(self.signer, "sign"):
            raise InvalidCredentials("signer can't sign; for a seed give nkeys_seed_str")

    async def login(self, url: SplitResult) -> Login:
        """Evaluate everything for one connection to that server.

        Raises:
            InvalidCredentials: one of them can't be read.
            CredentialsUnavailable: its function failed.
            InvalidHeader: one of the headers can't be sent.
            Unsupported: this platform can't sign, or has no files.
        """
        fields = credentials(url)
        if not fields:
            for key, name in (("user", "user"), ("pass", "password"), ("auth_token", "token")):
                if option := getattr(self, name):
                    fields[key] = await _text(name, option)
        jwt, signer = await self._key()
        if jwt:
            fields["jwt"] = jwt
        headers = await _value("ws_connection_headers", self.ws_connection_headers) or {}
        if not isinstance(headers, Mapping):
            kind = type(headers).__name__
            raise InvalidCredentials(f"ws_connection_headers is {kind}, not a mapping")
        encode_headers(headers)
        return Login(fields, headers, signer, self.signature_cb)

    async def _key(self) -> tuple[str, Signer | None]:
        """The JWT, if there is one, and the key that signs."""
        if self.user_credentials is not None:
            jwt, seed = _read(await _value("user_credentials", self.user_credentials))
            return jwt, await _signer(seed)
        jwt = ""
        if self.user_jwt_cb is not None:
            jwt = _section("user_jwt_cb", await _text("user_jwt_cb", self.user_jwt_cb), "JWT")
        if self.nkeys_seed is not None:
            seed = _file("nkeys_seed", self.nkeys_seed)
            return jwt, await _signer(_section("nkeys_seed", seed, "SEED"))
        if self.nkeys_seed_str:
            seed = await _text("nkeys_seed_str", self.nkeys_seed_str)
            return jwt, await _signer(seed.strip())
        return jwt, self.signer


async def _value(name: str, option: Any, *args: object) -> Any:
    """The option, or what its function gives; a function's error must not end a reconnect."""
    if not callable(option):
        return option
    try:
        found = option(*args)
        if inspect.isawaitable(found):
            async with asyncio.timeout(FUNCTION_S):
                found = await found
    except AgentsError:
        raise
    except RAISED as raised:
        error = awaited_failure(raised)
        raise CredentialsUnavailable(name, f"raised {type(error).__name__}") from error
    return found


async def _text(name: str, option: Any, *args: object) -> str:
    return _decoded(name, await _value(name, option, *args))


def _decoded(name: str, value: object) -> str:
    if isinstance(value, bytes | bytearray):
        try:
            return value.decode("utf-8-sig")  # some editors begin a file with a mark
        except UnicodeDecodeError:
            raise InvalidCredentials(f"{name} is not UTF-8") from None
    if isinstance(value, str | UserString):
        return str(value)
    raise InvalidCredentials(f"{name} is {type(value).__name__}, not a text")


async def _signer(seed: str) -> Signer:
    return await platform.current().signer(decode_seed(seed))


# -- files


def _file(name: str, path: File) -> str:
    try:
        return _decoded(name, platform.current().read_file(path))
    except (OSError, TypeError, ValueError) as error:
        # It may name the path, and somebody may have given the secret as one.
        text = error.strerror if isinstance(error, OSError) else None
        raise InvalidCredentials(f"{name}: {text or type(error).__name__}") from None


def _read(credentials: Credentials) -> tuple[str, str]:
    """JWT and seed."""
    name = "user_credentials"
    if isinstance(credentials, tuple) and len(credentials) == 2:
        jwt, seed = _file(name, credentials[0]), _file(name, credentials[1])
    elif isinstance(credentials, PathLike) or (
        isinstance(credentials, str) and BEGIN not in credentials
    ):
        jwt = seed = _file(name, credentials)
    else:
        jwt = seed = _decoded(name, credentials)
    return _section(name, jwt, "JWT"), _section(name, seed, "SEED")


def _section(name: str, text: str, what: str) -> str:
    """What is between `-----BEGIN … JWT-----` and its end; a text without any marks is it itself.

    Raises:
        InvalidCredentials: there are marks, but not these, or nothing between them.
    """
    lines: list[str] = []
    inside = BEGIN not in text
    for line in map(str.strip, text.splitlines()):
        if line.startswith("---"):
            inside = line.startswith(BEGIN) and f" {what}-" in line and not lines
        elif inside:
            lines.append(line)
    if not any(lines):
        raise InvalidCredentials(f"{name}: there is no {what} in it")
    return "".join(lines)
