"""Runs the workers: all libraries take turns in every round, so that a slow moment of the machine hits them alike."""

from __future__ import annotations

import json
import math
import random
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TypeAlias, cast

from benchmarks.sdk.environments import ROOT, python_of
from benchmarks.sdk.scenarios import How, Scenario

Values: TypeAlias = dict[str, list[float]]
"""Library to what its rounds gave, in ns for one decision or as the scenario says."""

Tell: TypeAlias = Callable[[str], None]

_TURN_NS = 40e6
"""A turn lasts about as long: long beside the clock's steps, short beside the machine's moods."""
_TURN_NS_QUICK = 5e6


@dataclass(frozen=True, slots=True)
class Plan:
    """How much to measure."""

    scenarios: Sequence[Scenario]
    names: Sequence[str]
    rounds: int
    is_quick: bool = False

    @property
    def turns(self) -> int:
        """How many steps a progress bar has."""
        return len(self.scenarios) * len(self.names) * self.rounds


@dataclass(frozen=True, slots=True)
class Results:
    """What was measured, by scenario."""

    values: dict[str, Values] = field(default_factory=dict)


class WrongAnswerError(AssertionError):
    """A library decides otherwise than the world says; nothing of it is timed."""


class Worker:
    """The process of one library."""

    def __init__(self, name: str, process: subprocess.Popen[str]) -> None:
        self.name = name
        self._to = cast("IO[str]", process.stdin)
        self._from = cast("IO[str]", process.stdout)
        self._passes: dict[str, int] = {}

    def prepare(self, scenario: Scenario, turn_ns: float) -> None:
        """Check the answers, warm up, and find out how often to ask in one turn.

        Raises:
            WrongAnswerError: an answer is not the right one.
        """
        if said := self._ask(scenario, 0)["wrong"]:
            raise WrongAnswerError(f"{self.name}, {scenario.name}: {said}")
        self._ask(scenario, 1)
        once_ns = float(self._ask(scenario, 1)["spent_ns"])
        self._passes[scenario.name] = max(1, math.ceil(turn_ns / once_ns))

    def turn(self, scenario: Scenario) -> float:
        """Measure once."""
        return float(self._ask(scenario, self._passes[scenario.name])["value"])

    def _ask(self, scenario: Scenario, passes: int) -> dict[str, float | str]:
        self._to.write(json.dumps({"scenario": scenario.name, "passes": passes}) + "\n")
        self._to.flush()
        line = self._from.readline()
        if not line:
            raise RuntimeError(f"the process of {self.name} ended in {scenario.name}; what it said is above")
        answer: dict[str, float | str] = json.loads(line)
        return answer


def measure(plan: Plan, tell: Tell) -> Results:
    """Measure everything.

    Args:
        plan: what, and how much.
        tell: called before each turn, with what it is.
    """
    results = Results()
    again = [scenario for scenario in plan.scenarios if scenario.how is not How.FRESH]
    fresh = [scenario for scenario in plan.scenarios if scenario.how is How.FRESH]
    if again:
        with _workers(plan.names) as workers:
            for scenario in again:
                results.values[scenario.name] = _again(plan, scenario, workers, tell)
    if fresh:
        with tempfile.TemporaryDirectory() as home:
            for scenario in fresh:
                results.values[scenario.name] = _fresh(plan, scenario, Path(home), tell)
    return results


def _again(plan: Plan, scenario: Scenario, workers: Mapping[str, Worker], tell: Tell) -> Values:
    values: Values = {name: [] for name in plan.names}
    for worker in workers.values():
        worker.prepare(scenario, _TURN_NS_QUICK if plan.is_quick else _TURN_NS)
    for name in _turns(plan):
        tell(f"{scenario.title}: {name}")
        values[name].append(workers[name].turn(scenario))
    return values


def _fresh(plan: Plan, scenario: Scenario, home: Path, tell: Tell) -> Values:
    values: Values = {name: [] for name in plan.names}
    for name in _turns(plan):
        tell(f"{scenario.title}: {name}")
        wire = home / name
        if not wire.exists():
            wire.write_bytes(_run(name, "write"))
        with wire.open("rb") as standard_input:
            values[name].append(float(json.loads(_run(name, scenario.name, standard_input))["value"]))
    return values


def _turns(plan: Plan) -> Iterator[str]:
    for _ in range(plan.rounds):
        yield from random.sample(plan.names, len(plan.names))


def _run(name: str, scenario: str, standard_input: IO[bytes] | int = subprocess.DEVNULL) -> bytes:
    return subprocess.run(  # noqa: S603 - this repository's own program
        _command(name, scenario), cwd=ROOT, check=True, stdin=standard_input, stdout=subprocess.PIPE
    ).stdout


def _command(name: str, *arguments: str) -> list[str | Path]:
    return [python_of(name), "-m", "benchmarks.sdk.worker", name, *arguments]


@contextmanager
def _workers(names: Sequence[str]) -> Iterator[dict[str, Worker]]:
    with ExitStack() as stack:
        yield {
            name: Worker(
                name,
                stack.enter_context(
                    subprocess.Popen(  # noqa: S603 - this repository's own program
                        _command(name), cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
                    )
                ),
            )
            for name in names
        }
