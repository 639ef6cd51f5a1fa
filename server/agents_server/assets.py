"""The files that the HTTP app serves, ready to be sent."""

from __future__ import annotations

import gzip
import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import zstandard
from starlette.requests import Request
from starlette.responses import Response

from agents_server.disk import usable

TYPES = {
    ".bin": "application/octet-stream",
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".jpg": "image/jpeg",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".mjs": "text/javascript; charset=utf-8",
    ".png": "image/png",
    ".py": "text/x-python; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".wasm": "application/wasm",
    ".webp": "image/webp",
    ".whl": "application/zip",
    ".woff2": "font/woff2",
    ".zip": "application/zip",
}

PACKED = frozenset({".bin", ".css", ".html", ".json", ".mjs", ".py", ".svg", ".wasm"})
"""What gets smaller by packing; zip archives and wheels are compressed already."""

ZSTD_LEVEL = 19
"""The highest that keeps to the window of 8 MiB that browsers accept (RFC 9659)."""

PACKERS: Mapping[str, Callable[[bytes], bytes]] = {
    "zstd": lambda body: zstandard.compress(body, ZSTD_LEVEL),
    "gzip": lambda body: gzip.compress(body, 9, mtime=0),
}
"""By content coding, the best one first; browsers that lack it, or https, take the other."""

SEALED = frozenset({".html", ".js", ".mjs"})
"""What a browser runs under the policy in its headers: with another policy it is another file."""

IMMUTABLE = "public, max-age=31536000, immutable"
REVALIDATE = "no-cache"


@dataclass(frozen=True)
class Asset:
    """One file, in memory, ready to be sent.

    Attributes:
        body: its bytes.
        packed: the same by content coding, the smallest first; empty where that is no gain.
        type: its MIME type.
        tag: names its content, and the policy that comes with it where that matters.
        cache: its Cache-Control.
    """

    body: bytes
    packed: Mapping[str, bytes]
    type: str
    tag: str
    cache: str

    @classmethod
    def of(
        cls,
        body: bytes,
        suffix: str,
        cache: str,
        packed: Mapping[str, bytes] | None = None,
        policy: str = "",
    ) -> Asset:
        """Make one from its content."""
        digest = hashlib.sha256(body)
        if suffix in SEALED:
            digest.update(policy.encode())
        return cls(body, packed or {}, TYPES[suffix], digest.hexdigest()[:32], cache)

    @classmethod
    def packed_once(cls, path: Path, cache: str, store: Path) -> Asset:
        """Read a large file; its packed forms are kept in `store`, as making them takes seconds."""
        body = path.read_bytes()
        if path.suffix not in PACKED:
            return cls.of(body, path.suffix, cache)
        name = hashlib.sha256(body).hexdigest()
        packed = {}
        for coding, pack in PACKERS.items():
            kept = store / f"{name}.{coding}"
            if not kept.exists():
                with usable(store):
                    store.mkdir(parents=True, exist_ok=True)
                    temporary = kept.with_suffix(f".{os.getpid()}.tmp")
                    temporary.write_bytes(pack(body))
                    temporary.replace(kept)
            packed[coding] = kept.read_bytes()
        return cls.of(body, path.suffix, cache, packed)

    @property
    def etag(self) -> str:
        """Its ETag."""
        return f'"{self.tag}"'

    def response(self, request: Request) -> Response:
        """The answer to a GET or HEAD: 304 if the client has it, packed if it takes that."""
        headers = {"ETag": self.etag, "Cache-Control": self.cache}
        if self.packed:
            headers["Vary"] = "Accept-Encoding"
        known = request.headers.get("if-none-match", "")
        if self.etag in [tag.strip().removeprefix("W/") for tag in known.split(",")]:
            return Response(status_code=304, headers=headers)
        # For a progress bar: a client sees the unpacked bytes, but only the packed length.
        headers["X-Uncompressed-Length"] = str(len(self.body))
        body = self.body
        accepted = _accepted(request.headers.get("accept-encoding", ""))
        if coding := next((coding for coding in self.packed if coding in accepted), None):
            headers["Content-Encoding"] = coding
            body = self.packed[coding]
        return Response(body, headers=headers, media_type=self.type)


def _accepted(header: str) -> set[str]:
    """The content codings of an Accept-Encoding header, without those that it rules out."""
    parts = [part.partition(";q=") for part in header.replace(" ", "").split(",")]
    return {coding for coding, _, weight in parts if not weight or weight.strip("0.")}
