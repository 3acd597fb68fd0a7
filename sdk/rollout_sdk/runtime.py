"""What runs behind one client: joins cache, stream, disk and overrides, and swaps what decides.

Threads: the stream's own, the keeper's if there is a file to keep, one for each callback. None of them is needed to
decide: a decision reads one attribute of `Front`.
"""

from __future__ import annotations

import logging
import os
import random
import threading
import time
from importlib import import_module
from typing import TYPE_CHECKING, Final

from rollout_sdk import lifecycle, surroundings
from rollout_sdk.confirmation import Confirmation
from rollout_sdk.counting import Counting
from rollout_sdk.engine.model import Origin
from rollout_sdk.front import Front
from rollout_sdk.keeper import Keeper
from rollout_sdk.notify import Subscriptions
from rollout_sdk.overrides import NONE, NotReady, Overridden, OverridesFile
from rollout_sdk.readiness import Readiness
from rollout_sdk.shelf import Shelf, monotonic_s
from rollout_sdk.slices import Slices
from rollout_sdk.status import Status
from rollout_sdk.stream import Stream
from rollout_sdk.wire.messages import Drain, Greeting, Part, Reset

if TYPE_CHECKING:
    from collections.abc import Callable

    from rollout_sdk.cache import Cache
    from rollout_sdk.engine.asking import Decides
    from rollout_sdk.engine.model import Flag
    from rollout_sdk.held import Held
    from rollout_sdk.notify import OnChange, OnStatus
    from rollout_sdk.preview import Preview
    from rollout_sdk.settings import Settings
    from rollout_sdk.wire.messages import Acknowledgement, Message

LOAD_WAIT_S: Final = 0.035
"""How long a constructor waits for rules from disk; loading goes on behind it."""
FORK_SPREAD_MS: Final = 50
"""Forked children dial after a random wait of at most this long: they come in crowds."""

HEAVY: Final = (
    "importlib.metadata",
    "google.protobuf.internal.builder",
    "rollout_sdk.wire.v1.delivery_pb2",
    "rollout_sdk.engine.compile",
    "rollout_sdk.wire.snapshot",
    "rollout_sdk.cache",
    "grpc",
    "rollout_sdk.wire.v1.delivery_pb2_grpc",
    "rollout_sdk.wire.v1.telemetry_pb2_grpc",
)
"""What `import rollout_sdk` leaves to the stream's thread. Loaded one by one: a fork waits for one of them at most."""

_log = logging.getLogger("rollout_sdk")


