"""Scopes as tokens."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout_sdk import carry
from rollout_sdk.attribution import STRATUM_CHARS, Attribution, Place
from rollout_sdk.engine.model import PPM, Arm

KEYS = st.text("abcdefghij-._0123456789", min_size=1, max_size=128)
NUMBERS = st.integers(0, (1 << 32) - 1)
STRATA = st.text(st.characters(exclude_categories=["Cs"]), max_size=STRATUM_CHARS)
ATTRIBUTIONS = st.builds(
    Attribution,
    st.builds(Place, KEYS, NUMBERS, NUMBERS, st.integers(0, PPM), st.sampled_from(Arm)),
    STRATA,
    st.integers(0, (1 << 64) - 1),
)
ONE = Attribution(Place("checkout-v2-launch", 3, 12, 250_000, Arm.CANDIDATE), "", 1 << 63)


@given(st.lists(ATTRIBUTIONS, max_size=carry.ENTRIES_MAX))
def test_reading_undoes_writing(attributions: list[Attribution]) -> None:
    """Whatever was decided."""
    assert carry.read(carry.write(attributions)) == tuple(attributions)


def test_a_token_is_short_and_fits_anywhere() -> None:
    """Letters, digits, - and _ only."""
    token = carry.write([ONE])
    assert len(token) < 64
    assert token.replace("-", "a").replace("_", "a").isalnum()


def test_a_token_never_grows_without_bound() -> None:
    """What does not fit is left out."""
    assert carry.read(carry.write([ONE] * 99)) == (ONE,) * carry.ENTRIES_MAX


@given(st.one_of(st.text(max_size=80), st.binary(max_size=60).map(lambda data: urlsafe_b64encode(data).decode())))
def test_anything_else_is_refused_and_nothing_more(token: str) -> None:
    """A token comes from a queue, so from anywhere."""
    try:
        carry.read(token)
    except carry.BadToken:
        return


@given(st.binary(max_size=60))
def test_entries_of_a_forger_are_read_or_refused(entries: bytes) -> None:
    """The checksum guards against accidents; what it covers is not trusted either."""
    body = bytes([carry.VERSION]) + entries
    token = urlsafe_b64encode(body + crc32(body).to_bytes(4)).decode()
    try:
        found = carry.read(token)
    except carry.BadToken:
        return
    assert carry.read(carry.write(found)) == found


@pytest.mark.parametrize("cut", range(1, 20))
def test_a_cut_token_is_refused(cut: int) -> None:
    """It says nothing rather than something else."""
    with pytest.raises(carry.BadToken):
        carry.read(carry.write([ONE])[:-cut])


def test_a_token_of_a_later_release_is_refused() -> None:
    """Its version says so."""
    data = bytearray(urlsafe_b64decode(carry.write([]) + "=="))[:-4]
    data[0] = 2
    token = urlsafe_b64encode(bytes(data) + crc32(data).to_bytes(4)).decode()
    with pytest.raises(carry.BadToken, match="version 2"):
        carry.read(token)
