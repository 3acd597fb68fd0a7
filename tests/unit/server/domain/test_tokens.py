"""Tokens as text and as stored."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout_server.domain.resources import TokenSpec, TokenStatus
from rollout_server.domain.rights import Role
from rollout_server.domain.tokens import (
    ID_BYTES,
    LIFETIMES_MS,
    SECRET_BYTES,
    is_same,
    token_hash,
    token_id,
    token_text,
    why_fallen,
)

SPEC = TokenSpec(hash="", role="admin", person="mia", created_at_ms=0, expires_at_ms=1_000)
BITS = st.binary(min_size=SECRET_BYTES, max_size=SECRET_BYTES)
IDS = st.binary(min_size=ID_BYTES, max_size=ID_BYTES)


@given(IDS, BITS)
def test_a_token_shows_its_id_and_nothing_else_of_it_can_be_read_back(id_bits: bytes, secret_bits: bytes) -> None:
    """A token's text names its id, is one word, and matches its own hash alone."""
    text = token_text(id_bits, secret_bits)
    assert re.fullmatch(r"rg_[0-9a-f]{8}_[A-Za-z0-9]{43}", text)
    assert token_id(text) == id_bits.hex()
    assert is_same(text, token_hash(text))
    assert secret_bits.hex() not in token_hash(text)


@given(IDS, BITS, BITS)
def test_every_secret_bit_counts(id_bits: bytes, one: bytes, other: bytes) -> None:
    """Two secrets are two texts: no bit is lost on the way from 256 bits to letters."""
    assert (token_text(id_bits, one) == token_text(id_bits, other)) is (one == other)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "rg_",
        "rg_0a0a0a0a_",
        "Bearer rg_0a0a0a0a_" + "x" * 43,
        "rg_0A0A0A0A_" + "x" * 43,
        "rg_0a0a0a0a_" + "x" * 43 + "\n",
        "rg_0a0a0a0a_" + "é" * 43,
        "\ud800",
        "rg_0a0a0a0a_" + "x" * 100_000,
    ],
)
def test_what_is_no_token_names_no_id(text: str) -> None:
    """Text of any other form has no id, and is the same as nothing."""
    assert token_id(text) is None
    assert not is_same(text, token_hash("another"))


def test_an_unknown_id_is_never_the_same() -> None:
    """Not even the empty text is the same as no hash."""
    assert not is_same("", None)


def test_a_token_stands_until_it_expires_or_is_revoked() -> None:
    """The last millisecond counts, revocation at any time; revoked is told before expired."""
    assert why_fallen(SPEC, TokenStatus(), 999) == ""
    assert why_fallen(SPEC, TokenStatus(), 1_000) == "expired"
    assert why_fallen(SPEC, TokenStatus(revoked_at_ms=5), 3) == "revoked"
    assert why_fallen(SPEC, TokenStatus(revoked_at_ms=5), 2_000) == "revoked"


def test_every_role_has_a_lifetime() -> None:
    """No role lives forever, and none is forgotten."""
    assert set(LIFETIMES_MS) == set(Role)
    assert all(lifetime > 0 for lifetime in LIFETIMES_MS.values())
