"""The client over TLS and mTLS, with certificates made for the test."""

from __future__ import annotations

import datetime as dt
import ipaddress
import logging
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from rollout_sdk import Client, Context, Settings
from tests.doubles.delivery_server import DeliveryServer, record, update
from tests.small_rules import boolean, position

WAIT_S = 20
USER = Context("u")
A1 = record(boolean("a"), 1)


@dataclass
class Identity:
    """A certificate and its key, as objects and as files."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    certificate_path: Path
    key_path: Path


def identity(directory: Path, name: str, issuer: Identity | None = None) -> Identity:
    """Make a certificate for 127.0.0.1; without an issuer it is an authority that signs itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .sign(issuer.key if issuer else key, hashes.SHA256())
    )
    paths = directory / f"{name}.pem", directory / f"{name}-key.pem"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return Identity(certificate, key, *paths)


@pytest.fixture
def authority(tmp_path: Path) -> Identity:
    return identity(tmp_path, "authority")


@pytest.fixture
def credentials(tmp_path: Path, authority: Identity) -> grpc.ServerCredentials:
    """A server that wants the client's certificate too."""
    server = identity(tmp_path, "server", authority)
    return grpc.ssl_server_credentials(
        [(server.key_path.read_bytes(), server.certificate_path.read_bytes())],
        root_certificates=authority.certificate_path.read_bytes(),
        require_client_auth=True,
    )


def hasty(target: str, *, ca: Path, certificate: Identity | None) -> Settings:
    return Settings(
        target,
        token="rg_secret",
        tls_ca=str(ca),
        tls_cert=str(certificate.certificate_path) if certificate else "",
        tls_key=str(certificate.key_path) if certificate else "",
        backoff_base_ms=1,
        backoff_max_ms=5,
    )


def test_rules_arrive_over_mtls(tmp_path: Path, authority: Identity, credentials: grpc.ServerCredentials) -> None:
    """Both sides know each other, and the token travels inside."""
    mine = identity(tmp_path, "mine", authority)
    with (
        DeliveryServer(credentials=credentials) as server,
        Client.of(hasty(server.target, ca=authority.certificate_path, certificate=mine)) as client,
    ):
        stream = server.stream()
        stream.hello()
        assert stream.metadata["authorization"] == "Bearer rg_secret"
        stream.send(update(position(1), [A1]))
        stream.acknowledged()
        assert client.enabled("a", USER)


@pytest.mark.parametrize("what", ["another authority", "no certificate", "no such file"])
def test_a_stranger_is_not_talked_to(
    what: str,
    tmp_path: Path,
    authority: Identity,
    credentials: grpc.ServerCredentials,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The client goes on deciding, says why once, and dials again: a missing file may appear."""
    mine = identity(tmp_path, "mine", authority)
    ca = {"another authority": identity(tmp_path, "other").certificate_path, "no such file": tmp_path / "gone"}
    caplog.set_level(logging.WARNING, "rollout_sdk")
    with DeliveryServer(credentials=credentials) as server:
        settings = hasty(
            server.target,
            ca=ca.get(what, authority.certificate_path),
            certificate=None if what == "no certificate" else mine,
        )
        with Client.of(settings) as client:
            deadline = time.monotonic() + WAIT_S
            while not caplog.messages:
                assert time.monotonic() < deadline
                threading.Event().wait(0.005)
            assert client.enabled("a", USER, default=True) is True
            assert not client.status().connected
    assert "rg_secret" not in caplog.text
