"""The files that the HTTP app serves, ready to be sent."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".json": "application/json",
    ".mjs": "text/javascript; charset=utf-8",
    ".py": "text/x-python; charset=utf-8",
    ".svg": "image/svg+xml",
    ".wasm": "application/wasm",
    ".whl": "application/zip",
    ".zip": "application/zip",
}

PACKED = frozenset({".css", ".html", ".json", ".mjs", ".py", ".svg", ".wasm"})
"""What gets smaller by gzip; zip archives and wheels are compressed already."""

IMMUTABLE = "public, max-age=31536000, immutable"
REVALIDATE = "no-cache"


@dataclass(frozen=True)
class Asset:
    """One file, in memory, ready to be sent.

    Attributes:
        body: its bytes.
        packed: the same, gzipped; empty where that is no gain.
        type: its MIME type.
        etag: of its content.
        cache: its Cache-Control.
    """

    body: bytes
    packed: bytes
    type: str
    etag: str
    cache: str

    @classmethod
    def of(cls, body: bytes, suffix: str, cache: str, packed: bytes = b"") -> Asset:
        """Make one from its content."""
        etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
        return cls(body, packed, TYPES[suffix], etag, cache)

    @classmethod
    def packed_once(cls, path: Path, cache: str, store: Path) -> Asset:
        """Read a large file; its gzipped form is kept in `store`, as making it takes seconds."""
        body = path.read_bytes()
        if path.suffix not in PACKED:
            return cls.of(body, path.suffix, cache)
        kept = store / f"{hashlib.sha256(body).hexdigest()}.gz"
        if not kept.exists():
            store.mkdir(parents=True, exist_ok=True)
            temporary = kept.with_suffix(".tmp")
            temporary.write_bytes(gzip.compress(body, 9, mtime=0))
            temporary.replace(kept)
        return cls.of(body, path.suffix, cache, kept.read_bytes())

    def response(self, request: Request) -> Response:
        """The answer to a GET or HEAD: 304 if the client has it, gzipped if it takes that."""
        headers = {"ETag": self.etag, "Cache-Control": self.cache}
        if self.packed:
            headers["Vary"] = "Accept-Encoding"
        known = request.headers.get("if-none-match", "")
        if self.etag in [tag.strip().removeprefix("W/") for tag in known.split(",")]:
            return Response(status_code=304, headers=headers)
        # For a progress bar: a client sees the unpacked bytes, but only the packed length.
        headers["X-Uncompressed-Length"] = str(len(self.body))
        body = self.body
        if self.packed and "gzip" in request.headers.get("accept-encoding", ""):
            headers["Content-Encoding"] = "gzip"
            body = self.packed
        return Response(body, headers=headers, media_type=self.type)
