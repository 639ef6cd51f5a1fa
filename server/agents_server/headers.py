"""The security headers of every response."""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agents_core.errors import Unsupported
from agents_core.nats.servers import parse_url, public, split_urls

LOOPBACK = frozenset({"127.0.0.1", "localhost"})

OPEN = ("/simple", "/wheels/")
"""What pages of any origin may read: a JupyterLite or PyScript page installs from here."""


def origin(url: str) -> str:
    """Scheme, host and port of a URL."""
    found = urlsplit(url)
    return f"{found.scheme}://{found.netloc.rpartition('@')[2]}"


def servers(websocket: str) -> list[SplitResult]:
    """The NATS servers that pages may connect to, of a list with commas; none for `local://`.

    Raises:
        Unsupported: the scheme is not one that a browser has.
        TransportError: it is no URL of a server.
    """
    if websocket.startswith("local:"):
        return []
    found = [parse_url(text) for text in split_urls(websocket)]
    for url in found:
        if url.scheme not in {"ws", "wss"}:
            raise Unsupported(f"{public(url)} for pages", "give a ws:// or wss:// URL")
    return found


def policy(websocket: str, pyodide: str) -> str:
    """The Content-Security-Policy.

    Args:
        websocket: the NATS servers that the page may connect to, or `local://`.
        pyodide: where Pyodide's files are; a path, or a URL elsewhere.

    Raises:
        Unsupported, TransportError: see `servers`.
    """
    connect, script = ["'self'"], ["'self'", "'wasm-unsafe-eval'"]
    for found in servers(websocket):
        hosts = LOOPBACK if found.hostname in LOOPBACK else {found.hostname}
        port = f":{found.port}" if found.port else ""
        connect += sorted(f"{found.scheme}://{host}{port}" for host in hosts)
    if "://" in pyodide:
        connect.append(origin(pyodide))
        script.append(origin(pyodide))
    return "; ".join(
        (
            "default-src 'self'",
            f"script-src {' '.join(script)}",
            f"connect-src {' '.join(connect)}",
            "worker-src 'self'",
            "style-src 'self'",
            "img-src 'self' data:",
            "object-src 'none'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    )


class SecurityHeaders:
    """ASGI middleware that adds them.

    Args:
        app: what answers.
        policy: the Content-Security-Policy.
    """

    def __init__(self, app: ASGIApp, policy: str) -> None:
        self._app = app
        self._headers = {
            "Content-Security-Policy": policy,
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Embedder-Policy": "require-corp",
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as the app does, with the headers added."""
        is_open = scope["type"] == "http" and scope["path"].startswith(OPEN)

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(self._headers)
                headers["Cross-Origin-Resource-Policy"] = (
                    "cross-origin" if is_open else "same-origin"
                )
                if is_open:
                    headers["Access-Control-Allow-Origin"] = "*"
            await send(message)

        await self._app(scope, receive, with_headers)
