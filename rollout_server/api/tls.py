"""TLS for the gRPC port, from files that may be replaced while the server runs.

gRPC asks for the certificate at every handshake, on a thread of its own: a look at three files' times is cheap enough,
and streams that are open stay as they are. Files that are half replaced, or do not fit each other, change nothing.
"""

from __future__ import annotations

import ssl
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import grpc

from rollout_sdk.engine.problems import Problem
from rollout_server.api.certificate_expiry import expires_at_s
from rollout_server.errors import InvalidInput
from rollout_server.logs import get_logger

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files.

    Attributes:
        client_ca: authorities of client certificates; None asks clients for none.
    """

    cert: Path
    key: Path
    client_ca: Path | None = None

    @property
    def paths(self) -> tuple[Path, ...]:
        """All that are given."""
        return tuple(path for path in (self.cert, self.key, self.client_ca) if path is not None)


_Stamp = tuple[tuple[int, int, int], ...]


class Certificates:
    """The certificate in force, taken up anew when its files change."""

    def __init__(self, files: TlsFiles) -> None:
        """Read the files.

        Raises:
            InvalidInput: they cannot be read, or do not fit each other.
        """
        self._files = files
        self._guard = threading.Lock()
        self._stamp: _Stamp = ()
        self._tried: _Stamp = ()
        self._expires_at_s: int | None = None
        try:
            self._stamp = self._stamps()
            self._in_force = self._read()
        except (OSError, ValueError) as error:
            message = f"the certificate cannot be used: {_reason(error)}"
            hint = (
                "tls_cert is a PEM chain, server first; tls_key its unencrypted PEM key; tls_client_ca PEM authorities"
            )
            raise InvalidInput([Problem("", "tls_cert", "unusable_certificate", message, hint)]) from None
        self._tried = self._stamp

    @property
    def expires_at_s(self) -> int | None:
        """When the certificate in force expires, Unix time; None where that cannot be read."""
        return self._expires_at_s

    def credentials(self) -> grpc.ServerCredentials:
        """Return what a gRPC port is opened with."""
        return grpc.dynamic_ssl_server_credentials(
            self._in_force,
            self.fetch,
            require_client_authentication=self._files.client_ca is not None,
        )

    def fetch(self) -> grpc.ServerCertificateConfiguration:
        """Return what is in force for the next handshake; from any thread, and never raises."""
        with self._guard:
            try:
                stamp = self._stamps()
                if stamp not in {self._stamp, self._tried}:
                    self._tried = stamp
                    self._in_force = self._read()
                    self._stamp = stamp
                    get_logger().info("certificate reloaded", path=str(self._files.cert))
            except (OSError, ValueError) as error:
                get_logger().error(
                    "new certificate files cannot be used; the earlier certificate stays in force",
                    path=str(self._files.cert),
                    error_type=type(error).__name__,
                    hint="write certificate and key so that they fit each other; they are read again when they change",
                )
            return self._in_force

    def _stamps(self) -> _Stamp:
        seen = [path.stat() for path in self._files.paths]
        return tuple((stat.st_mtime_ns, stat.st_size, stat.st_ino) for stat in seen)

    def _read(self) -> grpc.ServerCertificateConfiguration:
        """Read and check the files; raises OSError or ValueError where a handshake would fail later."""
        before = self._stamps()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        # An encrypted key must not make the server ask a terminal for its password.
        context.load_cert_chain(self._files.cert, self._files.key, password=_no_password)
        if self._files.client_ca is not None:
            context.load_verify_locations(self._files.client_ca)
        pair = (self._files.key.read_bytes(), self._files.cert.read_bytes())
        client_ca = self._files.client_ca.read_bytes() if self._files.client_ca else None
        if self._stamps() != before:
            raise ValueError("the files changed while they were read")
        self._expires_at_s = expires_at_s(pair[1].decode("ascii", errors="replace"))
        return grpc.ssl_server_certificate_configuration([pair], client_ca)


def _no_password() -> bytes:
    raise ValueError("the key is encrypted")


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return "certificate and key are no PEM, or do not fit each other"
    return f"{error.filename}: {error.strerror}" if isinstance(error, OSError) and error.filename else str(error)
