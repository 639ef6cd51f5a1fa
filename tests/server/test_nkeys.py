"""Signing natively; what every platform's signer does is in tests/core/nats/test_nkeys.py."""

from __future__ import annotations

import sys

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from agents_core.errors import Unsupported
from agents_core.nats.nkeys import Seed
from agents_server.nkeys import Key


def test_others_can_verify_what_it_signs() -> None:
    seed = Seed(bytes(range(32)))
    key = Key(seed)
    signature = key.sign(b"nonce")
    public = key._private.public_key().public_bytes_raw()
    Ed25519PublicKey.from_public_bytes(public).verify(signature, b"nonce")
    assert seed.raw.hex() not in repr(key.__dict__)


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.asymmetric", None)
    with pytest.raises(Unsupported, match=r"pip install 'agents-core\[server\]'"):
        Key(Seed(bytes(32)))