class Runtime:
    """The life behind one client. Implements `stream.Receiver` and `lifecycle.Living`."""

    def __init__(self, settings: Settings) -> None:
        self.front = Front()
        self.instance_id = _new_instance_id()
        self._settings = settings
        self._cache: Cache | None = None
        self._preview: Preview | None = None
        self._shelf = Shelf(settings.snapshot_path) if settings.snapshot_path else None
        self._overrides = OverridesFile(settings.overrides_path) if settings.overrides_path else None
        self._changes = Subscriptions("on-change")
        self._standings = Subscriptions("on-status")
        self._warned: frozenset[tuple[str, int]] = frozenset()
        self._is_fresh = False
        self._is_connected = False
        self._is_closed = False
        self._refused = ""
        self._confirmation = Confirmation()
        self._loaded = threading.Event()
        self._readiness = Readiness()
        self._gone = threading.Event()
        self._lock = threading.Lock()
        self._keeper = self._new_keeper()
        self._stream = Stream(settings, self)
        self.counting = Counting(settings, lambda: self.instance_id)

    def _new_keeper(self) -> Keeper:
        return Keeper(self._look if self._overrides else None, self._save if self._shelf else None)

    # ------------------------------------------------------------------------------------------------------ lifecycle

    def start(self) -> None:
        """Begin; wait a moment for rules from disk, and for nothing else."""
        if self._overrides:
            self._look()
        with lifecycle.GATE:
            if not lifecycle.enter(self):
                return
            try:
                self._keeper.start()
                self._stream.start()
                self.counting.start()
            except RuntimeError as error:  # no more threads, or too late for any: the process ends
                surroundings.say_once(f"{error}: the client decides by defaults and gets no changes; free some threads")
                return
        if not surroundings.is_in_event_loop():
            self.wait_for_disk()

    def wait_for_disk(self) -> None:
        """Wait a moment for rules from disk, if they are kept there."""
        if self._shelf and not self._is_closed:
            self._loaded.wait(LOAD_WAIT_S)

    def serve_offline(self, held: Held, confirmed_at_s: float | None = None) -> None:
        """Decide by these rules, without threads and without a connection. May be called again with others."""
        from rollout_sdk.cache import Cache

        before = self._cache.held if self._cache else None
        self._cache = Cache(held)
        self._confirmation = Confirmation(confirmed_at_s)
        self._is_fresh = True
        self._set_ready()
        self._in_force(before, held)

    def pause(self, timeout_s: float, *, goodbye: bool = False) -> None:
        """Stop the threads before a fork; see `lifecycle`."""
        until = time.monotonic() + timeout_s
        self.counting.ask_to_stop(says_all=goodbye)
        self._stream.stop(timeout_s, goodbye=goodbye)
        self._keeper.stop(max(0.0, until - time.monotonic()))
        self.counting.join(max(0.0, until - time.monotonic()))

    def resume(self, *, in_child: bool) -> None:
        """Start them again; a child is another process to the server, and shares no lock with its parent."""
        previous = None if in_child else self._stream
        if in_child:
            self.instance_id = _new_instance_id()
            self._lock = threading.Lock()
            self._readiness = Readiness(is_ready=self._readiness.is_ready)
            self._loaded = lifecycle.copy_event(self._loaded)
            self._gone = threading.Event()
            if self._is_closed:
                self._gone.set()  # whoever was at it is not here
            self._changes.restart()
            self._standings.restart()
            self.counting.begin_anew()
            self._compose()
        if self._is_closed:
            return
        self._is_connected = False
        self._keeper = self._new_keeper()
        self._keeper.start()
        self._stream = Stream(self._settings, self)
        delay_ms = random.uniform(0, FORK_SPREAD_MS) if in_child else 0  # noqa: S311 - spreads load, guards nothing
        self._stream.start(delay_ms, after=previous)
        self.counting.resume(in_child=in_child)

    def close(self, timeout_s: float) -> None:
        """Report, say goodbye, save, and stop. Decisions go on with the rules in force."""
        with self._lock:
            is_repeated, self._is_closed = self._is_closed, True
        if is_repeated:
            self._gone.wait(timeout_s)  # at the end of the process, another thread may be at it
            return
        self._changes.end()
        self._standings.end()
        until = time.monotonic() + timeout_s
        self.counting.ask_to_stop(says_all=True)
        self._stream.stop(timeout_s, goodbye=True)
        self._keeper.stop(max(0.0, until - time.monotonic()))
        self.counting.join(max(0.0, until - time.monotonic()))
        self._is_connected = False
        self._gone.set()
        lifecycle.leave(self)

    # ------------------------------------------------------------------------------------- what the stream asks for

    def prepare(self, is_stopping: Callable[[], bool]) -> None:
        """Import what is heavy and read the disk, once for this process and its children."""
        for module in HEAVY:
            with lifecycle.gate(is_stopping) as is_held:
                if not is_held or is_stopping():
                    return
                import_module(module)
        if self._loaded.is_set():
            return
        from rollout_sdk.cache import Cache

        self._cache = cache = Cache(show=self._show, breathe=Slices())
        found = self._shelf.read() if self._shelf else None
        if found:
            self._confirmation = Confirmation(monotonic_s(found.saved_at_ms))
            self._in_force(None, cache.load(found))
        self._loaded.set()

    def greet(self) -> Greeting:
        """Say who this is and what it holds."""
        from rollout_sdk.engine.capabilities import CAPABILITIES

        cache = self._ready_cache()
        cache.begin()
        host = os.uname().nodename
        return Greeting(
            instance_id=self.instance_id,
            sdk_version=version(),
            capabilities=tuple(sorted(CAPABILITIES)),
            service=self._settings.service,
            host=host,
            pid=os.getpid(),
            held=cache.resumes_from,
            quarantined=cache.held.quarantined if cache.held and cache.resumes_from else (),
        )

    def receive(self, message: Message) -> Acknowledgement | None:
        """Put a message in force.

        Raises:
            Resync: the stream is to be opened again.
        """
        cache, before = self._ready_cache(), self._ready_cache().held
        if isinstance(message, Reset):
            _log.warning("%s has another history now: %s; its rules follow", self._settings.target, message.reason)
            return None
        if isinstance(message, Drain):
            return None
        was_fresh = self._is_fresh
        answer = cache.apply(message) if isinstance(message, Part) else cache.confirm(message)
        if isinstance(message, Part) and message.more:
            return None
        if cache.held is before:
            self._confirmation.renew()
        else:
            self._confirmation = Confirmation.just_now()
        self._is_fresh = True
        if cache.held and (cache.held is not before or not was_fresh):
            self._in_force(before, cache.held)
        if cache.held is not before:
            self._keeper.ask_to_save()
        self._set_ready()
        return answer

    def connected(self, *, is_connected: bool, refused: str = "") -> None:
        """Note whether a server answers."""
        if is_connected:
            _log.info("connected to %s", self._settings.target)
        self._is_connected, self._refused = is_connected, refused
        self._standings.tell()

    def expire(self) -> None:
        """Nothing was heard for too long: say so in every decision from now on."""
        if self._is_fresh:
            self._is_fresh = False
            self._compose()

    def _ready_cache(self) -> Cache:
        if self._cache is None:
            raise AssertionError("the stream dials only after prepare")
        return self._cache

    def _show(self, preview: Preview) -> None:
        """Let a first ruleset decide while it is worked out."""
        self._preview = preview
        if self._loaded.is_set():  # then it comes from a server
            self._confirmation = Confirmation.just_now()
            self._is_fresh = True
        self._compose()
        self._changes.tell(preview.keys)
        if self._is_fresh:
            self._set_ready()
        self._loaded.set()

    @property
    def _deciding(self) -> Held | Preview | None:
        """The rules in force, worked out or not."""
        preview = self._preview  # first: it is taken away after the other is there
        return (self._cache.held if self._cache else None) or preview

    def _in_force(self, before: Held | None, after: Held) -> None:
        """Let it decide, then tell whoever wants to know."""
        from rollout_sdk.held import changed_flags

        shown, self._preview = self._preview, None
        self._compose()
        now = frozenset((flag.flag, flag.version) for flag in after.quarantined)
        for flag in after.quarantined:
            if (flag.flag, flag.version) not in self._warned:
                _log.warning("the newest rules of %s are not in force: %s", flag.flag, flag.error)
        self._warned = now
        is_news = shown is None or shown.position != after.position  # else nothing changed: it decides as before
        if self._changes and is_news and (changed := changed_flags(before, after)):
            self._changes.tell(changed)

    # -------------------------------------------------------------------------------------------- disk and overrides

    def _look(self) -> None:
        """Read the overrides file if it changed."""
        if self._overrides is None:
            return
        before = self._overrides.current
        if self._overrides.refresh():
            self._compose()
            now = self._overrides.current
            self._changes.tell(frozenset(key for key in before.keys() | now.keys() if before.get(key) != now.get(key)))

    def _save(self) -> None:
        """Keep what is in force; later, if another process is writing just now."""
        held = self._cache.held if self._cache else None
        if held and self._shelf and not self._shelf.save(held):
            self._keeper.ask_to_save()

    def _compose(self) -> None:
        """Swap what decides: rules if there are any, overrides over them if there are any."""
        with self._lock:
            held = self._deciding
            overrides = self._overrides.current if self._overrides else NONE
            decider: Decides = NotReady()
            flags: dict[str, Flag] = {}
            if held:
                position = held.position
                origin = Origin(position.epoch, position.revision, not self._is_fresh, self._confirmation)
                decider = held.compiled.bind(origin, self.counting.watch(held))
                flags = {key: held.compiled.flags[key].flag for key in overrides if key in held.compiled.flags}
                if self._overrides:
                    self._overrides.warn_of_typing_errors(flags)
            self.front.put(Overridden(decider, flags, overrides) if overrides else decider)
        self._standings.tell()

    # ---------------------------------------------------------------------------------------- what the client asks for

    def flag(self, key: str) -> Flag | None:
        """Return a flag as it is in force, rules and all."""
        held = self._deciding
        compiled = held.compiled.flags.get(key) if held else None
        return compiled.flag if compiled else None

    def subscribe(self, callback: OnChange) -> Callable[[], None]:
        """Call back when decisions may have changed, from now on; return what ends it."""
        return self._changes.add(callback)

    def subscribe_status(self, callback: OnStatus) -> Callable[[], None]:
        """Call back whenever this client stands otherwise, from now on; return what ends it."""
        return self._standings.add(lambda _: callback(self.status()))

    def wait_until_ready(self, timeout_s: float | None) -> bool:
        """Block until a server confirmed the rules in force, or time is up; not where nothing runs before a fork."""
        if lifecycle.awaits_fork(self):
            surroundings.say_once(surroundings.EARLY)
            return self._readiness.is_ready
        return self._readiness.wait(timeout_s)

    def when_ready(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Call `wake` once, from any thread, as soon as that is so; return what forgets it."""
        return self._readiness.when_ready(wake)

    def _set_ready(self) -> None:
        if self._readiness.set():
            self._standings.tell()

    def flush(self, timeout_s: float) -> bool:
        """Return whether all that was counted is reported, and everything received on disk, where a file is kept."""
        until = time.monotonic() + timeout_s
        is_reported = self.counting.flush(timeout_s)
        return self._keeper.wait_until_saved(max(0.0, until - time.monotonic())) and is_reported

    def status(self) -> Status:
        """Return how things stand."""
        held, decider = self._deciding, self.front.inner
        return Status(
            epoch=held.position.epoch if held else "",
            revision=held.position.revision if held else 0,
            connected=self._is_connected,
            refused=self._refused,
            ready=self._readiness.is_ready,
            stale=held is not None and not self._is_fresh,
            confirmed_ms_ago=self._confirmation.ms_ago,
            quarantined={flag.flag: flag.error for flag in held.quarantined} if held else {},
            overridden=decider.forced if isinstance(decider, Overridden) else (),
            instance_id=self.instance_id,
        )


def version() -> str:
    """Return the version of the installed distribution."""
    from importlib import metadata

    try:
        return metadata.version("rollout-guard")
    except metadata.PackageNotFoundError:
        return "0"


def _new_instance_id() -> str:
    return os.urandom(16).hex()
