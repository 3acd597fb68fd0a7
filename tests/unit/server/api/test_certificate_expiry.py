"""When a certificate expires, read from its bytes."""

from __future__ import annotations

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from rollout_server.api.certificate_expiry import expires_at_s
from tests.certificates import Authority

AUTHORITY = Authority()


@pytest.mark.parametrize("days", [1, -3, 20_000, 60_000])
def test_the_end_is_read_as_another_reader_reads_it(days: int) -> None:
    """In both of the forms that the standard has: two digits of the year before 2050, four after."""
    pem = AUTHORITY.sign(days=days).cert
    assert expires_at_s(pem.decode()) == int(x509.load_pem_x509_certificate(pem).not_valid_after_utc.timestamp())


def test_of_a_chain_the_first_counts() -> None:
    """The server's own: its authorities live longer."""
    pem = AUTHORITY.sign(days=1).cert
    assert expires_at_s((pem + AUTHORITY.pem).decode()) == expires_at_s(pem.decode())


@pytest.mark.parametrize("text", ["", "no certificate", "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----"])
def test_what_is_no_certificate_has_no_end(text: str) -> None:
    assert expires_at_s(text) is None


@given(st.data())
def test_damage_raises_nothing(data: st.DataObject) -> None:
    """It decides about a figure, never about the certificate."""
    lines = AUTHORITY.sign().cert.decode().splitlines()
    at = data.draw(st.integers(1, len(lines) - 2))
    lines[at] = data.draw(st.text("ABCDwxyz0189+/=", max_size=64))
    found = expires_at_s("\n".join(lines))
    assert found is None or isinstance(found, int)
