"""The door: every call of every service passes it, and comes in only by right.

Nothing of a call is read before its caller is known: requests are bytes here until the token was checked, so that who
has none can make this server neither parse nor hold what they send.
"""

from __future__ import annotations

import asyncio
import inspect
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

import grpc
from google.protobuf.message import DecodeError

from rollout_sdk.engine.problems import Problem
from rollout_sdk.wire.relaying import ADMITTED
from rollout_server.api.calls import Call, Caller, Calls
from rollout_server.api.error_map import DETAIL_KEY, Answer, accepted_detail_bytes, answer, bug
from rollout_server.app.tokens import authenticate
from rollout_server.domain.rights import allows, is_open, refusal
from rollout_server.errors import Forbidden, InvalidInput, RolloutError, Unavailable
from rollout_server.logs import get_logger, without_message

if TYPE_CHECKING:
    from rollout_server.api.metrics import Metrics
    from rollout_server.app.tokens import Keyring

MESSAGE_BYTES = 4 * 1024 * 1024
MESSAGE_BYTES_MAX = 64 * 1024 * 1024
LARGE = frozenset({"/rollout.v1.ControlService/Apply", "/rollout.v1.ControlService/Plan"})
"""Methods that take documents, and so messages of up to `MESSAGE_BYTES_MAX`."""

REQUEST_WITHIN_S = 30.0
"""How long a unary call may take to send its request."""

ANONYMOUS_WITHIN_S = 5.0
"""The same without a token: a health check is a few bytes."""

_QUIET = ("/grpc.health.v1.Health/",)
_HOW_TO_COME_IN = "send the metadata `authorization: Bearer rg_...`; `rollout token create` makes a token"

Context = grpc.aio.ServicerContext[Any, Any]
Metadata = tuple[tuple[str, str | bytes], ...]


class Door(grpc.aio.ServerInterceptor):
    """Authenticates, checks the right, bounds messages, translates refusals, logs and counts."""

    def __init__(self, environments: Mapping[str, Keyring], calls: Calls, metrics: Metrics) -> None:
        self._environments = environments
        self._calls = calls
        self._metrics = metrics
        self._doors: dict[str, grpc.RpcMethodHandler[Any, Any]] = {}

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """Put the door before the method that was asked for; one that does not exist is answered by gRPC itself."""
        name = handler_call_details.method
        if name not in self._doors:
            found = await continuation(handler_call_details)
            if found is None:
                return None
            method = _Method(name, found)
            # Requests are a stream, whatever the method is: only then does gRPC leave the reading to us. A single
            # answer is returned: so it leaves at once, with its status, before the streams that are to hear of it.
            serve = partial(self._serve, method)
            self._doors[name] = (
                grpc.stream_stream_rpc_method_handler(serve, response_serializer=method.serialise)
                if method.is_telling
                else grpc.stream_unary_rpc_method_handler(serve)
            )
        return self._doors[name]

    async def _serve(self, method: _Method, _requests: AsyncIterator[bytes], context: Context) -> bytes | None:
        started = time.monotonic()
        caller: Caller | None = None
        code, incident_id = "OK", None
        try:
            try:
                caller = self._admit(method.name, _metadata(context))
                with self._calls.under_way(caller, is_stream=method.is_stream) as call:
                    return await _answer(method, call, context)
            except RolloutError as error:
                await _abort(context, answer(error, accepted_detail_bytes(_metadata(context))))
            except grpc.aio.AbortError:
                raise
            except Exception as error:  # noqa: BLE001 - a bug of ours: an id for the caller, the place for the log
                incident_id = secrets.token_hex(6)
                get_logger().error("bug", method=method.name, incident_id=incident_id, **without_message(error))
                await _abort(context, bug(incident_id))
        except asyncio.CancelledError:
            code = "CANCELLED"
            raise
        except grpc.aio.AbortError:
            code = _code_name(context)
            raise
        finally:
            seconds = time.monotonic() - started
            self._metrics.answered(method.name, code, None if method.is_stream else seconds)
            _log_call(method.name, code, seconds, caller, context)

    def _admit(self, method: str, metadata: Metadata) -> Caller | None:
        """Find out who is calling and whether they may.

        Raises:
            Forbidden: they may not; the answer is the same whether what they ask for exists or not.
        """
        if is_open(method):
            return None
        try:
            caller = Caller(*authenticate(self._environments.values(), _bearer(metadata)))
            _check_right(caller, method, _text(metadata, "rollout-environment"))
        except Forbidden:
            self._metrics.denied()
            raise
        return caller


