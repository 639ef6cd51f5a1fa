"""The part of the browser that `agents_browser` uses; Pyodide's `js` module is the global scope."""

from collections.abc import Callable
from typing import Any, Protocol

from pyodide.ffi import JsProxy

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

class Console(Protocol):
    def debug(self, text: str) -> None: ...
    def info(self, text: str) -> None: ...
    def warn(self, text: str) -> None: ...
    def error(self, text: str) -> None: ...

class Global(Protocol):
    location: Location

console: Console
globalThis: Any  # noqa: N816
location: Location

def postMessage(data: object) -> None: ...  # noqa: N802
def addEventListener(name: str, listener: Callable[..., Any]) -> None: ...  # noqa: N802
