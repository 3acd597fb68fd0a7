"""What is measured: the rows of the table, with the budgets of the design."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import Final

EPPO: Final = "eppo"
GROWTHBOOK: Final = "growthbook"
STATSIG: Final = "statsig"
LAUNCHDARKLY: Final = "launchdarkly"
OURS: Final = "ours"
COMPILED: Final = "compiled"
PEERS: Final = (EPPO, GROWTHBOOK, STATSIG, LAUNCHDARKLY)
NOTES: Final = """\
Asked by: eppo `get_boolean_assignment`, growthbook `is_on`, statsig `check_gate`, launchdarkly `variation`; ours
`decide`, which says variant, reason, rule, run, stage and arm. Events, tracking and logs of the others are off.
1,000 flags at once: ours `decide_all`, launchdarkly `all_flags_state`; eppo, growthbook and statsig have no such call
for the server, so it is a loop over the one above.
10,000-key cohort: launchdarkly a segment, growthbook a saved group; eppo and, without a network, statsig have only a
list in the condition.
Contexts made anew: growthbook sets the attributes of one instance; otherwise it has an instance for each user.
Memory: the library with its transport, and 5,000 flags each decided once.
"""
"""How each library is asked; printed below the tables."""


class How(Enum):
    """How a scenario runs.

    Attributes:
        PASSES: again and again in one process; CPU time of its thread for one decision.
        THREADS: the same, asked by eight threads at once; wall time, for waiting is what threads may cost.
        FRESH: once in a process of its own.
    """

    PASSES = "passes"
    THREADS = "threads"
    FRESH = "fresh"


@dataclass(frozen=True, slots=True)
class Scenario:
    """One row.

    Attributes:
        title: as the table has it.
        unit: of the absolute figures.
        divisor: from what a worker measures (ns, bytes) to the unit.
        budgets: by peer, our time over the peer's at most.
        budgets_compiled: the same for the compiled engine.
        budget_absolute: at most, in the unit.
    """

    name: str
    title: str
    how: How
    unit: str = "us"
    divisor: float = 1e3
    budgets: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    budgets_compiled: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    budget_absolute: float | None = None


SCENARIOS: Final = (
    Scenario("plain", "plain flag", How.PASSES, budgets={EPPO: 0.35}, budgets_compiled={EPPO: 0.15}),
    Scenario(
        "percentage",
        "percentage, by a rollout, exposure counted",
        How.PASSES,
        budgets={EPPO: 0.45},
        budgets_compiled={EPPO: 0.2},
    ),
    Scenario("split", "percentage, by a split, nothing to count", How.PASSES),
    Scenario("anew", "percentage counted, the context made for the decision", How.PASSES),
    Scenario("five-rules", "five rules", How.PASSES, budgets={EPPO: 0.75}, budgets_compiled={EPPO: 0.3}),
    Scenario("cohort", "10,000-key cohort", How.PASSES, budgets={EPPO: 0.12}, budgets_compiled={EPPO: 0.05}),
    Scenario(
        "at-once", "1,000 flags at once, for one user", How.PASSES, budgets={EPPO: 0.5}, budgets_compiled={EPPO: 0.2}
    ),
    Scenario("tasks", "1,000 asyncio tasks, ten decisions each with a pause between", How.PASSES),
    Scenario("threads", "eight threads, percentage (wall time)", How.THREADS),
    Scenario("wire", "5,000 flags from wire to first decision", How.FRESH, "ms", 1e6, budgets={GROWTHBOOK: 0.8}),
    Scenario("settled", "the same, and all of them read and compiled", How.FRESH, "ms", 1e6),
    Scenario(
        "memory", "memory added by 5,000 flags and the library", How.FRESH, "MiB", 1 << 20, budgets={STATSIG: 1.0}
    ),
    Scenario("import", "import", How.FRESH, "ms", 1e6, budget_absolute=60.0),
)
BY_NAME: Final = MappingProxyType({scenario.name: scenario for scenario in SCENARIOS})
