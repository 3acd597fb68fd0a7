"""gRPC's errors, turned into what happened, where, and what to do next. Needs grpc: import it late."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, cast

import grpc

from rollout_sdk.engine.problems import Problem
from rollout_sdk.wire.v1 import control_pb2
from rollout_server.cli.failures import Exit, ServerRefused

if TYPE_CHECKING:
    from rollout_server.cli.target import Target

DETAIL_KEY = "rollout-error-bin"

_EXITS = {
    grpc.StatusCode.ABORTED: Exit.CONFLICT,
    grpc.StatusCode.PERMISSION_DENIED: Exit.NOT_ALLOWED,
    grpc.StatusCode.UNAUTHENTICATED: Exit.NOT_ALLOWED,
    grpc.StatusCode.UNAVAILABLE: Exit.UNREACHABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED: Exit.UNREACHABLE,
}
_NEXT = {
    grpc.StatusCode.ABORTED: "look at what changed (rollout history), then repeat the command",
    grpc.StatusCode.PERMISSION_DENIED: "use a token of this environment whose role may do this",
    grpc.StatusCode.UNAUTHENTICATED: "give a token: --token-file FILE, ROLLOUT_TOKEN, or rollout context set",
    grpc.StatusCode.UNIMPLEMENTED: "the server is older than this command line, or no Rollout Guard server; upgrade it",
    grpc.StatusCode.RESOURCE_EXHAUSTED: "send less at once, or wait a little",
}

_PREAMBLE = re.compile(r"failed to connect to all addresses; last error: [A-Z_]+: ")
_HANDSHAKES = (
    (True, "certificate has expired", "the server's certificate has expired: have it renewed there"),
    (True, "Hostname Verification", "its certificate names other hosts: give one of those with --server"),
    (True, "CERTIFICATE_VERIFY_FAILED", "name the authority that signed the server's certificate: --tls-ca FILE"),
    (True, "WRONG_VERSION_NUMBER", "the server speaks no TLS; leave out the --tls options, or use --allow-plaintext"),
    (True, "Socket closed", "the server may want a certificate of this client: --tls-cert FILE --tls-key FILE"),
    (False, "Socket closed", "the server may speak TLS: --tls, or --tls-ca FILE for an authority of your own"),
)
"""Whether TLS was spoken, a word of gRPC's reason, and what to do."""


def refusal(error: grpc.RpcError, target: Target) -> ServerRefused:
    """Return what a failed call means to the person who typed the command.

    Args:
        error: as raised by a call; it carries a status and, from our server, an `ErrorDetail`.
        target: where the call went.
    """
    call = cast("grpc.Call", error)  # what a client raises is both, and its stubs do not say so
    status = call.code()
    text = call.details() or ""
    detail = _detail(call)
    if detail is None and status in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}:
        return _unreachable(status, text, target)
    if status in {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN} or (detail is not None and detail.incident_id):
        return _bug(text, detail, target)
    problems = [
        Problem(item.resource, item.path, item.code, item.message, item.hint, item.origin)
        for item in (detail.problems if detail else ())
    ]
    what = text or f"the server at {target.server} refused ({status.name.lower()})"
    return ServerRefused(
        what,
        (detail.hint if detail else "") or _NEXT.get(status, ""),
        code=detail.code if detail else "",
        problems=problems,
        exit_code=_EXITS.get(status, Exit.FAILED),
    )


def _detail(call: grpc.Call) -> control_pb2.ErrorDetail | None:
    for key, value in call.trailing_metadata() or ():
        if key == DETAIL_KEY and isinstance(value, bytes):
            try:
                return control_pb2.ErrorDetail.FromString(value)
            except ValueError:  # DecodeError is one; a proxy in between may send anything
                return None
    return None


def _unreachable(status: grpc.StatusCode, text: str, target: Target) -> ServerRefused:
    if status is grpc.StatusCode.DEADLINE_EXCEEDED:
        what = f"the server at {target.server} did not answer in time"
    else:
        what = f"the server at {target.server} cannot be reached"
    scheme = "TLS" if target.is_secure else "plaintext"
    # gRPC tells its own steps before what the system said, which is what somebody can act on.
    reason = _PREAMBLE.sub("", text.strip().splitlines()[0]) if text.strip() else "no reason given"
    known = (hint for secure, word, hint in _HANDSHAKES if secure is target.is_secure and word in text)
    return ServerRefused(
        what,
        next(known, f"check that it runs and that this machine may reach it: rollout doctor --server {target.server}"),
        code="unreachable",
        details=(f"{scheme}: {reason}",),
        exit_code=Exit.UNREACHABLE,
    )


def _bug(text: str, detail: control_pb2.ErrorDetail | None, target: Target) -> ServerRefused:
    incident = detail.incident_id if detail else ""
    named = f" (incident {incident})" if incident else ""
    return ServerRefused(
        f"the server at {target.server} met a bug{named}: {text or 'no detail'}",
        f"find {incident} in the server's log, and report it"
        if incident
        else "look into the server's log, and report it",
        code="internal",
    )
