"""Prints how the guardrails do, beside what people do today.

python -m benchmarks.guardrails [--quick] [--runs 2000] [--processes 2]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

import numpy as np

from benchmarks.guardrails.scenarios import HELD_OUT, NOTHING_WRONG, REGRESSIONS, Scenario
from benchmarks.guardrails.simulate import OURS, Outcome, interval, over_floor, simulate
from rollout_server.domain.guardrails.look import ALPHA

FULL = 2000
QUICK = 2
METHODS = (OURS, "z 5%", "z 1%", "threshold", "asymptotic CS")


def nothing_wrong() -> Sequence[Scenario]:
    """The rows of the first table."""
    return NOTHING_WRONG


def regressions() -> Sequence[Scenario]:
    """The rows of the second table."""
    return REGRESSIONS


def held_out() -> Sequence[Scenario]:
    """The rows of the third table."""
    return HELD_OUT


def progress(name: str, runs: int) -> Callable[[int], None]:
    """Return what shows how far a row is, on a terminal."""

    def show(done: int) -> None:
        if sys.stderr.isatty() and (done % 50 == 0 or done == runs):
            sys.stderr.write(f"\r{name}: {done} of {runs}\033[K" + ("\r\033[K" if done == runs else ""))

    return show


def false_row(scenario: Scenario, outcomes: Sequence[Outcome]) -> str:
    """Return a row of the first table."""
    runs = len(outcomes)
    hits = {name: sum(1 for o in outcomes if o.delays[name] is not None) for name in METHODS}
    low, high = interval(hits[OURS], runs)
    kind = "exact" if scenario.exact else "approx."
    others = "".join(f"{hits[name] / runs:>14.1%}" for name in METHODS[1:])
    return f"{scenario.name:<34}{kind:<9}{runs:>6}{hits[OURS] / runs:>9.2%}  [{low:.2%}, {high:.2%}]{others}"


def delay_row(scenario: Scenario, outcomes: Sequence[Outcome]) -> str:
    """Return a row of the second table."""
    runs = len(outcomes)
    delays = [delay for o in outcomes if (delay := o.delays[OURS]) is not None]
    found = f"{len(delays) / runs:>8.1%}"
    middle, most = np.quantile(delays, [0.5, 0.95]) if delays else (np.nan, np.nan)
    exposed = np.median([o.exposed for o in outcomes])
    ratio = over_floor(outcomes)
    target = f", at most {scenario.ceiling}" if scenario.ceiling else ""
    over = f"{ratio[0]:.2f} +-{ratio[1]:.2f}{target}" if ratio is not None else "-"
    others = "".join(_other(outcomes, name) for name in METHODS[1:])
    return f"{scenario.name:<28}{runs:>6}{found}{middle:>8.0f}{most:>8.0f}{exposed:>10.0f}  {over:<24}{others}"


def _other(outcomes: Sequence[Outcome], name: str) -> str:
    delays = [delay for o in outcomes if (delay := o.delays[name]) is not None]
    early = sum(1 for o in outcomes if name in o.early) / len(outcomes)
    text = f"{np.median(delays):.0f}" if delays else "-"
    return f"{text + (f' ({early:.0%} early)' if early else ''):>18}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK} runs a row: that it works, not what it finds")
    parser.add_argument("--runs", type=int, default=FULL)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--only", default="", help="rows whose name holds this")
    options = parser.parse_args(arguments)
    full = QUICK if options.quick else options.runs

    print(f"Nothing wrong: runs rolled back, of 1 440 looks each; the promise is {ALPHA:.0%} a run.\n")
    others = "".join(f"{name:>14}" for name in METHODS[1:])
    print(f"{'scenario':<34}{'family':<9}{'runs':>6}{'false':>9}  {'95 % interval':<15}{others}")
    _table(nothing_wrong, full, options, false_row)
    print("\n* counters carry no classes of units: outside the promise, see docs/guardrails.md.")

    print("\nRegressions: windows from onset to rollback, outcomes exposed meanwhile, mean delay over Wald's floor.\n")
    others = "".join(f"{name:>18}" for name in METHODS[1:])
    print(f"{'scenario':<28}{'runs':>6}{'found':>8}{'median':>8}{'95 %':>8}{'exposed':>10}  {'over floor':<24}{others}")
    _table(regressions, full, options, delay_row)
    print("\n* no target: so few users leave no more in the sums of classes; the other clustered rows: found in 90 %.")
    print("\nHeld out: the same, of effects, shares and traffic that no prior was chosen by.\n")
    _table(held_out, full, options, delay_row)
    return 0


def _table(
    table: Callable[[], Sequence[Scenario]],
    full: int,
    options: argparse.Namespace,
    row_of: Callable[[Scenario, Sequence[Outcome]], str],
) -> None:
    for row, scenario in enumerate(table()):
        if options.only not in scenario.name:
            continue
        runs = max(QUICK, round(full * scenario.worth)) if not options.quick else QUICK
        outcomes = simulate(table, row, runs, options.processes, progress(scenario.name, runs))
        print(row_of(scenario, outcomes), flush=True)


if __name__ == "__main__":
    sys.exit(main())
