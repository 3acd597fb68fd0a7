"""What counting costs a decision: the same ruleset decided with and without it, in one run, in turns.

    python benchmarks/counting.py

Prints nanoseconds, the least of many rounds; the target is at most 150 more for a rollout's decision, 0 for others.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from rollout_sdk.engine.bucketing import salt16
from rollout_sdk.engine.compile import compile_ruleset
from rollout_sdk.engine.context import Context
from rollout_sdk.engine.decide import Decider
from rollout_sdk.engine.metrics import Measures, MetricDeclaration, Per
from rollout_sdk.engine.model import (
    ByRollout,
    Flag,
    Origin,
    Position,
    Reach,
    RolloutState,
    Rule,
    Ruleset,
    ValueType,
    Variant,
)
from rollout_sdk.sums import RunKey
from rollout_sdk.testing import RulesetClient

UNITS = 2_000
ROUNDS = 300


def ruleset() -> Ruleset:
    """A plain flag, and one that a rollout answers for everybody."""
    variants = (Variant("on", value=True), Variant("off", value=False))
    launch = Rule("launch", ByRollout("launch"))
    flags = {
        "plain": Flag("plain", ValueType.BOOLEAN, variants, "off", "on", salt16("plain")),
        "guarded": Flag("guarded", ValueType.BOOLEAN, variants, "off", "off", salt16("guarded"), rules=(launch,)),
    }
    reaches = (Reach("canary", 250_000),)
    state = RolloutState("launch", "guarded", 1, "off", "on", salt16("launch"), reaches=reaches, allocation=1)
    metrics = {
        "latency": MetricDeclaration("latency", Measures.QUANTILE, Per.EVENT),
        "orders": MetricDeclaration("orders", Measures.PROPORTION, Per.UNIT),
    }
    return Ruleset(Position("bench", 1), flags, {}, {}, {}, {"launch": state}, metrics)


def least(*works: Callable[[], object], repeat: int = ROUNDS, each: int = UNITS) -> list[float]:
    """Return the least time of each, in ns for one of `each` things; they take turns, so that noise hits all alike."""
    best = [float("inf")] * len(works)
    for _ in range(repeat):
        for number, work in enumerate(works):
            started = time.perf_counter_ns()
            work()
            best[number] = min(best[number], (time.perf_counter_ns() - started) / each)
    return best


def main() -> None:
    """Measure and print."""
    rules = ruleset()
    client = RulesetClient(rules)
    bare: Decider = compile_ruleset(rules).bind(Origin())
    counting = client._front.now.decider  # noqa: SLF001 - what decides in a client, counting included
    contexts = [Context(f"user-{number}") for number in range(UNITS)]

    def ask(decide: Callable[[str, Context], object], flag: str) -> Callable[[], None]:
        def work() -> None:
            for context in contexts:
                decide(flag, context)

        return work

    def show(what: str, without: float, counted: float) -> None:
        print(f"{what:<46}{without:8.0f}{counted:10.0f}{counted - without:+8.0f}")

    print(f"{'ns a decision':<46}{'bare':>8}{'counted':>10}")
    show("plain flag", *least(ask(bare.decide, "plain"), ask(counting.decide, "plain")))
    show("rollout, every unit kept and seen", *least(ask(bare.decide, "guarded"), ask(counting.decide, "guarded")))
    telemetry = client._runtime.counting.telemetry  # noqa: SLF001 - the sample as a large population leaves it
    telemetry.tally.exposures(RunKey("launch", 1)).bound >>= 8
    show("rollout, one unit in 256 kept", *least(ask(bare.decide, "guarded"), ask(counting.decide, "guarded")))
    with client.scope(contexts[0]) as scope:
        show("rollout, inside a scope", *least(ask(bare.decide, "guarded"), ask(counting.decide, "guarded"), repeat=50))
        events, units = least(
            lambda: scope.record("latency", 0.118), lambda: scope.record("orders"), repeat=20_000, each=1
        )
    print(f"record in a scope: {events:.0f} per event, {units:.0f} per unit")


if __name__ == "__main__":
    main()
