"""Promise 1: evaluation never raises, never does input or output, reads no clock, and keeps to the type asked for."""

from __future__ import annotations

import builtins
import io
import os
import socket
import time
from typing import TYPE_CHECKING, NoReturn

import pytest

from rollout_sdk.engine.compile import compile_ruleset
from rollout_sdk.engine.explain import explain
from rollout_sdk.engine.model import Decision, Reason, ValueType
from rollout_sdk.testing import RulesetClient
from tests.evaluation_worlds import World, seeded
from tests.odd_values import odd_value
from tests.rulesets import ORIGIN

if TYPE_CHECKING:
    from collections.abc import Iterator

EXACT: dict[ValueType, tuple[type, ...]] = {
    ValueType.BOOLEAN: (bool,),
    ValueType.STRING: (str,),
    ValueType.INTEGER: (int,),
    ValueType.FLOAT: (float,),
    ValueType.JSON: (dict, list, str, int, float, bool, type(None)),
}
TYPES = (None, *ValueType)
CONTEXTS_PER_WORLD = 8


class OutsideWorld(BaseException):
    """Evaluation reached outside. Not an `Exception`: no handler of the engine may hide it."""


def _refuse(*_: object, **__: object) -> NoReturn:
    raise OutsideWorld


@pytest.fixture
def sealed(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Let a test seal the world: files, sockets and clocks fail from then on."""
    with monkeypatch.context() as patch:
        yield patch


def seal(patch: pytest.MonkeyPatch) -> None:
    for module, names in (
        (builtins, ("open", "print", "input")),
        (io, ("open",)),
        (os, ("open", "stat", "urandom", "getenv")),
        (socket, ("socket", "create_connection", "getaddrinfo")),
        (time, ("time", "time_ns", "monotonic", "perf_counter", "sleep")),
    ):
        for name in names:
            patch.setattr(module, name, _refuse)


def check(decision: Decision, default: object, own: ValueType, asked: ValueType | None) -> None:
    if decision.variant is None:
        assert decision.value is default
        assert decision.reason in (Reason.ERROR, Reason.WRONG_TYPE)
        assert (decision.reason is Reason.WRONG_TYPE) <= (asked is not own)
    else:
        assert type(decision.value) in EXACT[asked or own]
        assert asked in (None, own) or (asked, own) == (ValueType.FLOAT, ValueType.INTEGER)


def evaluate_world(seed: int, patch: pytest.MonkeyPatch) -> int:
    """Decide every flag of one world for odd contexts; return how many decisions were made."""
    random = seeded(seed)
    world = World(random, flags=15, bad_share=0.15)
    ruleset = world.ruleset()
    made = compile_ruleset(ruleset)
    decider, client = made.bind(ORIGIN), RulesetClient(ruleset)
    count = 0
    with patch.context() as sealing:
        seal(sealing)
        for _ in range(CONTEXTS_PER_WORLD):
            context = world.odd_context()
            for key, flag in world.flags.items():
                default, asked = odd_value(random), random.choice(TYPES)
                check(decider.decide(key, context, default, asked), default, flag.type, asked)
                for _ in ("asked first", "asked again, which is a way of its own"):
                    check(client.decide(key, context, default), default, flag.type, None)  # type: ignore[arg-type] # a caller's
                    enabled = client.enabled(key, context, default)  # type: ignore[arg-type] # the same
                    assert enabled is default or type(enabled) is bool
            count += len(world.flags)
        odd_key, stranger, default = odd_value(random), odd_value(random), odd_value(random)
        unknown = decider.decide(odd_key, stranger, default)  # type: ignore[arg-type] # what a caller may do
        assert unknown.reason is Reason.UNKNOWN_FLAG
        assert client.decide(odd_key, stranger, default).reason is Reason.UNKNOWN_FLAG  # type: ignore[arg-type] # the same
        assert client.enabled(odd_key, stranger, default) is default  # type: ignore[arg-type] # the same
        assert decider.decide_all(stranger).keys() == world.flags.keys()  # type: ignore[arg-type] # the same
        assert explain(made, ORIGIN, random.choice(list(world.flags)), world.odd_context()).steps
        assert explain(made, ORIGIN, odd_key, stranger).steps  # type: ignore[arg-type] # the same
    return count


def evaluate(count: int, seed: int, patch: pytest.MonkeyPatch) -> None:
    done = 0
    while done < count:
        try:
            done += evaluate_world(seed, patch)
        except BaseException as error:
            error.add_note(f"evaluate_world({seed}, ...) shows it again")
            raise
        seed += 1


def test_twenty_thousand_evaluations(sealed: pytest.MonkeyPatch) -> None:
    """Flags of every kind, broken ones too, over values of every odd kind: no exception, no wrong type, no way out."""
    evaluate(20_000, 1, sealed)


@pytest.mark.soak
@pytest.mark.timeout(1_800)
def test_a_million_evaluations(sealed: pytest.MonkeyPatch) -> None:
    """The same, a million times."""
    evaluate(1_000_000, 1_000_000, sealed)


def test_the_seal_holds(sealed: pytest.MonkeyPatch) -> None:
    """A file, a socket or a clock touched inside would be seen."""
    seal(sealed)
    for touch in (lambda: open("x"), socket.socket, time.time):  # noqa: PTH123, SIM115 - that it fails is the point
        with pytest.raises(OutsideWorld):
            touch()
