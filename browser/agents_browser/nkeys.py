"""NKeys that sign, by the browser's WebCrypto.

The private key stays with the browser: a key that was made here can't be read, only used, by
whoever runs in this page.
"""

from __future__ import annotations

import asyncio
from base64 import urlsafe_b64decode
from typing import Any

import js
from pyodide.ffi import JsDoubleProxy, JsException, create_proxy, to_js

from agents_core.errors import InvalidCredentials, StorageError, Unsupported
from agents_core.nats.nkeys import KEY_BYTES, Seed, encode_public

ALGORITHM = "Ed25519"

PKCS8 = bytes.fromhex("302e020100300506032b657004220420")
"""What WebCrypto wants in front of the 32 bytes of a private key (RFC 8410)."""

DATABASE, STORE = "agents-core-nkeys", "keys"


class Key:
    """A private key that WebCrypto holds, a `Signer`. Make one with a class method.

    Attributes:
        public_key: the public half as an NKey, `U…`.
    """

    def __init__(self, private: js.CryptoKey, public_key: str) -> None:
        self._private = private
        self.public_key = public_key

    @classmethod
    async def generate(cls) -> Key:
        """A new user's key that nobody can read, gone with the page.

        Raises:
            Unsupported: there is no WebCrypto here, or it does not know Ed25519.
        """
        return await cls.of(await _generated())

    @classmethod
    async def kept(cls, name: str = "user") -> Key:
        """This browser's key of that name, the same in every tab and on every visit.

        It is made when it is first asked for, and kept in IndexedDB under the page's origin, where
        it can't be read either. The user may clear it, as all of a site's data.

        Raises:
            Unsupported: there is no WebCrypto here, or it does not know Ed25519.
            StorageError: the browser keeps nothing, as in some private windows.
        """
        _subtle()
        try:
            database = await _opened()
            try:
                pair = await _request(_store(database, "readonly").get(name))
                if pair is None:
                    pair = await _keep(database, name, await _generated())
            finally:
                database.close()
        except JsException as error:
            raise StorageError("IndexedDB", error.name) from None
        return await cls.of(pair)

    @classmethod
    async def of(cls, pair: js.CryptoKeyPair) -> Key:
        """A key that the page's JavaScript made or kept.

        Args:
            pair: a `CryptoKeyPair` of Ed25519, for signing; the private half need not be
                extractable.

        Raises:
            InvalidCredentials: it is of something else.
            Unsupported: there is no WebCrypto here.
        """
        raw = (await _subtle().exportKey("raw", pair.publicKey)).to_bytes()
        if len(raw) != KEY_BYTES:
            raise InvalidCredentials(f"a CryptoKeyPair is not of {ALGORITHM}")
        return cls(pair.privateKey, encode_public(raw))

    @classmethod
    async def from_seed(cls, seed: Seed) -> Key:
        """The key of a seed. Who got hold of the seed has the key, so prefer the others.

        Raises:
            Unsupported: there is no WebCrypto here, or it does not know Ed25519.
        """
        subtle, usages = _subtle(), to_js(["sign"])
        der = to_js(PKCS8 + seed.raw)
        try:
            # The public half can only be had from a key that may be exported.
            readable = await subtle.importKey("pkcs8", der, ALGORITHM, True, usages)
            encoded = (await subtle.exportKey("jwk", readable)).x
            private = await subtle.importKey("pkcs8", der, ALGORITHM, False, usages)
        except JsException as error:
            raise _unknown(error) from None
        raw = urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))
        return cls(private, encode_public(raw, seed.kind))

    async def sign(self, data: bytes) -> bytes:
        """See `Signer.sign`."""
        signature = await _subtle().sign(ALGORITHM, self._private, to_js(data))
        return signature.to_bytes()


def _subtle() -> js.SubtleCrypto:
    """WebCrypto; a page that came over plain http from another machine has none."""
    found: js.SubtleCrypto | None = getattr(js.crypto, "subtle", None)
    if found is None:
        instead = (
            "open the page over https:// or from localhost, or use a token, a cookie or a bearer"
            " JWT"
        )
        raise Unsupported("signing with an NKey on a page without a secure context", instead)
    return found


def _unknown(error: JsException) -> Unsupported:
    instead = "it takes Chrome 137, Firefox 129, Safari 17, or newer"
    return Unsupported(f"Ed25519 in this browser ({error.name})", instead)


async def _generated() -> js.CryptoKeyPair:
    try:
        return await _subtle().generateKey(ALGORITHM, False, to_js(["sign", "verify"]))
    except JsException as error:
        raise _unknown(error) from None


# -- IndexedDB: one request per transaction, as one ends when nobody has a request in it


async def _opened() -> js.IDBDatabase:
    request = js.indexedDB.open(DATABASE, 1)
    upgrade = create_proxy(lambda _: request.result.createObjectStore(STORE))
    request.onupgradeneeded = upgrade
    database: js.IDBDatabase = await _request(request, upgrade)
    return database


def _store(database: js.IDBDatabase, mode: str) -> js.IDBObjectStore:
    return database.transaction(STORE, mode).objectStore(STORE)


async def _keep(database: js.IDBDatabase, name: str, pair: js.CryptoKeyPair) -> js.CryptoKeyPair:
    """Keep it, unless another tab did so meanwhile: then that one."""
    try:
        await _request(_store(database, "readwrite").add(pair, name))
    except StorageError as error:
        if error.reason != "ConstraintError":
            raise
    found: js.CryptoKeyPair = await _request(_store(database, "readonly").get(name))
    return found


async def _request(request: js.IDBRequest, *proxies: JsDoubleProxy) -> Any:
    """Wait for what a request of IndexedDB gives.

    It can't be withdrawn: the proxies that it calls live until it has ended, whoever waits for it.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[str] = loop.create_future()

    def settled(event: js.Event) -> None:
        if not done.done():
            done.set_result(event.type)
        elif event.type == "success" and hasattr(request.result, "close"):
            request.result.close()  # a database that nobody waits for
        if event.type != "blocked":
            for one in (proxy, *proxies):
                loop.call_soon(one.destroy)  # one of them is what calls this

    proxy = create_proxy(settled)
    request.onsuccess = request.onerror = request.onblocked = proxy
    kind = await done
    if kind != "success":
        raise StorageError("IndexedDB", request.error.name if kind == "error" else kind)
    return request.result
