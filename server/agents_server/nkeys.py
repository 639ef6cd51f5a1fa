"""NKeys that sign, by the `cryptography` package."""

from __future__ import annotations

from agents_core.errors import Unsupported
from agents_core.nats.nkeys import Seed, encode_public


class Key:
    """The key of a seed, a `Signer`.

    Raises:
        Unsupported: the package is not installed.
    """

    def __init__(self, seed: Seed) -> None:
        try:
            from cryptography.hazmat.primitives.asymmetric import ed25519  # noqa: PLC0415
        except ImportError:
            instead = "pip install 'agents-core[server]', or give signature_cb or signer"
            raise Unsupported("signing with an NKey, without cryptography,", instead) from None
        self._private = ed25519.Ed25519PrivateKey.from_private_bytes(seed.raw)
        self.public_key = encode_public(self._private.public_key().public_bytes_raw(), seed.kind)

    def sign(self, data: bytes) -> bytes:
        """See `Signer.sign`."""
        return self._private.sign(data)
