"""Deciding by a rollout and counting whom it exposes, in one function: what runs in every decision that is counted.

Here and not in `rollout_sdk.telemetry`, so that the compiled engine has it; what comes of a count is for others. The
lines that count stand here twice: as a function of their own they would cost a decision a call, a fifth of its time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from mmh3 import mmh3_32_uintdigest, mmh3_x64_128_uintdigest

if TYPE_CHECKING:
    from rollout_sdk.engine.context import Context
    from rollout_sdk.engine.exposure import Everyone
    from rollout_sdk.engine.rules import Evaluate
    from rollout_sdk.engine.sample import UnitSample


class Counter(NamedTuple):
    """How the decisions by one run are counted.

    Attributes:
        key: seed of every unit's hash, `sample.run_key`.
        sample: of exposed units.
        note: told of a unit whose 128-bit hash the sample may take: context, number of the outcome, hash.
        current: the scope around the caller, or None.
        put: told of a decision inside a scope: the scope, context, number of the outcome, hash.
        fail: told that one of these raised. The decision stands, counted or not.
    """

    key: int
    sample: UnitSample
    note: Callable[[Context, int, int], None]
    current: Callable[[], object]
    put: Callable[[object, Context, int, int], None]
    fail: Callable[[], None]


def counted(evaluate: Evaluate, unit: str, numbers: Mapping[int, object], counter: Counter) -> Evaluate:
    """Lay counting around what decides a flag.

    Args:
        evaluate: decides it.
        unit: kind of unit.
        numbers: of the outcomes that belong to an arm.
        counter: counts these.
    """
    key, sample, note, current, put, fail = counter
    digest = mmh3_x64_128_uintdigest

    def counting(context: Context) -> int:
        number = evaluate(context)
        if number in numbers:
            try:
                hashed = digest(context.unit64s[unit], key)
                if hashed not in sample.seen and hashed < sample.bound:
                    note(context, number, hashed)
                scope = current()
                if scope is not None:
                    put(scope, context, number, hashed)
            except Exception:  # noqa: BLE001 - see `Counter.fail`
                fail()
        return number

    return counting


def counted_everyone(everyone: Everyone, counter: Counter) -> Evaluate:
    """Decide and count for a flag that is nothing but a rollout of everybody: the two calls less show.

    Both hashes of a unit are kept in its context, by all that goes into them: who asks again hashes no more.
    """
    kind, head, bound, candidate, control, no_unit = everyone
    key, sample, note, current, put, fail = counter
    mine = head + key.to_bytes(4, "big") + kind.encode(errors="surrogatepass")
    bucket, digest = mmh3_32_uintdigest, mmh3_x64_128_uintdigest

    def counting(context: Context) -> int:
        hashes = context.counted.get(mine)
        if hashes is None:
            unit = context.unit64(kind)
            if unit is None:
                return no_unit
            hashes = context.counted[mine] = bucket(head + unit), digest(unit, key)
        hash32, hashed = hashes
        number = candidate if hash32 < bound else control
        try:
            if hashed not in sample.seen and hashed < sample.bound:
                note(context, number, hashed)
            scope = current()
            if scope is not None:
                put(scope, context, number, hashed)
        except Exception:  # noqa: BLE001 - see `Counter.fail`
            fail()
        return number

    return counting
