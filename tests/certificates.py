"""Certificates for tests: an authority, and what it signs."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def _new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@dataclass
class Signed:
    """A certificate with its key, PEM."""

    cert: bytes
    key: bytes

    def write(self, directory: Path) -> tuple[Path, Path]:
        """Put both beside each other; return their paths."""
        cert, key = directory / "cert.pem", directory / "key.pem"
        key.write_bytes(self.key)
        cert.write_bytes(self.cert)
        return cert, key


@dataclass
class Authority:
    """Signs for names."""

    name: str = "test authority"
    key: ec.EllipticCurvePrivateKey = field(default_factory=_new_key)

    @property
    def pem(self) -> bytes:
        """Its own certificate."""
        return _pem(self._build(self.name, self.key, days=30, is_authority=True))

    def sign(self, name: str = "localhost", *, days: int = 1) -> Signed:
        """Return a certificate for a DNS name and 127.0.0.1; with negative days it expired so long ago."""
        key = _new_key()
        text = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return Signed(_pem(self._build(name, key, days=days, is_authority=False)), text)

    def _build(self, name: str, key: ec.EllipticCurvePrivateKey, *, days: int, is_authority: bool) -> x509.Certificate:
        now = dt.datetime.now(dt.UTC)
        names: list[x509.GeneralName] = [x509.DNSName(name.replace(" ", "-"))]
        if name == "localhost":
            names.append(x509.IPAddress(IPv4Address("127.0.0.1")))
        return (
            x509.CertificateBuilder()
            .subject_name(_named(name))
            .issuer_name(_named(self.name))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=30))
            .not_valid_after(now + dt.timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .sign(self.key, hashes.SHA256())
        )


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
