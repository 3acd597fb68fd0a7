"""When a certificate expires. The standard library tells this of a peer's certificate only, not of one's own.

    Certificate ::= SEQUENCE { tbs SEQUENCE { [0] version?, serial, algorithm, issuer, SEQUENCE { from, to } ...

Source: RFC 5280, sections 4.1 and 4.1.2.5.
"""

from __future__ import annotations

import re
import ssl
from datetime import UTC, datetime
from typing import Final, NamedTuple

_FIRST: Final = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)
_VERSION: Final = 0xA0
_SEQUENCE: Final = 0x30
_UTC_TIME: Final = 0x17
_GENERALIZED_TIME: Final = 0x18
_LONG: Final = 0x80
_UTC_TIME_CENTURY_FROM: Final = 50
_BEFORE_VALIDITY: Final = 3
"""Serial number, algorithm, issuer."""


class _Part(NamedTuple):
    tag: int
    body: bytes
    rest: bytes


def expires_at_s(pem: str) -> int | None:
    """Return when the first certificate of a PEM chain expires (Unix time), None where that cannot be read."""
    found = _FIRST.search(pem)
    if found is None:
        return None
    try:
        return _not_after(ssl.PEM_cert_to_DER_cert(found.group()))
    except (ValueError, IndexError):
        return None


def _not_after(der: bytes) -> int:
    fields = _inside(_inside(der))
    part = _next(fields)
    if part.tag == _VERSION:
        part = _next(part.rest)
    for _ in range(_BEFORE_VALIDITY):
        part = _next(part.rest)
    return _moment(_next(_next(part.body).rest))


def _moment(part: _Part) -> int:
    text = part.body.decode("ascii")
    if part.tag == _UTC_TIME:
        text = ("19" if int(text[:2]) >= _UTC_TIME_CENTURY_FROM else "20") + text
    elif part.tag != _GENERALIZED_TIME:
        raise ValueError("the validity holds no time")
    return int(datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC).timestamp())


def _inside(der: bytes) -> bytes:
    part = _next(der)
    if part.tag != _SEQUENCE:
        raise ValueError("not a sequence")
    return part.body


def _next(der: bytes) -> _Part:
    tag, length, start = der[0], der[1], 2
    if length >= _LONG:
        start += length - _LONG
        length = int.from_bytes(der[2:start], "big")
    if start + length > len(der):
        raise ValueError("cut off")
    return _Part(tag, der[start : start + length], der[start + length :])
