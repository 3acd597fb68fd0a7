"""Asking for a plan, and drawing it: `plan`, `apply` and `diff` show the same thing."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rollout_server.cli import changes, documents
from rollout_server.cli.failures import ServerRefused
from rollout_server.cli.population import Population
from rollout_server.cli.screen import DIM, GOOD, STRONG, WARN, Mark, Screen, quantity

if TYPE_CHECKING:
    from rollout_sdk.engine.problems import Problem
    from rollout_sdk.wire.v1 import control_pb2
    from rollout_server.cli.session import Session
    from rollout_server.domain.files import Document

SYNTHETIC_DEFAULT = 1_000
SYNTHETIC_MAX = 100_000
MOVES_DEFAULT = 100
MOVES_MAX = 100_000
_EXAMPLES = 3
_CALLERS = "caller's default"
_LINES_MAX = 20
_PERCENT = 100
_CONTEXT = re.compile(r"population\[(\d+)\]")


@dataclass(frozen=True, slots=True)
class Question:
    """What a plan is asked for.

    Attributes:
        wire: the documents as they are sent.
        documents: the same as read, to find the line and column of a problem; empty for a saved plan's.
        at: compare with this point instead of now.
        population: a file of JSON lines, "-", or None.
        synthetic: contexts to make where no population is given; 0 counts nobody.
    """

    wire: Sequence[control_pb2.Document]
    documents: Sequence[Document] = ()
    prune: bool = False
    at: control_pb2.At | None = None
    population: str | None = None
    synthetic: int = SYNTHETIC_DEFAULT
    moves_limit: int = MOVES_DEFAULT


@dataclass(frozen=True, slots=True)
class Preview:
    """A plan with the units it lists."""

    summary: control_pb2.PlanSummary
    moves: tuple[control_pb2.Move, ...]

    @property
    def changes(self) -> list[control_pb2.ResourceChange]:
        """What changes; resources that stay are left out."""
        from rollout_sdk.wire.v1 import control_pb2

        return [item for item in self.summary.changes if item.operation != control_pb2.OPERATION_UNCHANGED]


def ask(session: Session, question: Question) -> Preview:
    """Ask the server, sending the population while it answers.

    Raises:
        CommandFailed: a document or a line of the population is wrong, each named by its place.
        ServerRefused: the server said no.
    """
    population = Population(question.population) if question.population is not None else None
    moves: list[control_pb2.Move] = []
    summary = None
    connection = session.connection
    try:
        for answer in connection.exchange(connection.stub.Plan, _requests(session, question, population)):
            if answer.HasField("summary"):
                summary = answer.summary
            moves.extend(answer.moves.moves)
    except ServerRefused as refused:
        if population is not None and population.failure is not None:
            raise population.failure from refused
        if population is not None:
            refused.problems = tuple(in_population(problem, population) for problem in refused.problems)
        raise documents.placed(refused, question.documents) from refused
    finally:
        session.screen.end_progress()
    if population is not None and population.failure is not None:
        raise population.failure
    if summary is None:
        raise ServerRefused("the server ended the plan without a summary", "look into its log", code="internal")
    return Preview(summary, tuple(moves))


def _requests(session: Session, question: Question, population: Population | None) -> Iterator[control_pb2.PlanRequest]:
    from rollout_sdk.wire.v1 import control_pb2

    yield control_pb2.PlanRequest(
        question=control_pb2.PlanQuestion(
            documents=question.wire,
            prune=question.prune,
            at=question.at,
            synthetic_count=0 if population is not None else question.synthetic,
            moves_limit=question.moves_limit,
        )
    )
    if population is None:
        return
    for batch in population.batches(lambda count: session.screen.progress(f"{count:,} contexts sent")):
        yield control_pb2.PlanRequest(population=control_pb2.PopulationBatch(contexts_json=batch))


def in_population(problem: Problem, population: Population) -> Problem:
    """Return a problem of a context with the line that holds it."""
    number = _CONTEXT.fullmatch(problem.path)
    return replace(problem, origin=population.place(int(number[1])), path="") if number else problem


def draw(screen: Screen, preview: Preview, *, counted_before: Sequence[str] = ()) -> None:
    """Draw a plan: changes, dependents, who moves, whether it shrinks, and what to beware of.

    Args:
        screen: where.
        preview: what.
        counted_before: who moves, as it was counted when the plan was saved, where this one counted nobody.
    """
    summary = preview.summary
    if not preview.changes:
        screen.line("nothing changes: the environment holds this already")
    else:
        screen.heading("CHANGES")
        changes.draw(screen, preview.changes)
    if summary.dependents:
        screen.line()
        screen.heading("DEPENDENTS")
        for item in summary.dependents[: _limit(screen, len(summary.dependents))]:
            screen.line(f"  {item.because}" if item.because.startswith(item.id) else f"  {item.id}: {item.because}")
        _more(screen, len(summary.dependents))
    if preview.changes:
        _draw_moves(screen, preview, counted_before)
        _draw_growth(screen, summary)
        _draw_approvals(screen, summary)
    for title, lines in (("SDKS THAT CANNOT EVALUATE THIS", summary.unsupported), ("WARNINGS", summary.warnings)):
        if lines:
            screen.line()
            screen.heading(title)
            for line in lines:
                screen.line(Mark("  ! ", WARN), line)


def _draw_moves(screen: Screen, preview: Preview, counted_before: Sequence[str]) -> None:
    summary = preview.summary
    screen.line()
    if counted_before:
        screen.heading("WHO MOVES, as counted when it was planned")
        for line in counted_before:
            screen.line(f"  {line}")
        return
    if summary.population == 0:
        screen.heading("WHO MOVES")
        screen.line("  not counted: there is no population; give one with --population FILE.jsonl or --synthetic N")
        return
    kind = "synthetic context" if summary.population_is_synthetic else "context"
    screen.heading(f"WHO MOVES, of {quantity(summary.population, kind)}")
    if not any(item.moved for item in summary.moves):
        screen.line("  nobody changes variant")
    for item in sorted(summary.moves, key=lambda item: (-item.moved, item.flag)):
        if not item.moved and not item.never_count:
            continue
        percent = _PERCENT * item.moved / summary.population
        never = f"  never holds {item.never_count:,}" if item.never_count else ""
        screen.line(
            "  ", Mark(f"flag/{item.flag}", STRONG), f"  {item.moved:,} move ({percent:.4g} %)", Mark(never, DIM)
        )
        for one in item.by_variant:
            screen.line(f"      {one.variant_before or _CALLERS} -> {one.variant_after or _CALLERS}  {one.count:,}")
            _draw_units(screen, preview, item.flag, one)
    most = max((item.moved for item in summary.moves), default=0)
    listed = Counter(move.flag for move in preview.moves)
    if most > _EXAMPLES and (not screen.is_wide or any(item.moved > listed[item.flag] for item in summary.moves)):
        limit = min(most, MOVES_MAX)
        shown = f"{_EXAMPLES} units of each" if not screen.is_wide else "not every unit"
        screen.line(Mark(f"  shown: {shown}; all of them: rollout plan -o wide --moves-limit {limit}", DIM))


def _draw_units(screen: Screen, preview: Preview, flag: str, one: control_pb2.VariantMove) -> None:
    listed = [
        move
        for move in preview.moves
        if (move.flag, move.variant_before, move.variant_after) == (flag, one.variant_before, one.variant_after)
    ]
    # Several contexts may share a unit: as an example it is worth one line.
    examples = {(move.unit_kind, move.unit_key): move for move in reversed(listed)} if not screen.is_wide else {}
    for move in listed if screen.is_wide else list(examples.values())[: -_EXAMPLES - 1 : -1]:
        unit = f"{move.unit_kind} {move.unit_key}" if move.unit_key else "no unit"
        before, after = _why(move.reason_before, move.rule_before), _why(move.reason_after, move.rule_after)
        screen.line(Mark(f"        {unit}: {before} -> {after}", DIM))


def _why(reason: str, rule: str) -> str:
    """Say what answered: "rule staff", "split trial", "no unit"."""
    return " ".join(filter(None, (reason.replace("_", " "), rule)))


def _draw_growth(screen: Screen, summary: control_pb2.PlanSummary) -> None:
    screen.line()
    if summary.shrinks:
        screen.line(Mark("✔ shrinks", GOOD), ": proven, every context keeps its variant or gets its safe one")
        return
    screen.line(Mark("▲ grows", WARN), ", or cannot be proven to shrink:")
    for reason in summary.growth[: _limit(screen, len(summary.growth))]:
        screen.sentence(reason, indent=4)
    _more(screen, len(summary.growth))


def _draw_approvals(screen: Screen, summary: control_pb2.PlanSummary) -> None:
    if not summary.approvals:
        return
    screen.line()
    screen.line(Mark("● needs approval", WARN), ": applying it stores a change until they agree")
    for demand in summary.approvals:
        screen.line(f"    {demand.count} of {demand.group}: {', '.join(demand.people)}")
        for because in demand.because:
            screen.line(Mark(f"      {because}", DIM))


def _limit(screen: Screen, count: int) -> int:
    return count if screen.is_wide else _LINES_MAX


def _more(screen: Screen, count: int) -> None:
    if count > _limit(screen, count):
        screen.line(Mark(f"    and {count - _LINES_MAX} more: -o wide", DIM))
