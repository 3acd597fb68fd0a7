"""The client: what a caller holds."""

from __future__ import annotations

import os
import threading
import weakref
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn, Self

from rollout_sdk.engine.context import EMPTY, Context, as_context
from rollout_sdk.engine.model import ValueType
from rollout_sdk.errors import Corrupt
from rollout_sdk.lazy_context import LazyContext
from rollout_sdk.runtime import Runtime
from rollout_sdk.scope import Scope
from rollout_sdk.settings import DEFAULT_TARGET, Settings

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Event
    from collections.abc import Callable
    from types import TracebackType

    from rollout_sdk.engine.asking import Now
    from rollout_sdk.engine.model import Decision, Json
    from rollout_sdk.front import OnDecision
    from rollout_sdk.notify import OnChange, OnStatus
    from rollout_sdk.status import Status

if TYPE_CHECKING:

    class _Asking:
        """`engine.asking.Asking` with the types of callers who mean well."""

        _now: Now

        def __init__(self, now: Now) -> None: ...

        def enabled(self, flag: str, context: Context, default: bool = False) -> bool:  # noqa: FBT001, FBT002 - the shape of every such call
            """Return what a boolean flag serves, or `default`. Never raises, never waits."""

        def decide(self, flag: str, context: Context, default: Json = None) -> Decision:
            """Return what a flag of any type serves, and why."""

else:
    from rollout_sdk.engine.asking import Asking as _Asking

# Names of this module, not of the class: one look-up less in every decision.
_STRING, _INTEGER, _FLOAT, _JSON = (
    ValueType.STRING,
    ValueType.INTEGER,
    ValueType.FLOAT,
    ValueType.JSON,
)

CLOSE_TIMEOUT_S = 1.0


