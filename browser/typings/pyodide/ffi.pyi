"""The part of `pyodide.ffi` that `agents_browser` and the tests use."""

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

class JsProxy: ...

class JsException(Exception, JsProxy):
    name: str
    message: str

class JsDoubleProxy(JsProxy):
    callPromising: Any  # noqa: N815

    def destroy(self) -> None: ...

def create_proxy(obj: Callable[..., object]) -> JsDoubleProxy: ...
def to_js(obj: object, *, dict_converter: Callable[..., object] | None = None) -> JsProxy: ...
def run_sync(coroutine: Coroutine[Any, Any, T]) -> T: ...
