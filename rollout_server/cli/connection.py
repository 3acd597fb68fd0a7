"""One channel to one server. grpc is loaded on the first call, so that `rollout --help` never pays for it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TypeVar

from rollout_server.cli.failures import usage
from rollout_server.cli.target import Target, is_loopback
from rollout_server.cli.times import SECOND_MS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    import grpc

    from rollout_sdk.wire.v1.control_pb2_grpc import ControlServiceStub

_Q = TypeVar("_Q")
_A = TypeVar("_A")

CALL_TIMEOUT_MS = 10_000
DOCUMENTS_TIMEOUT_MS = 30_000
"""For a call that carries documents, up to 64 MiB of them."""

STREAM_TIMEOUT_MS = 3_600_000
_DETAIL_BYTES_MAX = 1 << 20  # some thousand problems; without asking, the server sends what fits into 6 KiB
_PATIENCE_MS = 2_000  # people wonder whether anything happens after about so long
_CONNECT_MS = 10_000
_SILENCE_MS = 20_000
_PONG_MS = 10_000
_RECEIVED_BYTES_MAX = 256 << 20  # a cohort of a million keys is about 20 MB as a document


class Connection:
    """Speaks to the control service; every failure becomes a `ServerRefused`.

    Args:
        target: where to go and with which token.
        waiting: is told what is waited for when an answer takes long.
        waited: is called when that wait is over.
        patience_ms: how long "long" is.
    """

    def __init__(
        self,
        target: Target,
        waiting: Callable[[str], None] = lambda _: None,
        waited: Callable[[], None] = lambda: None,
        *,
        patience_ms: int = _PATIENCE_MS,
    ) -> None:
        self.target = target
        self._waiting = waiting
        self._waited = waited
        self._patience_ms = patience_ms
        self._channel: grpc.Channel | None = None
        self._stub: ControlServiceStub | None = None

    @property
    def channel(self) -> grpc.Channel:
        """The channel, opened on first use."""
        if self._channel is None:
            # C-core's own log lines would mix with ours; what matters of them arrives as a status.
            os.environ.setdefault("GRPC_VERBOSITY", "NONE")
            self._channel = self._open()
        return self._channel

    @property
    def stub(self) -> ControlServiceStub:
        """The generated stub, over `channel`."""
        if self._stub is None:
            from rollout_sdk.wire.v1.control_pb2_grpc import ControlServiceStub

            self._stub = ControlServiceStub(self.channel)
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

        call = method.future(request, timeout=timeout_ms / SECOND_MS, metadata=self._metadata())
        try:
            return self._answer(call)
        except grpc.RpcError as error:
            raise refusal(error, self.target) from error
        finally:
            call.cancel()  # who was interrupted stops the server's work too; a call that ended stays as it is

    def ask_again(
        self, method: grpc.UnaryUnaryMultiCallable[_Q, _A], request: _Q, *, timeout_ms: int = CALL_TIMEOUT_MS
    ) -> _A:
        """Make a call that carries an idempotency key: repeated once when the connection broke under it.

        Raises:
            ServerRefused: as `ask`.
        """
        from rollout_server.cli.failures import ServerRefused

        try:
            return self.ask(method, request, timeout_ms=timeout_ms)
        except ServerRefused as refused:
            if refused.code != "unreachable":
                raise
            return self.ask(method, request, timeout_ms=timeout_ms)

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

    def send(self, method: grpc.StreamUnaryMultiCallable[_Q, _A], requests: Iterable[_Q]) -> _A:
        """Send requests as the server takes them, and return its one answer.

        Raises:
            ServerRefused: as `ask`.
        """
        import grpc

        from rollout_server.cli.refusals import refusal

        call = method.future(iter(requests), timeout=STREAM_TIMEOUT_MS / SECOND_MS, metadata=self._metadata())
        try:
            return self._answer(call)
        except grpc.RpcError as error:
            raise refusal(error, self.target) from error
        finally:
            call.cancel()

    def close(self) -> None:
        """Close the channel, if one was opened."""
        if self._channel is not None:
            self._channel.close()

    def _answer(self, call: grpc.Future[_A]) -> _A:
        import grpc

        try:
            return call.result(timeout=self._patience_ms / SECOND_MS)
        except grpc.FutureTimeoutError:
            self._waiting(f"waiting for the server at {self.target.server}")
        try:
            return call.result()
        finally:
            self._waited()

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
            # A server that takes connections and never speaks, and one that falls silent within a stream.
            ("grpc.min_reconnect_backoff_ms", _CONNECT_MS),
            ("grpc.keepalive_time_ms", _SILENCE_MS),
            ("grpc.keepalive_timeout_ms", _PONG_MS),
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
