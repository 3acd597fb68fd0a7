"""A scope as a short token, for a task queue or another service: runs, allocations, arms; no key of any unit.

    base64url( version, entries, CRC-32 of both )
    entry = rollout, run, allocation, reach_ppm, arm, stratum, unit hash (8 bytes)

Texts are UTF-8 behind their length, numbers are varints. A token is about 60 characters for one rollout.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import TYPE_CHECKING, Final
from zlib import crc32

from rollout_sdk.attribution import STRATUM_CHARS, Attribution, Place
from rollout_sdk.engine.model import PPM, Arm

if TYPE_CHECKING:
    from collections.abc import Iterable

VERSION: Final = 1
ENTRIES_MAX: Final = 32
TOKEN_CHARS_MAX: Final = 8_192
_KEY_BYTES_MAX: Final = 128
_NUMBER_MAX: Final = (1 << 32) - 1
_VARINT_BITS: Final = 7
_CRC_BYTES: Final = 4
_UNIT_BYTES: Final = 8
_ARMS: Final = (Arm.CANDIDATE, Arm.CONTROL)


class BadToken(ValueError):
    """This was not made by `write`; says what is wrong with it."""


def write(attributions: Iterable[Attribution]) -> str:
    """Return the token; of more than 32 attributions the first 32."""
    data = bytearray([VERSION])
    for place, stratum, unit in list(attributions)[:ENTRIES_MAX]:
        _write_text(data, place.rollout)
        for number in (place.run, place.allocation, place.reach_ppm, _ARMS.index(place.arm)):
            _write_number(data, number)
        _write_text(data, stratum)
        data += unit.to_bytes(_UNIT_BYTES)
    data += crc32(data).to_bytes(_CRC_BYTES)
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def read(token: str) -> tuple[Attribution, ...]:
    """Return what a token says.

    Raises:
        BadToken: it is cut, changed, too long, or of a later release.
    """
    if type(token) is not str or not token.isascii() or len(token) > TOKEN_CHARS_MAX:
        raise BadToken("a token is ASCII text of at most 8192 characters")
    try:
        data = urlsafe_b64decode(token + "=" * (-len(token) % 4))
    except ValueError:
        raise BadToken("the token is not base64url") from None
    body, crc = data[:-_CRC_BYTES], data[-_CRC_BYTES:]
    if len(data) <= _CRC_BYTES or crc32(body).to_bytes(_CRC_BYTES) != crc:
        raise BadToken("the token is cut or changed")
    if body[0] != VERSION:
        raise BadToken(f"the token is of version {body[0]}, this release reads {VERSION}")
    reader = _Reader(body[1:])
    found: list[Attribution] = []
    while reader.is_left:
        if len(found) == ENTRIES_MAX:
            raise BadToken(f"the token has more than {ENTRIES_MAX} entries")
        found.append(_read_entry(reader))
    return tuple(found)


def _read_entry(reader: _Reader) -> Attribution:
    rollout = reader.text(_KEY_BYTES_MAX)
    run, allocation, reach_ppm, arm = (reader.number() for _ in range(4))
    stratum = reader.text(4 * STRATUM_CHARS)
    unit = int.from_bytes(reader.take(_UNIT_BYTES))
    if arm >= len(_ARMS) or reach_ppm > PPM:
        raise BadToken("the token names no arm there is")
    return Attribution(Place(rollout, run, allocation, reach_ppm, _ARMS[arm]), stratum, unit)


def _write_text(data: bytearray, text: str) -> None:
    encoded = text.encode()
    _write_number(data, len(encoded))
    data += encoded


def _write_number(data: bytearray, number: int) -> None:
    while number >= 1 << _VARINT_BITS:
        data.append(number & 0x7F | 0x80)
        number >>= _VARINT_BITS
    data.append(number)


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def is_left(self) -> bool:
        return self._at < len(self._data)

    def take(self, count: int) -> bytes:
        taken = self._data[self._at : self._at + count]
        if len(taken) < count:
            raise BadToken("the token ends in the middle of an entry")
        self._at += count
        return taken

    def number(self) -> int:
        number, shift = 0, 0
        while True:
            (byte,) = self.take(1)
            number |= (byte & 0x7F) << shift
            if number > _NUMBER_MAX:
                raise BadToken("the token holds a number that is too large")
            if byte < 1 << _VARINT_BITS:
                return number
            shift += _VARINT_BITS

    def text(self, bytes_max: int) -> str:
        length = self.number()
        if length > bytes_max:
            raise BadToken("the token holds a text that is too long")
        try:
            return self.take(length).decode()
        except UnicodeDecodeError:
            raise BadToken("the token holds a text that is not UTF-8") from None
