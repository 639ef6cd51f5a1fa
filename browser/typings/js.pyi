"""The part of the browser that `agents_browser` uses; Pyodide's `js` module is the global scope."""

from collections.abc import Callable
from typing import Any, Literal, Protocol, overload

from pyodide.ffi import JsProxy

class Navigator(Protocol):
    language: str

class Location(Protocol):
    hostname: str
    protocol: str

class ArrayBuffer(JsProxy):
    def to_bytes(self) -> bytes: ...

class MessageEvent(JsProxy):
    data: ArrayBuffer | str

class CloseEvent(JsProxy):
    code: int
    reason: str
    wasClean: bool  # noqa: N815

class WebSocket(JsProxy):
    binaryType: str  # noqa: N815
    bufferedAmount: int  # noqa: N815
    readyState: int  # noqa: N815
    onopen: object
    onmessage: object
    onclose: object
    @staticmethod
    def new(url: str) -> WebSocket: ...
    def send(self, data: object) -> None: ...
    def close(self, code: int = ..., reason: str = ...) -> None: ...

class MessagePort(JsProxy):
    onmessage: object

class CryptoKey(JsProxy): ...

class CryptoKeyPair(JsProxy):
    privateKey: CryptoKey  # noqa: N815
    publicKey: CryptoKey  # noqa: N815

class JsonWebKey(JsProxy):
    x: str

class SubtleCrypto(JsProxy):
    async def generateKey(  # noqa: N802
        self, algorithm: str, extractable: bool, usages: JsProxy
    ) -> CryptoKeyPair: ...
    async def importKey(  # noqa: N802
        self, format: str, data: JsProxy, algorithm: str, extractable: bool, usages: JsProxy
    ) -> CryptoKey: ...
    @overload
    async def exportKey(self, format: Literal["raw"], key: CryptoKey) -> ArrayBuffer: ...
    @overload
    async def exportKey(self, format: Literal["jwk"], key: CryptoKey) -> JsonWebKey: ...
    async def sign(self, algorithm: str, key: CryptoKey, data: JsProxy) -> ArrayBuffer: ...

class Crypto(JsProxy): ...

class DOMException(JsProxy):
    name: str

class Event(JsProxy):
    type: str

class IDBRequest(JsProxy):
    result: Any
    error: DOMException
    onsuccess: object
    onerror: object
    onblocked: object
    onupgradeneeded: object

class IDBObjectStore(JsProxy):
    def get(self, key: str) -> IDBRequest: ...
    def add(self, value: object, key: str) -> IDBRequest: ...

class IDBTransaction(JsProxy):
    def objectStore(self, name: str) -> IDBObjectStore: ...  # noqa: N802

class IDBDatabase(JsProxy):
    def transaction(self, name: str, mode: str) -> IDBTransaction: ...
    def close(self) -> None: ...

class IDBFactory(JsProxy):
    def open(self, name: str, version: int) -> IDBRequest: ...

class Console(Protocol):
    def debug(self, text: str) -> None: ...
    def info(self, text: str) -> None: ...
    def warn(self, text: str) -> None: ...
    def error(self, text: str) -> None: ...

class Performance(Protocol):
    def now(self) -> float: ...
    def measure(self, name: str, options: JsProxy) -> None: ...
    def clearMeasures(self, name: str) -> None: ...  # noqa: N802

class Object:
    fromEntries: Callable[..., object]  # noqa: N815

class Global(Protocol):
    location: Location

console: Console
performance: Performance
WebAssembly: JsProxy
crypto: Crypto
indexedDB: IDBFactory  # noqa: N816
globalThis: Any  # noqa: N816
location: Location
navigator: Navigator

def postMessage(data: object) -> None: ...  # noqa: N802
def addEventListener(name: str, listener: Callable[..., Any]) -> None: ...  # noqa: N802
def queueMicrotask(callback: object) -> None: ...  # noqa: N802
def setTimeout(callback: object, milliseconds: float) -> object: ...  # noqa: N802
def clearTimeout(timeout: object) -> None: ...  # noqa: N802
