"""Measures the SDK beside others, all fed from memory, and prints the ratios.

python -m benchmarks.sdk [--quick] [--compiled] [--only NAME ...] [--rounds 15] [--write]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from benchmarks.sdk import table
from benchmarks.sdk.environments import python_of, versions
from benchmarks.sdk.measure import Plan, Tell, WrongAnswerError, measure
from benchmarks.sdk.scenarios import BY_NAME, COMPILED, NOTES, OURS, PEERS, SCENARIOS

ROUNDS = 15
ROUNDS_QUICK = 3


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sdk", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="short turns, few rounds: that it works, roughly")
    parser.add_argument("--compiled", action="store_true", help="measure the engine compiled, too (built first)")
    parser.add_argument("--only", nargs="+", choices=sorted(BY_NAME), default=[], help="these rows")
    parser.add_argument("--rounds", type=int, default=0, help=f"{ROUNDS}, with --quick {ROUNDS_QUICK}")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/performance.md")
    return parser.parse_args(arguments)


@contextmanager
def _bar(console: Console, turns: int) -> Iterator[Tell]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=turns)

        def tell(what: str) -> None:
            progress.update(task, description=what, advance=1)

        yield tell


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and perhaps write."""
    options = _arguments(arguments)
    if options.write and (options.only or options.quick):
        sys.stderr.write("--write needs the whole run: leave out --only and --quick\n")
        return 2
    console = Console(stderr=True)
    names = [OURS, *([COMPILED] if options.compiled else []), *PEERS]
    for name in names:
        with console.status(f"the environment of {name}"):
            python_of(name)
    plan = Plan(
        scenarios=[scenario for scenario in SCENARIOS if not options.only or scenario.name in options.only],
        names=names,
        rounds=options.rounds or (ROUNDS_QUICK if options.quick else ROUNDS),
        is_quick=options.quick,
    )
    try:
        with _bar(console, plan.turns) as tell:
            results = measure(plan, tell)
    except WrongAnswerError as error:
        sys.stderr.write(f"a wrong answer, so nothing is timed: {error}\n")
        return 1
    for who in names[: 1 + options.compiled]:
        print(f"\n{table.TITLES[who]}: ours over theirs, median (least and most) of {plan.rounds} rounds\n")
        print(table.table(results, who, versions()), flush=True)
        if options.write:
            table.write(results, who, versions())
    print(f"\n{NOTES}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