class Client(_Asking):
    """Decides flags in this process; a thread keeps the rules up to date.

    Making one never waits for the network. Until a server answers, decisions come from the snapshot on disk (`stale`)
    or, without one, are the caller's defaults (reason `NOT_READY`). One client for each process is plenty; it may be
    used from any thread, from asyncio, and on both sides of a fork.
    """

    def __init__(  # noqa: PLR0913 - each is a setting that callers give by name
        self,
        target: str = DEFAULT_TARGET,
        *,
        token: str | None = None,
        service: str = "",
        tls: bool = False,
        tls_ca: str | os.PathLike[str] = "",
        tls_cert: str | os.PathLike[str] = "",
        tls_key: str | os.PathLike[str] = "",
        allow_plaintext: bool = False,
        snapshot_path: str | os.PathLike[str] = "",
        overrides_path: str | os.PathLike[str] = "",
    ) -> None:
        """Start. The arguments are those of `Settings`.

        Raises:
            InvalidSettings: they contradict each other, or would send the token unencrypted to another machine.
        """
        settings = Settings(
            target=target,
            token=token,
            service=service,
            tls=tls,
            tls_ca=os.fspath(tls_ca),
            tls_cert=os.fspath(tls_cert),
            tls_key=os.fspath(tls_key),
            allow_plaintext=allow_plaintext,
            snapshot_path=os.fspath(snapshot_path),
            overrides_path=os.fspath(overrides_path),
        )
        runtime = Runtime(settings)
        self._hold(runtime)
        runtime.start()

    def _hold(self, runtime: Runtime) -> None:
        """Every constructor ends here."""
        super().__init__(runtime.front.now)
        self._runtime = runtime
        self._front = runtime.front
        weakref.finalize(self, _close_soon, runtime).atexit = False  # the end of the process is `lifecycle`'s

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Start with settings made before: all of them, patience included."""
        client, runtime = cls.__new__(cls), Runtime(settings)
        client._hold(runtime)  # noqa: SLF001 - a constructor
        runtime.start()
        return client

    @classmethod
    def from_env(cls) -> Self:
        """Start with what ROLLOUT_SERVER, ROLLOUT_TOKEN, ROLLOUT_SERVICE, ROLLOUT_SNAPSHOT, ROLLOUT_OVERRIDES say.

        Encryption: ROLLOUT_TLS, ROLLOUT_TLS_CA, ROLLOUT_TLS_CERT, ROLLOUT_TLS_KEY, ROLLOUT_ALLOW_PLAINTEXT.

        Raises:
            InvalidSettings: a variable cannot be used.
        """
        return cls.of(Settings.from_env(os.environ))

    @classmethod
    def offline(cls, source: str | os.PathLike[str] | bytes) -> Self:
        """Decide by a ruleset file (`rollout export`) for good, without a server and without threads.

        Args:
            source: path of the file, or what it holds.

        Raises:
            OSError: it cannot be read.
            Corrupt: it is not such a file, or damaged.
        """
        from pathlib import Path

        from rollout_sdk.cache import Cache
        from rollout_sdk.shelf import monotonic_s
        from rollout_sdk.wire.records import WireError
        from rollout_sdk.wire.snapshot import unpack

        where = "the ruleset given" if isinstance(source, bytes) else os.fspath(source)
        data = source if isinstance(source, bytes) else Path(source).read_bytes()
        try:
            snapshot = unpack(data)
            held = Cache().load(snapshot)
        except WireError as error:
            raise Corrupt(where, str(error), "write it anew with `rollout export`") from None
        client, runtime = cls.__new__(cls), Runtime(Settings())
        client._hold(runtime)  # noqa: SLF001 - a constructor
        runtime.serve_offline(held, monotonic_s(snapshot.saved_at_ms))
        return client

    # ------------------------------------------------------------------------------------------------------ decisions

    def string(self, flag: str, context: Context, default: str = "") -> str:
        """Return what a string flag serves, or `default`."""
        return self._now.decider.decide(flag, context, default, _STRING).value  # type: ignore[return-value] # the engine serves the type asked for

    def integer(self, flag: str, context: Context, default: int = 0) -> int:
        """Return what an integer flag serves, or `default`."""
        return self._now.decider.decide(flag, context, default, _INTEGER).value  # type: ignore[return-value] # as above

    def number(self, flag: str, context: Context, default: float = 0.0) -> float:
        """Return what a float flag (or an integer flag) serves as a float, or `default`."""
        return self._now.decider.decide(flag, context, default, _FLOAT).value  # type: ignore[return-value] # as above

    def json(self, flag: str, context: Context, default: Json = None) -> Json:
        """Return what a json flag serves, a copy of the caller's own, or `default`."""
        return self._now.decider.decide(flag, context, default, _JSON).value

    def decide_all(self, context: Context) -> dict[str, Decision]:
        """Return what every flag serves. Looking at all of them exposes nobody."""
        return self._now.decider.decide_all(context)

    # ------------------------------------------------------------------------------------------------------- outcomes

    def scope(self, context: Context | Callable[[], Context | None]) -> Scope:
        """Return a scope, for `with`: what is recorded in it belongs to exactly the flags decided in it.

        `with client.scope(user) as scope: ... scope.enabled("checkout-v2") ... scope.record("checkout.latency", 0.118)`

        Args:
            context: whom it is for, or a function that returns it, called once, by the first decision that needs it.
        """
        return Scope(self, self._runtime.counting, _given(context))

    def resume(self, token: str, context: Context | Callable[[], Context | None] = EMPTY) -> Scope:
        """Go on in the scope that `Scope.carry` wrote down, in another process or later.

        Args:
            token: what `carry` returned. One that cannot be read is counted as lost, and the scope begins empty.
            context: for decisions made in it, or a function that returns it, as for `scope`.
        """
        return Scope(self, self._runtime.counting, _given(context), self._runtime.counting.read_token(token))

    def record(self, metric: str, context: Context, value: object = True) -> None:  # noqa: FBT002 - true is what happened
        """Count an outcome of a context. Never raises, never waits for the network.

        Inside a scope of the same units it is the scope's. Outside, the arms are worked out again by the rules in
        force; where they may have changed since the decision (within the metric's `late`), it counts as unattributed.

        Args:
            metric: key of a metric of the catalogue.
            context: whose outcome.
            value: of the metric's kind: whether it happened, how often, how much.
        """
        self._runtime.counting.telemetry.record(metric, context, value)

    # ---------------------------------------------------------------------------------------------------------- life

    def on_change(self, callback: OnChange) -> Callable[[], None]:
        """Call `callback` with the keys of the flags whose decisions may have changed, from a thread of its own.

        Returns:
            A function that ends it.
        """
        return self._runtime.subscribe(callback)

    def on_status(self, callback: OnStatus) -> Callable[[], None]:
        """Call `callback` with `status()` whenever that is another, from a thread of its own.

        It is another when a server answers or does so no more, when decisions begin or cease to be stale, and when
        other rules come in force.

        Returns:
            A function that ends it.
        """
        return self._runtime.subscribe_status(callback)

    def on_decision(self, callback: OnDecision) -> Callable[[], None]:
        """Call `callback` with every decision and its context, in the thread that asked: each decision waits for it.

        For logs, traces and metrics. What it raises is logged once and harms no decision. `decide_all` tells nobody.

        Returns:
            A function that ends it.
        """
        return self._front.observe(callback)

    def wait_until_ready(self, timeout: float | None = None) -> bool:
        """Wait until a server has confirmed the rules in force.

        Args:
            timeout: seconds; None waits for ever.

        Returns:
            Whether one has. Either way the client decides as well as it can.
        """
        return self._runtime.wait_until_ready(timeout)

    async def ready(self, timeout: float | None = None) -> bool:  # noqa: ASYNC109 - the twin of wait_until_ready
        """Do as `wait_until_ready`, without holding up the event loop."""
        import asyncio

        loop = asyncio.get_running_loop()
        event = asyncio.Event()
        forget = self._runtime.when_ready(lambda: _wake(loop, event))
        try:
            await asyncio.wait_for(event.wait(), timeout)
        except TimeoutError:
            return False
        finally:
            forget()
        return True

    def flush(self, timeout: float = CLOSE_TIMEOUT_S) -> bool:
        """Report what was counted, and return whether the server has acknowledged it in time.

        Where a snapshot is kept, wait until what was received is on disk, too.
        """
        return self._runtime.flush(timeout)

    def status(self) -> Status:
        """Return how this client stands: revision, connection, staleness, quarantine."""
        return self._runtime.status()

    def close(self, timeout: float = CLOSE_TIMEOUT_S) -> None:
        """Say goodbye to the server and stop all threads. Decisions go on with the rules in force."""
        self._runtime.close(timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        import asyncio

        await asyncio.to_thread(self._runtime.wait_for_disk)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        import asyncio

        await asyncio.to_thread(self.close)

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled or copied: threads and connections stay in their process.

        Raises:
            TypeError: always; it says what to do.
        """
        raise TypeError(
            "a Client is of one process: make it there, once, as a global of a module (Client.from_env()); what is "
            "forked has it already, and a scope goes elsewhere as scope.carry()"
        )

    def __repr__(self) -> str:
        """Where it stands; never the token."""
        status = self.status()
        return f"<Client at revision {status.revision}, {'connected' if status.connected else 'not connected'}>"


def _given(context: object) -> Context | LazyContext:
    """A context, or what makes one; anything else counts as an empty context."""
    return LazyContext(context) if callable(context) else as_context(context)


def _wake(loop: AbstractEventLoop, event: Event) -> None:
    with suppress(RuntimeError):  # the loop was closed while somebody still waited
        loop.call_soon_threadsafe(event.set)


def _close_soon(runtime: Runtime) -> None:
    """Close on a thread: a client may be dropped anywhere, and dropping it must not wait for a goodbye."""
    with suppress(RuntimeError):  # too late to start threads: the process is ending
        threading.Thread(target=runtime.close, args=(CLOSE_TIMEOUT_S,), name="rollout-goodbye", daemon=True).start()
