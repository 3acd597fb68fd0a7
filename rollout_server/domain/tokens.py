"""Tokens as text and as stored: written, hashed, compared, and how long they live. The random bits come from outside.

A token reads `rg_<id>_<secret>`: the id is visible in lists and in the audit log, the secret is 256 random bits. What
is stored is SHA-256 of the whole text. A slow hash would protect nothing more at 256 bits, and would be a door for
whoever wants to keep this server busy.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from types import MappingProxyType
from typing import TYPE_CHECKING

from rollout_server.domain.rights import Role

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rollout_server.domain.resources import TokenSpec, TokenStatus

SECRET_BYTES = 32
ID_BYTES = 4

_DAY_MS = 86_400_000
LIFETIME_MAX_MS = 1_830 * _DAY_MS

LIFETIMES_MS: Mapping[Role, int] = MappingProxyType(
    {
        # What serves traffic must not fall silent over a forgotten date; doctor warns a month before.
        Role.SDK: 730 * _DAY_MS,
        Role.RELAY: 730 * _DAY_MS,
        Role.VIEWER: 90 * _DAY_MS,
        Role.AUTHOR: 90 * _DAY_MS,
        Role.OPERATOR: 90 * _DAY_MS,
        Role.APPROVER: 90 * _DAY_MS,
        Role.ADMIN: 90 * _DAY_MS,
    }
)
"""How long a token lives unless its maker says otherwise."""

_TEXT = re.compile(r"rg_([0-9a-f]{8})_([A-Za-z0-9]{32,64})", re.ASCII)
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_NO_HASH = hashlib.sha256(b"").hexdigest()


def token_text(id_bits: bytes, secret_bits: bytes) -> str:
    """Write a token: letters and digits only, so that a double click selects all of it.

    Args:
        id_bits: `ID_BYTES` random bytes.
        secret_bits: `SECRET_BYTES` random bytes.
    """
    number = int.from_bytes(secret_bits)
    digits = []
    for _ in range(43):  # 62^43 > 2^256
        number, digit = divmod(number, len(_DIGITS))
        digits.append(_DIGITS[digit])
    return f"rg_{id_bits.hex()}_{''.join(digits)}"


def token_id(text: str) -> str | None:
    """Return the visible id inside a token's text, or None where the text is no token."""
    match = _TEXT.fullmatch(text)
    return match.group(1) if match else None


def token_hash(text: str) -> str:
    """Return what is stored of a token: SHA-256 of its text, lowercase hex."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def is_same(text: str, stored_hash: str | None) -> bool:
    """Compare in constant time; None, for an unknown id, takes as long as a wrong secret and is never the same."""
    same = hmac.compare_digest(token_hash(text).encode(), (stored_hash or _NO_HASH).encode())
    return same and stored_hash is not None


def why_fallen(spec: TokenSpec, status: TokenStatus, now_ms: int) -> str:
    """Say why the token no longer opens anything: "revoked", "expired"; empty while it stands."""
    if status.revoked_at_ms:
        return "revoked"
    return "expired" if now_ms >= spec.expires_at_ms else ""
