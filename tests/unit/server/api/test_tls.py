"""TLS: wrong, expired and foreign certificates are refused; new ones are taken up while streams go on (S5)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest

from rollout_sdk.wire.v1 import control_pb2 as pb
from rollout_sdk.wire.v1 import control_pb2_grpc
from rollout_server.api.tls import Certificates, TlsFiles
from rollout_server.errors import InvalidInput
from rollout_server.main import Running
from tests.certificates import Authority, Signed
from tests.small_server import Person, Process, bearer, flag, serving


@asynccontextmanager
async def secure(data: Path, certificate: Signed, client_ca: bytes | None = None) -> AsyncIterator[Running]:
    async with serving(data, listen="localhost:0", **written(data, certificate, client_ca)) as running:
        yield running


def written(data: Path, certificate: Signed, client_ca: bytes | None) -> dict[str, Path]:
    """Write the files; return the settings that name them."""
    data.mkdir(exist_ok=True)
    cert, key = certificate.write(data)
    if client_ca is None:
        return {"tls_cert": cert, "tls_key": key}
    (data / "ca.pem").write_bytes(client_ca)
    return {"tls_cert": cert, "tls_key": key, "tls_client_ca": data / "ca.pem"}


async def outcome(address: str, root: bytes, token: str, mine: Signed | None = None) -> grpc.StatusCode:
    """Connect anew and ask for the status."""
    credentials = grpc.ssl_channel_credentials(root, mine.key if mine else None, mine.cert if mine else None)
    options = (("grpc.use_local_subchannel_pool", 1),)
    async with grpc.aio.secure_channel(address, credentials, options) as channel:
        try:
            stub = control_pb2_grpc.ControlServiceStub(channel)
            await stub.GetStatus(pb.GetStatusRequest(), metadata=bearer(token), timeout=20)
        except grpc.aio.AioRpcError as error:
            return error.code()
        return grpc.StatusCode.OK


async def test_only_the_right_authority_name_and_date_connect(tmp_path: Path) -> None:
    ca, other = Authority(), Authority("another authority")
    cases = {
        "right": (ca.sign(), ca.pem, grpc.StatusCode.OK),
        "another authority": (other.sign(), ca.pem, grpc.StatusCode.UNAVAILABLE),
        "another name": (ca.sign("elsewhere.example"), ca.pem, grpc.StatusCode.UNAVAILABLE),
        "expired": (ca.sign(days=-1), ca.pem, grpc.StatusCode.UNAVAILABLE),
    }
    for name, (certificate, root, wanted) in cases.items():
        async with secure(tmp_path / name, certificate) as running:
            assert await outcome(running.address, root, await running.token("viewer")) is wanted, name


async def test_plaintext_is_not_spoken_on_a_tls_port(tmp_path: Path) -> None:
    async with secure(tmp_path, Authority().sign()) as running, grpc.aio.insecure_channel(running.address) as channel:
        person = Person(channel, bearer(await running.token("viewer")))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await person.status()
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_with_a_client_authority_a_token_alone_does_not_connect(tmp_path: Path) -> None:
    """MTLS and tokens, both: a certificate alone does not either."""
    ca, clients, other = Authority(), Authority("clients"), Authority("others")
    async with secure(tmp_path, ca.sign(), clients.pem) as running:
        token = await running.token("viewer")
        wanted = {
            "no certificate": (None, token, grpc.StatusCode.UNAVAILABLE),
            "of another authority": (other.sign("me"), token, grpc.StatusCode.UNAVAILABLE),
            "expired": (clients.sign("me", days=-1), token, grpc.StatusCode.UNAVAILABLE),
            "right, without a token": (clients.sign("me"), "rg_none", grpc.StatusCode.PERMISSION_DENIED),
            "right": (clients.sign("me"), token, grpc.StatusCode.OK),
        }
        for name, (mine, secret, code) in wanted.items():
            assert await outcome(running.address, ca.pem, secret, mine) is code, name


async def test_a_rotation_under_load_drops_no_stream(tmp_path: Path) -> None:
    """New handshakes get the new certificate, open streams get every change."""
    old, new = Authority("old"), Authority("new")
    async with secure(tmp_path, old.sign()) as running:
        token, admin_token = await running.token("sdk"), await running.token("admin")
        credentials = grpc.ssl_channel_credentials(old.pem)
        async with grpc.aio.secure_channel(running.address, credentials) as channel:
            admin = Person(channel, bearer(admin_token))
            processes = [Process(channel, bearer(token)) for _ in range(20)]
            for process in processes:
                await process.connect()
                await process.next()
            for number in range(3):
                authority = (new, old, new)[number]
                authority.sign().write(tmp_path)
                assert await outcome(running.address, authority.pem, admin_token) is grpc.StatusCode.OK
                gone = new if authority is old else old
                assert await outcome(running.address, gone.pem, admin_token) is grpc.StatusCode.UNAVAILABLE
                applied = await admin.apply(flag(f"flag-{number}"))
                for process in processes:
                    await process.reach(applied.entry.revision)


def files(directory: Path, signed: Signed) -> TlsFiles:
    return TlsFiles(*signed.write(directory))


def test_files_that_do_not_fit_each_other_change_nothing(tmp_path: Path) -> None:
    """Half a rotation keeps the earlier certificate, and the whole one is taken up."""
    certificates = Certificates(files(tmp_path, Authority().sign()))
    first = certificates.fetch()
    assert certificates.fetch() is first
    later = Authority().sign()
    (tmp_path / "cert.pem").write_bytes(later.cert)
    assert certificates.fetch() is first
    (tmp_path / "cert.pem").unlink()
    assert certificates.fetch() is first
    later.write(tmp_path)
    assert certificates.fetch() is not first


@pytest.mark.parametrize("broken", ["absent", "no PEM", "of another key"])
def test_a_certificate_that_cannot_be_used_is_said_at_the_start(tmp_path: Path, broken: str) -> None:
    named = files(tmp_path, Authority().sign())
    match broken:
        case "absent":
            named.cert.unlink()
        case "no PEM":
            named.cert.write_bytes(b"nonsense")
        case _:
            named.key.write_bytes(Authority().sign().key)
    with pytest.raises(InvalidInput, match="certificate cannot be used"):
        Certificates(named)


def test_an_encrypted_key_asks_no_terminal(tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization

    signed = Authority().sign()
    key = serialization.load_pem_private_key(signed.key, None)
    sealed = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"pw")
    )
    with pytest.raises(InvalidInput, match="cannot be used"):
        Certificates(files(tmp_path, Signed(signed.cert, sealed)))
