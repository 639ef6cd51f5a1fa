"""Byte pipes over TCP and TLS."""

from __future__ import annotations

import asyncio
import ssl
from urllib.parse import SplitResult

from agents_core.errors import TransportError, Unsupported
from agents_core.nats.servers import PORTS, public
from agents_core.nats.transport import TLS


def context_of(tls: TLS) -> ssl.SSLContext:
    """The user's context, or the system's default with verification on.

    Raises:
        Unsupported: the user's is something else.
    """
    if tls.context is None:
        return ssl.create_default_context()
    if not isinstance(tls.context, ssl.SSLContext):
        raise Unsupported(f"tls={type(tls.context).__name__}", "give an ssl.SSLContext")
    return tls.context


async def dial(url: SplitResult, protocol: asyncio.Protocol, tls: TLS) -> asyncio.Transport:
    """Connect to `nats://` or `tls://`; TLS begins here only with `handshake_first`."""
    first = tls.handshake_first
    try:
        transport, _ = await asyncio.get_running_loop().create_connection(
            lambda: protocol,
            url.hostname or "",
            url.port or PORTS[url.scheme],
            ssl=context_of(tls) if first else None,
            server_hostname=(tls.hostname or url.hostname) if first else None,
        )
    except (OSError, ValueError) as error:  # the latter for a host that can't be a name
        raise TransportError(public(url), reason(error)) from error
    return transport


async def start_tls(
    transport: asyncio.Transport, protocol: asyncio.Protocol, url: SplitResult, tls: TLS
) -> asyncio.Transport:
    """Upgrade after INFO."""
    try:
        upgraded = await asyncio.get_running_loop().start_tls(
            transport, protocol, context_of(tls), server_hostname=tls.hostname or url.hostname
        )
    except (OSError, ValueError) as error:  # as above
        raise TransportError(public(url), reason(error)) from error
    if upgraded is None:
        raise TransportError(public(url), "the connection was lost during the TLS handshake")
    return upgraded


def reason(error: Exception) -> str:
    """The system's words without numbers and addresses: the URL is named already."""
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, BrokenPipeError | ConnectionResetError):
        return "the server closed the connection"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate verify failed: {error.verify_message}"
    if isinstance(error, ssl.SSLError) and error.reason:
        return f"TLS: {error.reason.lower().replace('_', ' ')}"
    if isinstance(error, UnicodeError):  # of the codec for names, whose words are about itself
        return "the host is no name that can be looked up"
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or repr(error)
