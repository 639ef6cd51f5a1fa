"""NKeys as text: the documentation's key, every slip of the pen, and the platform's signatures."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents_core import platform
from agents_core.errors import InvalidCredentials
from agents_core.nats.nkeys import (
    ACCOUNT,
    OPERATOR,
    SEED_CHARACTERS,
    USER,
    Seed,
    decode_seed,
    encode_public,
)
from tests.core.nats.credentials import PUBLIC, SEED

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"


@given(st.binary(min_size=32, max_size=32), st.sampled_from([ACCOUNT, OPERATOR, USER]))
def test_seeds_come_back(raw: bytes, kind: int) -> None:
    text = Seed(raw, kind).encode()
    assert len(text) == SEED_CHARACTERS
    assert text[:2] == {ACCOUNT: "SA", OPERATOR: "SO", USER: "SU"}[kind]
    assert decode_seed(text) == Seed(raw, kind)
    assert encode_public(raw, kind)[0] == text[1]


@given(st.integers(0, SEED_CHARACTERS - 1), st.sampled_from(ALPHABET))
def test_every_slip_is_noticed(place: int, letter: str) -> None:
    slip = SEED[:place] + letter + SEED[place + 1 :]
    if slip != SEED:
        with pytest.raises(InvalidCredentials):
            decode_seed(slip)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "has 58 characters, not 0"),
        (SEED[:-1], "has 58 characters, not 57"),
        (SEED.lower(), "letters A-Z and 2-7"),
        (SEED[:-1] + "é", "letters A-Z and 2-7"),
        (SEED[:-1] + "=", "letters A-Z and 2-7"),
        (Seed(bytes(32), 2 << 3).encode(), "begins with SU, SA or SO"),  # a cluster's
        ("SU" + "A" * 56, "checksum"),
        (PUBLIC + "AA", "checksum"),
    ],
)
def test_what_is_no_seed(text: str, reason: str) -> None:
    with pytest.raises(InvalidCredentials, match=reason) as caught:
        decode_seed(text)
    assert not text or text not in str(caught.value)


def test_a_seed_is_not_shown() -> None:
    assert repr(Seed(b"secret" * 5 + b"!!")) == f"Seed(kind={USER})"


async def test_the_platform_signs() -> None:
    """RFC 8032, 7.1: the second test; and the key of NATS' documentation."""
    raw = bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
    public = bytes.fromhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")
    signer = await platform.current().signer(Seed(raw))
    assert signer.public_key == encode_public(public)
    signed = signer.sign(bytes.fromhex("72"))
    assert (signed if isinstance(signed, bytes) else await signed) == bytes.fromhex(
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
    )
    assert (await platform.current().signer(decode_seed(SEED))).public_key == PUBLIC
    assert (await platform.current().signer(Seed(raw, ACCOUNT))).public_key[0] == "A"
