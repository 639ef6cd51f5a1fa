"""NKeys: how NATS writes Ed25519 keys. The signing itself is the platform's.

A key is base32 without padding of a prefix, 32 bytes and a CRC-16; the prefix makes the first
letter say what it is: `U…` a user, `A…` an account, `O…` an operator, `S…` a seed.
"""

from __future__ import annotations

from base64 import b32decode, b32encode
from binascii import crc_hqx
from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import Protocol

from agents_core.errors import InvalidCredentials

ACCOUNT, OPERATOR, USER = 0, 14 << 3, 20 << 3
SEED = 18 << 3

KEY_BYTES = 32
SEED_CHARACTERS = 58


class Signer(Protocol):
    """A private key that signs; it may be out of Python's reach, as a browser's `CryptoKey` is."""

    @property
    def public_key(self) -> str:
        """The public half as an NKey, `U…`."""
        ...

    def sign(self, data: bytes) -> bytes | Awaitable[bytes]:
        """The Ed25519 signature, 64 bytes."""
        ...


@dataclass(frozen=True, slots=True)
class Seed:
    """A private key, with whose it is.

    Attributes:
        raw: the 32 bytes of the Ed25519 seed.
        kind: `USER`, `ACCOUNT` or `OPERATOR`.
    """

    raw: bytes = field(repr=False)
    kind: int = USER

    def encode(self) -> str:
        """As text, `SU…` for a user."""
        return _encode(bytes((SEED | self.kind >> 5, (self.kind & 31) << 3)) + self.raw)


def encode_public(raw: bytes, kind: int = USER) -> str:
    """A public key of 32 bytes as text, `U…` for a user."""
    return _encode(bytes((kind,)) + raw)


def decode_seed(text: str) -> Seed:
    """Read a seed, `SU…`, `SA…` or `SO…`.

    Raises:
        InvalidCredentials: it is none; the text is not repeated, as it may be one with a slip.
    """
    if len(text) != SEED_CHARACTERS:
        raise InvalidCredentials(f"an NKey seed has {SEED_CHARACTERS} characters, not {len(text)}")
    try:
        data = b32decode(text + "=" * (-len(text) % 8))
    except ValueError:
        raise InvalidCredentials("an NKey seed is of the letters A-Z and 2-7") from None
    body = data[:-2]
    if _encode(body) != text:
        raise InvalidCredentials("the NKey seed's checksum is wrong")
    kind = (body[0] & 7) << 5 | body[1] >> 3
    if body[0] & 0xF8 != SEED or kind not in {ACCOUNT, OPERATOR, USER}:
        raise InvalidCredentials("an NKey seed begins with SU, SA or SO")
    return Seed(body[2:], kind)


def _encode(body: bytes) -> str:
    data = body + crc_hqx(body, 0).to_bytes(2, "little")
    return b32encode(data).decode().rstrip("=")
