"""What people read of an upstream that cannot be followed, as gRPC says it on a real line."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography.hazmat.primitives import serialization

from rollout_sdk.wire.relaying import Tokens
from rollout_server.adapters.grpc_upstream import GrpcUpstream, UpstreamAddress
from rollout_server.adapters.upstream_refusals import UpstreamTls, refusal
from rollout_server.errors import Forbidden, InvalidInput, Unavailable
from tests.certificates import Authority, Signed
from tests.contract.test_upstream import say
from tests.small_server import free_port, serving

CA, OTHER, CLIENTS = Authority(), Authority("another authority"), Authority("clients")


@dataclass
class Line:
    """Between a relay and a server."""

    address: str
    token: str
    directory: Path

    async def follow(self, tls: UpstreamTls | None) -> object:
        """Return the first that is heard."""
        upstream = GrpcUpstream(UpstreamAddress(self.address, self.token, tls, is_local=True))
        try:
            async with aclosing(upstream.watch("eu", None, say())) as told:  # type: ignore[type-var]
                return await anext(told)
        finally:
            await upstream.close()

    async def refused(self, tls: UpstreamTls | None) -> tuple[str, str]:
        with pytest.raises(Unavailable) as error:
            await self.follow(tls)
        return str(error.value), error.value.hint

    def file(self, name: str, content: bytes) -> Path:
        path = self.directory / name
        path.write_bytes(content)
        return path

    def pair(self, name: str, signed: Signed) -> tuple[Path, Path]:
        return self.file(f"{name}.pem", signed.cert), self.file(f"{name}.key", signed.key)


@asynccontextmanager
async def line_to(directory: Path, certificate: Signed | None, client_ca: bytes | None = None) -> AsyncIterator[Line]:
    """A real server, with TLS or without."""
    directory.mkdir(exist_ok=True)  # noqa: ASYNC240 - of this test alone
    options: dict[str, Any] = {}
    if certificate is not None:
        options["tls_cert"], options["tls_key"] = certificate.write(directory)
    if client_ca is not None:
        options["tls_client_ca"] = directory / "clients.pem"
        options["tls_client_ca"].write_bytes(client_ca)
    async with serving(directory / "data", listen="localhost:0", **options) as running:
        yield Line(running.address, await running.token("relay"), directory)


async def test_distrust_of_the_server_names_its_reason(tmp_path: Path) -> None:
    """Another authority, another name, a certificate that is over, no TLS at all: each with what mends it."""
    cases: list[tuple[Signed | None, bytes | None, str, str]] = [
        (CA.sign(), OTHER.pem, "was not signed by an authority in ", "upstream_tls_ca"),
        (CA.sign(), None, "was not signed by an authority that this system knows", "upstream_tls_ca"),
        (CA.sign("elsewhere.example"), CA.pem, "does not name localhost", "subjectAltName"),
        (CA.sign(days=-1), CA.pem, "has expired", "renew it there"),
        (None, CA.pem, "speaks no TLS", "upstream_insecure"),
    ]
    for number, (certificate, ca, words, cure) in enumerate(cases):
        async with line_to(tmp_path / str(number), certificate) as line:
            tls = UpstreamTls(None if ca is None else line.file("ca.pem", ca))
            what, hint = await line.refused(tls)
            assert words in what
            assert line.address in what
            assert cure in hint
            assert "SSL" not in what


async def test_plaintext_to_a_server_that_speaks_tls(tmp_path: Path) -> None:
    async with line_to(tmp_path, CA.sign()) as line:
        what, hint = await line.refused(None)
        assert "ended the connection" in what
        assert "upstream_tls_ca" in hint


async def test_a_certificate_that_is_asked_for(tmp_path: Path) -> None:
    """None, one of another authority, one that is over, the right one."""
    async with line_to(tmp_path, CA.sign(), CLIENTS.pem) as line:
        ca = line.file("ca.pem", CA.pem)
        what, hint = await line.refused(UpstreamTls(ca))
        assert "ended the connection" in what
        assert "upstream_tls_cert and upstream_tls_key" in hint
        for name, signed in (("other", OTHER.sign("me")), ("over", CLIENTS.sign("me", days=-1))):
            what, hint = await line.refused(UpstreamTls(ca, *line.pair(name, signed)))
            assert "ended the connection" in what
            assert f"{name}.pem may have expired" in hint
        assert isinstance(await line.follow(UpstreamTls(ca, *line.pair("me", CLIENTS.sign("me")))), Tokens)


async def test_files_that_cannot_be_used_are_named_before_anything_is_dialled(tmp_path: Path) -> None:
    """Missing, no PEM, halves of two pairs, an encrypted key; read again at the next dial, so they can be mended."""
    line = Line(f"127.0.0.1:{free_port()}", "rg_x", tmp_path)
    one, two = line.pair("one", CA.sign()), line.pair("two", CA.sign())
    key = serialization.load_pem_private_key(CA.sign().key, None)
    sealed = serialization.BestAvailableEncryption(b"pw")
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    encrypted = line.file("encrypted.key", key.private_bytes(pem, pkcs8, sealed))
    junk, ca = line.file("junk.pem", b"junk"), line.file("ca.pem", CA.pem)
    cases = [
        (UpstreamTls(tmp_path / "gone.pem"), "gone.pem cannot be read"),
        (UpstreamTls(junk), "junk.pem: what is in them is no PEM"),
        (UpstreamTls(ca, one[0], two[1]), "do not fit each other"),
        (UpstreamTls(ca, one[0], encrypted), "the key is encrypted"),
    ]
    for tls, words in cases:
        what, hint = await line.refused(tls)
        assert words in what
        assert hint


def test_what_is_no_matter_of_tls_keeps_its_reason() -> None:
    """A server that is away, one that refuses the token, and one that does not understand."""
    lost = "failed to connect to all addresses; last error: UNKNOWN: ipv4:127.0.0.1:1: Connection refused"
    for tls in (None, UpstreamTls()):
        found = refusal(grpc.StatusCode.UNAVAILABLE, lost, "far:1", tls)
        assert str(found) == "far:1 is away: ipv4:127.0.0.1:1: Connection refused"
        assert "dialled again" in found.hint
        assert isinstance(found, Unavailable)
    cut = refusal(grpc.StatusCode.UNAVAILABLE, "Socket closed", "far:1", UpstreamTls())
    assert str(cut) == "far:1 is away: Socket closed"
    assert isinstance(refusal(grpc.StatusCode.PERMISSION_DENIED, None, "far:1", None), Forbidden)
    assert isinstance(refusal(grpc.StatusCode.INVALID_ARGUMENT, "what", "far:1", None), InvalidInput)