@dataclass(frozen=True, slots=True)
class _Method:
    """A method as its service registered it."""

    name: str
    handler: Any

    @property
    def is_stream(self) -> bool:
        return bool(self.handler.request_streaming or self.handler.response_streaming)

    @property
    def is_telling(self) -> bool:
        """Whether it answers with a stream."""
        return bool(self.handler.response_streaming)

    @property
    def bytes_max(self) -> int:
        return MESSAGE_BYTES_MAX if self.name in LARGE else MESSAGE_BYTES

    @property
    def behavior(self) -> Callable[[Any, Context], Any]:
        """What answers; a handler has exactly one of the four."""
        kinds = ("unary_unary", "unary_stream", "stream_unary", "stream_stream")
        found: Callable[[Any, Context], Any] = next(filter(None, (getattr(self.handler, kind) for kind in kinds)))
        return found

    def serialise(self, message: object) -> bytes:
        """Write an answer; one that is bytes already was written once for many."""
        if isinstance(message, bytes):
            return message
        written: bytes = self.handler.response_serializer(message)
        return written

    def parse(self, data: bytes) -> object:
        """Read a request.

        Raises:
            InvalidInput: too large, or no message of this method.
        """
        if len(data) > self.bytes_max:
            message = f"the message has {len(data)} bytes, and {self.name} takes {self.bytes_max}"
            raise InvalidInput([Problem("", "", "too_large", message, "send less in one call")])
        try:
            request: object = self.handler.request_deserializer(data)
            return request
        except DecodeError:
            message = f"this is no message that {self.name} takes"
            raise InvalidInput(
                [Problem("", "", "unreadable_message", message, "use a client of this release")]
            ) from None


def bearer_of(context: Context) -> str:
    """Return the token of a call that came through the door; for whoever passes it on."""
    return _bearer(_metadata(context))


def _check_right(caller: Caller, method: str, wanted: str) -> None:
    role = caller.actor.role
    if wanted not in {"", caller.environment.name}:
        raise Forbidden(f"this token does not open environment {wanted!r}", "use a token of that environment")
    if not allows(role, method):
        raise Forbidden(refusal(role, method), "use a token with such a role, or ask somebody who has one")


async def _answer(method: _Method, call: Call, context: Context) -> bytes | None:
    """Return the single answer as it is sent, or write those of a stream; or end the call as `call.cut` says."""
    try:
        if method.is_stream:
            # Before anything can be cut: gRPC cannot end a call whose first write, which would carry this, was
            # cancelled under way, and the client would wait for ever.
            await context.send_initial_metadata((ADMITTED,))
        request = _requests(method, context) if method.handler.request_streaming else await _request(method, context)
        answered = method.behavior(request, context)
        if inspect.isawaitable(answered):
            response = await answered
            return None if method.is_telling else method.serialise(response)
        async for response in answered:
            await context.write(response)
    except asyncio.CancelledError:
        if call.cut_by is None or call.task is None:
            raise
        call.task.uncancel()
        raise call.cut_by from None
    return None


async def _request(method: _Method, context: Context) -> object:
    within_s = ANONYMOUS_WITHIN_S if is_open(method.name) else REQUEST_WITHIN_S
    try:
        async with asyncio.timeout(within_s):
            data = await context.read()
    except TimeoutError:
        raise Unavailable("client", f"no request came within {within_s:.0f} s", "call again") from None
    if data is grpc.aio.EOF:
        raise InvalidInput([Problem("", "", "no_message", f"{method.name} needs a message, and none came")])
    return method.parse(data)


async def _requests(method: _Method, context: Context) -> AsyncIterator[object]:
    while (data := await context.read()) is not grpc.aio.EOF:
        yield method.parse(data)


async def _abort(context: Context, told: Answer) -> NoReturn:
    await context.abort(told.status, told.message, ((DETAIL_KEY, told.detail),))


def _metadata(context: Context) -> Metadata:
    return tuple((str(key), value) for key, value in context.invocation_metadata() or ())


def _text(metadata: Metadata, name: str) -> str:
    value = next((value for key, value in metadata if key == name), "")
    return value if isinstance(value, str) else ""


def _bearer(metadata: Metadata) -> str:
    """Return the token; raises Forbidden where there is none."""
    header = _text(metadata, "authorization")
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Forbidden("this call carries no token", _HOW_TO_COME_IN)
    return token.strip()


def _code_name(context: Context) -> str:
    """Name the status; the context gives it as the enumeration or as its number."""
    code: object = context.code()
    return next((known.name for known in grpc.StatusCode if code in {known, known.value[0]}), "UNKNOWN")


def _log_call(method: str, code: str, seconds: float, caller: Caller | None, context: Context) -> None:
    if code == "OK" and method.startswith(_QUIET):
        return
    get_logger().info(
        "call",
        method=method,
        code=code,
        duration_ms=round(seconds * 1_000, 1),
        environment=caller.environment.name if caller else None,
        token_id=caller.actor.token_id if caller else None,
        role=caller.actor.role.value if caller else None,
        peer=None if caller else context.peer(),
    )
