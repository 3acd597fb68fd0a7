"""Clients without a server, threads or files behind them; the real engine decides."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollout_sdk.client import Client
from rollout_sdk.engine.compile import compile_ruleset
from rollout_sdk.engine.model import PPM
from rollout_sdk.held import Held, work_out
from rollout_sdk.runtime import Runtime
from rollout_sdk.settings import Settings
from rollout_sdk.testing.board import Board
from rollout_sdk.testing.documents import Documents
from rollout_sdk.wire.records import RecordKind, RulesetDigest

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from rollout_sdk.engine.model import Json, Ruleset


class LocalClient(Client):
    """A client whose rules a test changes; whoever waits with `on_change` is told. Make one with `fixed`, `from_files`.

    Every method that changes rules takes effect before it returns.
    """

    def __init__(self) -> None:
        """Begin without flags, ready."""
        self._hold(Runtime(Settings()))
        self._board = Board()
        self._documents = Documents()
        self._held: Held | None = None
        self._serve()

    def set(self, values: Mapping[str, Json]) -> None:
        """Serve these values to everybody; other flags stay as they are.

        Raises:
            ValueError: a key is no flag's, or a value is none that JSON knows.
        """
        self._board.set(values)
        self._serve()

    def apply(self, *paths: str | os.PathLike[str], environment: str = "") -> None:
        """Put files in force, as `rollout apply` would; flags that are not in them stay.

        Args:
            paths: files, or directories with all that is in them.
            environment: whose overlays are merged.

        Raises:
            OSError: one cannot be read.
            ValueError: something is wrong in them.
            ModuleNotFoundError: the reader is not installed; says what to type.
        """
        self._board.load(self._documents.apply(paths, environment))
        self._serve()

    def kill(self, flag: str) -> None:
        """Serve the flag's `off` to everybody.

        Raises:
            LookupError: there is no such flag.
        """
        self._board.kill(flag)
        self._serve()

    def unkill(self, flag: str) -> None:
        """Let the rules decide again.

        Raises:
            LookupError: there is no such flag.
        """
        self._board.kill(flag, killed=False)
        self._serve()

    def expose(self, rollout: str, share_ppm: int = PPM, *, stage: str = "test") -> None:
        """Let a rollout expose a share of everybody, as if it had entered a stage; 0 is its rollback.

        Raises:
            LookupError: no file said that there is such a rollout.
            ValueError: the share is not between 0 and 1,000,000.
        """
        self._board.expose(rollout, share_ppm, stage)
        self._serve()

    def remove(self, *flags: str) -> None:
        """Delete flags."""
        self._board.remove(flags)
        self._serve()

    def _serve(self) -> None:
        part = self._board.part_since(self._held.position if self._held else None)
        held = work_out(self._held, [part])
        if held.quarantined:
            wrong = "\n".join(f"flag {each.flag!r}: {each.error}" for each in held.quarantined)
            raise ValueError(f"an SDK would refuse this:\n{wrong}")
        self._held = held
        self._runtime.serve_offline(held)


def fixed(values: Mapping[str, Json]) -> LocalClient:
    """Return a client that serves these values: `fixed({"checkout-v2": True, "page-limit": 20})`.

    The type of each flag is that of its value: asked for another type, the client serves the caller's default, as in
    production.

    Raises:
        ValueError: a key is no flag's, or a value is none that JSON knows.
    """
    client = LocalClient()
    client.set(values)
    return client


def from_files(*paths: str | os.PathLike[str], environment: str = "") -> LocalClient:
    """Return a client that decides by files, as after `rollout apply` of them; see `LocalClient.apply`."""
    client = LocalClient()
    client.apply(*paths, environment=environment)
    return client


class RulesetClient(Client):
    """A client that decides by a ruleset made in a test."""

    def __init__(self, ruleset: Ruleset) -> None:
        """Put the ruleset in force."""
        runtime = Runtime(Settings())
        self._hold(runtime)
        runtime.serve_offline(_held(ruleset))


def _held(ruleset: Ruleset) -> Held:
    return Held(
        position=ruleset.position,
        compiled=compile_ruleset(ruleset),
        digest=RulesetDigest(),
        records={},
        models={(RecordKind.METRIC, key): metric for key, metric in ruleset.metrics.items()},
        good={},
        refused={},
        chunks={},
        quarantined=(),
    )
