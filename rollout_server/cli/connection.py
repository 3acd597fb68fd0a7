"""One channel to one server. grpc is loaded on the first call, so that `rollout --help` never pays for it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TypeVar

from rollout_server.cli.failures import usage
from rollout_server.cli.target import Target, is_loopback
from rollout_server.cli.times import SECOND_MS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    import grpc

    from rollout_sdk.wire.v1.control_pb2_grpc import ControlServiceStub

_Q = TypeVar("_Q")
_A = TypeVar("_A")

CALL_TIMEOUT_MS = 15_000
STREAM_TIMEOUT_MS = 3_600_000
_DETAIL_BYTES_MAX = 1 << 20  # some thousand problems; without asking, the server sends what fits into 6 KiB
_RECEIVED_BYTES_MAX = 256 << 20  # a cohort of a million keys is about 20 MB as a document


class Connection:
    """Speaks to the control service; every failure becomes a `ServerRefused`.

    Args:
        target: where to go and with which token.
    """

    def __init__(self, target: Target) -> None:
        self.target = target
        self._channel: grpc.Channel | None = None
        self._stub: ControlServiceStub | None = None

    @property
    def stub(self) -> ControlServiceStub:
        """The generated stub, over a channel that is opened now."""
        if self._stub is None:
            # C-core's own log lines would mix with ours; what matters of them arrives as a status.
            os.environ.setdefault("GRPC_VERBOSITY", "NONE")
            from rollout_sdk.wire.v1.control_pb2_grpc import ControlServiceStub

            self._channel = self._open()
            self._stub = ControlServiceStub(self._channel)
        return self._stub

    def ask(
        self, method: grpc.UnaryUnaryMultiCallable[_Q, _A], request: _Q, *, timeout_ms: int = CALL_TIMEOUT_MS
    ) -> _A:
        """Make one call.

        Raises:
            ServerRefused: the server said no, or could not be reached in time.
        """
        import grpc

        from rollout_server.cli.refusals import refusal

        try:
            return method(request, timeout=timeout_ms / SECOND_MS, metadata=self._metadata())
        except grpc.RpcError as error:
            raise refusal(error, self.target) from error

    def ask_again(self, method: grpc.UnaryUnaryMultiCallable[_Q, _A], request: _Q) -> _A:
        """Make a call that carries an idempotency key: repeated once when the connection broke under it.

        Raises:
            ServerRefused: as `ask`.
        """
        from rollout_server.cli.failures import ServerRefused

        try:
            return self.ask(method, request)
        except ServerRefused as refused:
            if refused.code != "unreachable":
                raise
            return self.ask(method, request)

    def receive(self, method: grpc.UnaryStreamMultiCallable[_Q, _A], request: _Q) -> Iterator[_A]:
        """Yield the answers of a streaming call.

        Raises:
            ServerRefused: as `ask`.
        """
        yield from self._drain(method(request, timeout=STREAM_TIMEOUT_MS / SECOND_MS, metadata=self._metadata()))

    def exchange(self, method: grpc.StreamStreamMultiCallable[_Q, _A], requests: Iterable[_Q]) -> Iterator[_A]:
        """Send requests as the server takes them, and yield its answers.

        Raises:
            ServerRefused: as `ask`.
        """
        call = method(iter(requests), timeout=STREAM_TIMEOUT_MS / SECOND_MS, metadata=self._metadata())
        yield from self._drain(call)

    def close(self) -> None:
        """Close the channel, if one was opened."""
        if self._channel is not None:
            self._channel.close()

    def _drain(self, call: grpc._CallIterator[_A]) -> Iterator[_A]:
        import grpc

        from rollout_server.cli.refusals import refusal

        try:
            yield from call
        except grpc.RpcError as error:
            raise refusal(error, self.target) from error
        finally:
            call.cancel()  # whoever stops listening stops the server's work too

    def _metadata(self) -> tuple[tuple[str, str], ...]:
        pairs = [("rollout-error-bytes", str(_DETAIL_BYTES_MAX))]
        if self.target.token:
            pairs.append(("authorization", f"Bearer {self.target.token}"))
        if self.target.environment:
            pairs.append(("rollout-environment", self.target.environment))
        return tuple(pairs)

    def _open(self) -> grpc.Channel:
        import grpc

        options: list[tuple[str, int]] = [
            ("grpc.max_receive_message_length", _RECEIVED_BYTES_MAX),
            # base64 and the rest of the metadata come on top
            ("grpc.max_metadata_size", 2 * _DETAIL_BYTES_MAX),
            ("grpc.absolute_max_metadata_size", 2 * _DETAIL_BYTES_MAX),
        ]
        if is_loopback(self.target.server):
            options.append(("grpc.enable_http_proxy", 0))
        if not self.target.is_secure:
            return grpc.insecure_channel(self.target.server, options=options)
        credentials = grpc.ssl_channel_credentials(
            root_certificates=_pem(self.target.ca),
            private_key=_pem(self.target.key),
            certificate_chain=_pem(self.target.cert),
        )
        return grpc.secure_channel(self.target.server, credentials, options=options)


def _pem(path: Path | None) -> bytes | None:
    if path is None:
        return None
    try:
        return path.read_bytes()
    except OSError as error:
        raise usage(f"the PEM file {path} cannot be read: {error.strerror}") from error
