"""Who issues credentials in tests: an operator, its accounts, and their users."""

from __future__ import annotations

import json
import os
import time
from base64 import urlsafe_b64encode
from typing import Any

from agents_core.nats.nkeys import ACCOUNT, OPERATOR, USER, Seed
from agents_server.nkeys import Key

HEADER = {"typ": "JWT", "alg": "ed25519-nkey"}
NO_LIMITS = dict.fromkeys(("subs", "data", "payload"), -1)
ACCOUNT_LIMITS = NO_LIMITS | {
    "imports": -1,
    "exports": -1,
    "wildcards": True,
    "conn": -1,
    "leaf": -1,
}


def encoded(data: bytes) -> str:
    """As JWTs have it: base64 for URLs, without padding."""
    return urlsafe_b64encode(data).decode().rstrip("=")


class Issuer:
    """A key that signs JWTs about others, and the JWT that another has signed about it."""

    def __init__(self, kind: int) -> None:
        self.key = Key(Seed(os.urandom(32), kind))
        self.jwt = ""

    @property
    def public_key(self) -> str:
        return self.key.public_key

    def issue(self, subject: str, claims: dict[str, Any], seconds: float = 0) -> str:
        """A JWT about `subject`; with `seconds` it expires."""
        body: dict[str, Any] = {"iss": self.public_key, "sub": subject, "name": "test"}
        body["iat"] = int(time.time())
        body["nats"] = {"version": 2, **claims}
        if seconds:
            body["exp"] = int(time.time() + seconds)
        signed = ".".join(encoded(json.dumps(part).encode()) for part in (HEADER, body))
        return f"{signed}.{encoded(self.key.sign(signed.encode()))}"


class User:
    """A user's seed, and the JWT that is about its public half."""

    def __init__(self, seed: str, jwt: str) -> None:
        self.seed, self.jwt = seed, jwt

    @property
    def creds(self) -> str:
        """The contents of a credentials file."""
        return f"""\
-----BEGIN NATS USER JWT-----
{self.jwt}
------END NATS USER JWT------

************************* IMPORTANT *************************
NKEY Seed printed below can be used to sign and prove identity.
NKEYs are sensitive and should be treated as secrets.

-----BEGIN USER NKEY SEED-----
{self.seed}
------END USER NKEY SEED------

*************************************************************
"""


class Account(Issuer):
    """An account of that operator."""

    def __init__(self, operator: Operator) -> None:
        super().__init__(ACCOUNT)
        self._operator = operator
        self.revoke()

    def revoke(self, *public_keys: str) -> None:
        """Take back what these users have been given; the server has to read the account again."""
        revoked = dict.fromkeys(public_keys, int(time.time()) + 1)
        claims = {"type": "account", "limits": ACCOUNT_LIMITS, "revocations": revoked}
        self.jwt = self._operator.issue(self.public_key, claims)

    def user_jwt(self, public_key: str, seconds: float = 0, **claims: Any) -> str:
        """A JWT about a user whose key is elsewhere."""
        claims = {"type": "user", "pub": {}, "sub": {}, **NO_LIMITS, **claims}
        return self.issue(public_key, claims, seconds)

    def user(self, seconds: float = 0, **claims: Any) -> User:
        """A new user of this account."""
        seed = Seed(os.urandom(32), USER)
        return User(seed.encode(), self.user_jwt(Key(seed).public_key, seconds, **claims))


class Operator(Issuer):
    """An operator with a system account, which JetStream needs, and an account for users."""

    def __init__(self) -> None:
        super().__init__(OPERATOR)
        self.jwt = self.issue(self.public_key, {"type": "operator"})
        self.system, self.account = Account(self), Account(self)

    def config(self) -> str:
        """Lines for the server's configuration."""
        accounts = (self.system, self.account)
        preload = "\n".join(f"  {account.public_key}: {account.jwt}" for account in accounts)
        return f"""
operator: {self.jwt}
system_account: {self.system.public_key}
resolver: MEMORY
resolver_preload: {{
{preload}
}}
"""
