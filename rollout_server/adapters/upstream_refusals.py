"""What gRPC says of an upstream that cannot be followed, as what happened, and what to do next."""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING

import grpc

from rollout_sdk.engine.problems import Problem
from rollout_server.errors import Forbidden, InvalidInput, Unavailable

if TYPE_CHECKING:
    from pathlib import Path

    from rollout_server.errors import RolloutError

_REFUSALS = (grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNAUTHENTICATED)
_PREAMBLE = re.compile(r"^failed to connect to all addresses; last error: [A-Z_]+: ")
_AWAY_HINT = "see that it runs and can be reached from here; it is dialled again and again"


@dataclass(frozen=True, slots=True)
class UpstreamTls:
    """PEM files; read at each dial, so that renewed ones are taken up.

    Attributes:
        ca: authorities of the server's certificate; the system's unless given.
        cert, key: the relay's own.
    """

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None

    def credentials(self) -> grpc.ChannelCredentials:
        """Read the files.

        Raises:
            Unavailable: one cannot be read, is no PEM, or does not fit the other.
        """
        try:
            pem = _pem(self.ca), _pem(self.key), _pem(self.cert)
            self._check()
            return grpc.ssl_channel_credentials(*pem)
        except ssl.SSLError:
            named = " and ".join(str(path) for path in (self.ca, self.cert, self.key) if path is not None)
            what = f"{named}: what is in them is no PEM, or certificate and key do not fit each other"
            raise Unavailable("upstream", what, f"mend them; they are read again at the next dial. {_FILES}") from None
        except ValueError:
            what = f"{self.key}: the key is encrypted"
            raise Unavailable("upstream", what, "give a key without a password, readable by the relay alone") from None
        except OSError as error:
            what = f"{error.filename} cannot be read: {error.strerror}"
            raise Unavailable("upstream", what, "put it there; it is read again at the next dial") from None

    def _check(self) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if self.ca is not None:
            context.load_verify_locations(self.ca)
        if self.cert is not None:
            # An encrypted key must not make the relay ask a terminal for its password.
            context.load_cert_chain(self.cert, self.key, password=_no_password)


_FILES = "upstream_tls_ca holds authorities, upstream_tls_cert a chain, upstream_tls_key its unencrypted key"


def refusal(code: grpc.StatusCode, details: str | None, target: str, tls: UpstreamTls | None) -> RolloutError:
    """Return what a status of upstream means here.

    Args:
        code: of the call.
        details: as gRPC, or the server, put it.
        target: "host:port".
        tls: None where plaintext was spoken.
    """
    said = details or code.name
    if code in _REFUSALS:
        return Forbidden(f"{target} refuses: {said}", "check the token, and that it is of the right role")
    if code is grpc.StatusCode.INVALID_ARGUMENT:
        return InvalidInput([Problem("", "", "refused_upstream", said, "use an SDK and a relay of this release")])
    what, hint = _unreachable(said, target, tls)
    return Unavailable("upstream", what, hint)


def _unreachable(said: str, target: str, tls: UpstreamTls | None) -> tuple[str, str]:
    if tls is not None and (found := _distrusted(said, target, tls)):
        return found
    if not _PREAMBLE.match(said) or "Socket closed" not in said:
        return f"{target} is away: {_PREAMBLE.sub('', said)}", _AWAY_HINT
    what = f"{target} ended the connection before a word was said"
    if tls is None:
        return what, "it may speak TLS: give upstream_tls_ca, or upstream_tls where this system knows the authority"
    if tls.cert is None:
        return what, "it may ask for a certificate: give upstream_tls_cert and upstream_tls_key"
    return what, f"{tls.cert} may have expired, or may be of no authority in the tls_client_ca of the server there"


def _distrusted(said: str, target: str, tls: UpstreamTls) -> tuple[str, str] | None:
    """Return why there is no trust between the two, where that is why."""
    host = target.rpartition(":")[0]
    if "Hostname Verification" in said:
        hint = "give a name that is in it (subjectAltName) as upstream, or the server there a certificate with this one"
        return f"the certificate of {target} does not name {host}", hint
    if "WRONG_VERSION_NUMBER" in said:
        hint = "is it the right port? if it is to be so, take out upstream_tls*; off this machine set upstream_insecure"
        return f"{target} speaks no TLS", hint
    if "CERTIFICATE_VERIFY_FAILED" not in said:
        return None
    if "expired" in said:
        return f"the certificate of {target} has expired", "renew it there; nothing is to be done at this relay"
    if "not yet valid" in said:
        return f"the certificate of {target} is not valid yet", "compare the clocks of both machines"
    authority = f"an authority in {tls.ca}" if tls.ca is not None else "an authority that this system knows"
    hint = "name the authority that signed it in upstream_tls_ca, if this is the server that is meant"
    return f"the certificate of {target} was not signed by {authority}", hint


def _pem(path: Path | None) -> bytes | None:
    return None if path is None else path.read_bytes()


def _no_password() -> bytes:
    raise ValueError("the key is encrypted")
