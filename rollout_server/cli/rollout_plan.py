"""`rollout plan --rollout`: when each stage is entered at the earliest, who enters it, and who never does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rollout_server.cli import documents
from rollout_server.cli.failures import ServerRefused
from rollout_server.cli.population import Population
from rollout_server.cli.preview import in_population
from rollout_server.cli.rollout_tree import percent
from rollout_server.cli.screen import DIM, GOOD, STRONG, WARN, Column, Mark, quantity
from rollout_server.cli.times import age, stamp

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rollout_sdk.wire.v1 import control_pb2
    from rollout_server.cli.screen import Cell, Screen
    from rollout_server.cli.session import Session
    from rollout_server.cli.yaml_text import Data

COLUMNS = (
    Column("STAGE"),
    Column("ENTERS"),
    Column("AFTER", is_number=True),
    Column("SHARE", is_number=True),
    Column("OF", folds=True),
    Column("NEW", is_number=True),
    Column("EXPOSED", is_number=True),
    Column("CONTROL", is_number=True),
)
_WAITS = {"schedule": "its schedule", "thaw": "the thaw", "turn": "its turn after the thaw"}
_KEYS_SHOWN = 3
_TEN = 10  # percent: below, one decimal is worth its place


@dataclass(frozen=True, slots=True)
class Question:
    """What a plan of a rollout is asked for.

    Attributes:
        target: the rollout's key, or its flag's.
        population: a file of JSON lines, "-", or None.
        synthetic: contexts to make where no population is given; 0 counts nobody.
        listed: unit keys to list for each stage and arm.
    """

    target: str
    population: str | None
    synthetic: int
    listed: int


def show(session: Session, question: Question) -> None:
    """Ask, and show what comes."""
    plan = ask(session, question)
    moves = f"{plan.flag}: {plan.from_variant} -> {plan.to_variant}"
    session.begin(f"plan of rollout {plan.rollout} run {plan.run} against revision {plan.position.revision}", moves)
    session.screen.show(data(session, plan), lambda: draw(session.screen, plan))


def ask(session: Session, question: Question) -> control_pb2.PlanRolloutResponse:
    """Ask the server, sending the population.

    Raises:
        CommandFailed: a line of the population is wrong, named by its place.
        ServerRefused: the server said no.
    """
    population = Population(question.population) if question.population is not None else None
    connection = session.connection
    try:
        plan = connection.send(connection.stub.PlanRollout, _requests(session, question, population))
    except ServerRefused as refused:
        if population is not None and population.failure is not None:
            raise population.failure from refused
        if population is not None:
            refused.problems = tuple(in_population(problem, population) for problem in refused.problems)
        raise documents.placed(refused, ()) from refused
    finally:
        session.screen.end_progress()
    if population is not None and population.failure is not None:
        raise population.failure
    return plan


def _requests(
    session: Session, question: Question, population: Population | None
) -> Iterator[control_pb2.PlanRolloutRequest]:
    from rollout_sdk.wire.v1 import control_pb2

    yield control_pb2.PlanRolloutRequest(
        question=control_pb2.PlanRolloutQuestion(
            rollout=question.target,
            synthetic_count=0 if population is not None else question.synthetic,
            listed_max=question.listed,
        )
    )
    if population is None:
        return
    for batch in population.batches(lambda count: session.screen.progress(f"{count:,} contexts sent")):
        yield control_pb2.PlanRolloutRequest(population=control_pb2.PopulationBatch(contexts_json=batch))


def data(session: Session, plan: control_pb2.PlanRolloutResponse) -> dict[str, Data]:
    """Return the plan for a program."""
    return {
        "environment": session.environment(),
        "rollout": plan.rollout,
        "flag": plan.flag,
        "from": plan.from_variant,
        "to": plan.to_variant,
        "unit": plan.unit,
        "run": plan.run,
        "phase": plan.phase,
        "now": stamp(plan.now_ms),
        "revision": plan.position.revision,
        "stages": [_stage_data(stage) for stage in plan.stages],
        "completes": stamp(plan.completes_ms) if plan.completes_ms else None,
        "population": plan.contexts,
        "units": plan.units,
        "population_is_synthetic": plan.population_is_synthetic,
        "exempt": [
            {
                "code": one.code,
                "why": one.why,
                "rule": one.rule or None,
                "variant": one.variant or None,
                "count": one.count,
                "examples": list(one.examples),
            }
            for one in plan.exempt
        ],
        "warnings": list(plan.warnings),
    }


def _stage_data(stage: control_pb2.PlannedStage) -> dict[str, Data]:
    is_counted = stage.HasField("exposed")
    return {
        "name": stage.name,
        "audience": stage.audience,
        "share_ppm": stage.share_ppm,
        "entered": stage.entered,
        "enters": stamp(stage.enters_ms) if stage.enters_ms else None,
        "steps": [{"at": stamp(step.at_ms), "share_ppm": step.share_ppm} for step in stage.steps],
        "soak_ms": stage.soak_ms,
        "waited_for": list(stage.waited_for),
        "needs": list(stage.needs),
        "required": stage.required,
        "entering": stage.entering if is_counted else None,
        "exposed": stage.exposed if is_counted else None,
        "control": stage.control if is_counted else None,
        "candidates": list(stage.candidates),
        "controls": list(stage.controls),
        "paces": [
            {
                "metric": pace.metric,
                "healthy_ms": pace.healthy_ms if pace.HasField("healthy_ms") else None,
                "caught_ms": pace.caught_ms if pace.HasField("caught_ms") else None,
                "regression": pace.regression,
                "relative": pace.relative,
                "unknown": pace.unknown or None,
            }
            for pace in stage.paces
        ],
    }


def draw(screen: Screen, plan: control_pb2.PlanRolloutResponse) -> None:
    """Draw it: stages with times and counts, what each needs, verdicts, who never, and what to beware of."""
    screen.heading(f"STAGES, at the earliest if all goes well from {stamp(plan.now_ms)}")
    screen.table(COLUMNS, [_row(plan, stage) for stage in plan.stages])
    end = stamp(plan.completes_ms) if plan.completes_ms else "never within ten years"
    after = f", after {age(plan.completes_ms - plan.now_ms)}" if plan.completes_ms else ""
    screen.line(Mark("completes ", DIM), end, Mark(after, DIM))
    _draw_needs(screen, plan)
    _draw_units(screen, plan)
    _draw_paces(screen, plan)
    _draw_exempt(screen, plan)
    if plan.warnings:
        screen.line()
        screen.heading("WARNINGS")
        for warning in plan.warnings:
            screen.sentence(Mark("▲ ", WARN), warning, indent=2)


def _row(plan: control_pb2.PlanRolloutResponse, stage: control_pb2.PlannedStage) -> list[Cell]:
    enters: Cell = Mark("entered", GOOD) if stage.entered else stamp(stage.enters_ms) if stage.enters_ms else "never"
    after = age(stage.enters_ms - plan.now_ms) if stage.enters_ms else ""
    counts = (stage.entering, stage.exposed, stage.control) if stage.HasField("exposed") else ()
    told = [_count(plan, count) for count in counts] or ["", "", ""]
    return [Mark(stage.name, STRONG), enters, after, percent(stage.share_ppm), stage.audience, *told]


def _count(plan: control_pb2.PlanRolloutResponse, count: int) -> str:
    """Exact over a given population; the share that a made-up one stands for, with its interval."""
    if not plan.population_is_synthetic:
        return f"{count:,}"
    from rollout_server.domain.rollout_population import interval

    low, high = (edge * 100 for edge in interval(count, plan.units))
    return f"{low:.0f}-{high:.0f} %" if high >= _TEN else f"{low:.1f}-{high:.1f} %"


def _draw_needs(screen: Screen, plan: control_pb2.PlanRolloutResponse) -> None:
    lines: list[tuple[str, str]] = []
    for stage in plan.stages:
        if len(stage.steps) > 1:
            until = stamp(stage.steps[-1].at_ms)
            lines.append((stage.name, f"ramps in {len(stage.steps)} steps until {until}"))
        waits = " and ".join(_WAITS.get(word, word) for word in stage.waited_for)
        if waits and not stage.entered:
            lines.append((stage.name, f"waits for {waits}"))
        if stage.needs:
            lines.append((stage.name, f"needs {', '.join(stage.needs)}"))
    if lines:
        screen.line()
        screen.heading("ON THE WAY")
        screen.table((Column(""), Column("", folds=True)), [[f"  {name}", text] for name, text in lines])


def _draw_units(screen: Screen, plan: control_pb2.PlanRolloutResponse) -> None:
    if plan.population_is_synthetic or not plan.contexts:
        return
    screen.line()
    screen.heading(f"WHO ENTERS, of {quantity(plan.units, plan.unit)} in {quantity(plan.contexts, 'context')}")
    for stage in plan.stages:
        for arm, keys, count in (
            ("candidate", stage.candidates, stage.entering),
            ("control", stage.controls, stage.control),
        ):
            if count:
                screen.line(f"  {stage.name}  ", Mark(arm, DIM), f"  {_keys(screen, keys, count)}")


def _keys(screen: Screen, keys: Sequence[str], count: int) -> str:
    shown = keys if screen.is_wide else keys[:_KEYS_SHOWN]
    more = count - len(shown)
    return ", ".join(shown) + (f" and {more:,} more" if more > 0 else "")


def _draw_paces(screen: Screen, plan: control_pb2.PlanRolloutResponse) -> None:
    paces = [(stage.name, pace) for stage in plan.stages for pace in stage.paces]
    if not paces:
        return
    screen.line()
    screen.heading("VERDICTS, estimated at recent traffic")
    if all(pace.unknown == paces[0][1].unknown for _, pace in paces) and paces[0][1].unknown:
        screen.line(f"  {paces[0][1].unknown}")
        return
    screen.table((Column(""), Column(""), Column("", folds=True)), [_pace(name, pace) for name, pace in paces])


def _pace(stage: str, pace: control_pb2.GuardrailPace) -> list[Cell]:
    if pace.unknown:
        return [f"  {stage}", pace.metric, Mark(pace.unknown, DIM)]
    healthy = f"healthy after {age(pace.healthy_ms)}" if pace.HasField("healthy_ms") else "never healthy as it is"
    wrong = f"{pace.regression:+.0%}" if pace.relative else f"{pace.regression:.3g}"
    caught = f"{wrong} caught after {age(pace.caught_ms)}" if pace.HasField("caught_ms") else ""
    return [f"  {stage}", pace.metric, ", ".join(filter(None, (healthy, caught)))]


def _draw_exempt(screen: Screen, plan: control_pb2.PlanRolloutResponse) -> None:
    if not plan.exempt:
        return
    screen.line()
    kind = "synthetic context" if plan.population_is_synthetic else "context"
    screen.heading(f"WHO NEVER GETS IT FROM THIS ROLLOUT, of {quantity(plan.contexts, kind)}")
    rows: list[list[Cell]] = []
    for one in plan.exempt:
        served = one.variant or "the caller's default"
        by = f" ({one.rule})" if one.rule else ""
        examples = (
            f": {_keys(screen, one.examples, one.count)}" if one.examples and not plan.population_is_synthetic else ""
        )
        rows.append([f"  {one.count:,}", f"get {served}: {one.why}{by}", Mark(examples.removeprefix(": "), DIM)])
    screen.table((Column("", is_number=True), Column("", folds=True), Column("", folds=True)), rows)
