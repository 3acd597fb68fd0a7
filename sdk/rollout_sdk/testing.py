"""Clients for tests of code that uses flags: no server, no threads, no files; the real engine decides."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollout_sdk.client import Client
from rollout_sdk.engine.bucketing import salt16
from rollout_sdk.engine.compile import compile_ruleset
from rollout_sdk.engine.model import Flag, Position, Ruleset, ValueType, Variant
from rollout_sdk.held import Held
from rollout_sdk.runtime import Runtime
from rollout_sdk.settings import Settings
from rollout_sdk.wire.records import RecordKind, RulesetDigest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rollout_sdk.engine.model import Json

EPOCH = "testing"


class FixedClient(Client):
    """A client whose flags serve what a test says, to everybody."""

    def __init__(self, values: Mapping[str, Json]) -> None:
        """Use `fixed`."""
        self._hold(Runtime(Settings()))
        self._revision = 0
        self._values: dict[str, Json] = {}
        self.set(values)

    def set(self, values: Mapping[str, Json]) -> None:
        """Change some flags, or add them; callbacks of `on_change` are told."""
        self._values = {**self._values, **values}
        self._revision += 1
        flags = {key: _flag(key, value) for key, value in self._values.items()}
        ruleset = Ruleset(Position(EPOCH, self._revision), flags, {}, {}, dict.fromkeys(flags, self._revision))
        self._runtime.serve_offline(_held(ruleset))


def fixed(values: Mapping[str, Json]) -> FixedClient:
    """Return a client that serves these values: `fixed({"checkout-v2": True, "page-limit": 20})`.

    The type of each flag is that of its value: asked for another type, the client serves the caller's default, as in
    production.
    """
    return FixedClient(values)


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


def _flag(key: str, value: Json) -> Flag:
    type_ = _type(value)
    name = {True: "on", False: "off"}[value] if isinstance(value, bool) else "fixed"
    return Flag(key, type_, (Variant(name, value),), off=name, default=name, salt=salt16(key))


def _type(value: Json) -> ValueType:
    match value:
        case bool():
            return ValueType.BOOLEAN
        case str():
            return ValueType.STRING
        case int():
            return ValueType.INTEGER
        case float():
            return ValueType.FLOAT
        case _:
            return ValueType.JSON
