"""`rollout simulate`: a run in compressed time, against users who do not exist."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rollout_server.cli import documents, standing
from rollout_server.cli.failures import CommandFailed, Exit, Finished, usage
from rollout_server.cli.population import Population
from rollout_server.cli.screen import BAD, DIM, GOOD, STRONG, Column, Mark, quantity
from rollout_server.cli.session import Session
from rollout_server.cli.shell import Command, pass_session
from rollout_server.cli.times import age, duration_ms

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rollout_server.cli.screen import Cell
    from rollout_server.cli.yaml_text import Data
    from rollout_server.domain.guardrails.spec import MetricSpec
    from rollout_server.domain.resources import Resource, ResourceId
    from rollout_server.domain.rollouts import PipelineSpec
    from rollout_server.domain.simulation.replay import Group, Replay, Scene

UNITS_PER_MINUTE = 500
RUNS_MAX = 1_000
_MOST = 0.9
_PERCENT = 100


@dataclass(frozen=True, slots=True)
class Ground:
    """What is simulated: a pipeline and what it is judged by."""

    name: str
    pipeline: PipelineSpec
    metrics: Mapping[str, MetricSpec]
    resources: Mapping[ResourceId, Resource]


@click.command(cls=Command)
@click.argument("target", metavar="FILE|DIR|KEY")
@click.option("--rollout", "key", metavar="KEY", help="Which rollout or pipeline, where the files hold several.")
@click.option(
    "--effect", "effects", multiple=True, metavar="[METRIC=]+20%",
    help="What the new variant does: to one metric, or to all of the guardrails in the harmful direction. Repeatable.",
)  # fmt: skip
@click.option("--onset", default="0m", show_default=True, metavar="TIME", help="From when on, after the start.")
@click.option(
    "--units-per-minute", type=click.FloatRange(0, 1e9, min_open=True), default=UNITS_PER_MINUTE, show_default=True,
    metavar="N", help="New users a minute.",
)  # fmt: skip
@click.option("--level", "levels", multiple=True, metavar="METRIC=2%", help="What a metric is without it. Repeatable.")
@click.option(
    "--population", metavar="FILE.jsonl", help="How many are in each audience, by these contexts; - is standard input."
)
@click.option(
    "--audience-share", default="1%", show_default=True, metavar="SHARE",
    help="Without --population: the share of users in audiences that are not everyone.",
)  # fmt: skip
@click.option(
    "--runs", type=click.IntRange(1, RUNS_MAX), default=1, show_default=True, help="How often, each otherwise."
)
@click.option("--seed", type=int, default=0, show_default=True, metavar="N", help="The same one repeats a run.")
@pass_session
def simulate(  # noqa: PLR0913, PLR0917 - one parameter per option
    session: Session,
    target: str,
    key: str | None,
    effects: tuple[str, ...],
    onset: str,
    units_per_minute: float,
    levels: tuple[str, ...],
    population: str | None,
    audience_share: str,
    runs: int,
    seed: int,
) -> None:
    """Replay a rollout in compressed time: what would be caught?

    TARGET is a file or directory with the rollout, its pipeline and metrics, or the key of a rollout on the server.
    The machine and the statistics are the real ones; the users are not. Changes nothing.

    0: a harmless run completes, a harmful one is rolled back, in nine of ten runs; 5: it does not.
    """
    ground = _from_files(session, target, key) if target == "-" or Path(target).exists() else _standing(session, target)
    scene = _scene(ground, effects, levels, units_per_minute, onset)
    scene = replace(scene, groups=_groups(ground, population, audience_share), seed=seed)
    replays = _replays(session, scene, runs)
    is_harmful = _is_harmful(scene)
    session.screen.show(
        {"name": ground.name, "units_per_minute": units_per_minute, "runs": [_data(one) for one in replays]},
        lambda: _draw(session, ground, scene, replays),
    )
    fine = sum(_is_as_wanted(one, is_harmful=is_harmful) for one in replays)
    if fine < _MOST * runs:
        raise Finished(Exit.NOT_IN_FORCE)


def _replays(session: Session, scene: Scene, runs: int) -> list[Replay]:
    from rollout_server.domain.simulation.replay import replay

    replays = []
    for number in range(runs):
        session.screen.progress(f"run {number + 1} of {runs}")
        replays.append(replay(replace(scene, seed=scene.seed + number)))
    session.screen.end_progress()
    return replays


def _is_as_wanted(one: Replay, *, is_harmful: bool) -> bool:
    from rollout_server.domain.machine import Phase

    return one.caught_ms is not None if is_harmful else one.phase is Phase.COMPLETED


def _is_harmful(scene: Scene) -> bool:
    from rollout_server.domain.guardrails.spec import Bad

    return any(
        (ratio > 1) is (scene.metrics[key].bad is Bad.HIGH) for key, ratio in scene.effects.items() if ratio != 1
    )


# -------------------------------------------------------------------------------------------------- what is simulated


def _from_files(session: Session, target: str, key: str | None) -> Ground:
    read = documents.load_all((target,), session.choice.environment or "")
    resources = {one.resource.id: one.resource for one in read if one.resource is not None}
    return _ground(resources, key, "the files")


def _standing(session: Session, target: str) -> Ground:
    from rollout_sdk.wire.v1 import control_pb2

    connection = session.connection
    answer = connection.ask(connection.stub.ListResources, control_pb2.ListResourcesRequest())
    resources = [standing.read(item) for item in answer.resources if item.document.kind != "Token"]
    return _ground({one.id: one for one in resources}, target, "the environment")


def _ground(resources: Mapping[ResourceId, Resource], key: str | None, where: str) -> Ground:
    from rollout_server.domain.guardrails.spec import MetricSpec
    from rollout_server.domain.resources import Kind, ResourceId
    from rollout_server.domain.rollouts import PipelineSpec, RolloutSpec
    from rollout_server.domain.telemetry import PROCESS_LOST

    rollouts = {id_.key: one.spec for id_, one in resources.items() if isinstance(one.spec, RolloutSpec)}
    wanted = {name: spec for name, spec in rollouts.items() if key is None or key in {name, spec.flag}}
    pipelines = {id_.key for id_ in resources if id_.kind is Kind.PIPELINE}
    if len(wanted) > 1 or (key is None and not wanted and len(pipelines) > 1):
        names = ", ".join(sorted(wanted or pipelines))
        raise usage(f"there are several to simulate: {names}", "name one with --rollout")
    name, pipeline = next(((name, spec.pipeline) for name, spec in wanted.items()), ("", key or "".join(pipelines)))
    found = resources.get(ResourceId(Kind.PIPELINE, pipeline))
    if found is None or not isinstance(found.spec, PipelineSpec):
        what = f"pipeline {pipeline!r}" if pipeline else "rollout and no pipeline"
        raise CommandFailed(
            f"there is no {what} in {where}", "name a file that holds it, or the key of one that stands"
        )
    metrics = {id_.key: one.spec for id_, one in resources.items() if isinstance(one.spec, MetricSpec)}
    # Processes are no users: none is lost here, and the server counts them without a document.
    watched = tuple(one for one in found.spec.guardrails if one.metric != PROCESS_LOST)
    missing = sorted({one.metric for one in watched} - metrics.keys())
    if missing:
        raise CommandFailed(f"the metric {missing[0]!r} is not in {where}", "name the directory that holds it too")
    return Ground(name or pipeline, replace(found.spec, guardrails=watched), metrics, resources)


def _scene(ground: Ground, effects: Sequence[str], levels: Sequence[str], units_per_minute: float, onset: str) -> Scene:
    from rollout_server.domain.guardrails.spec import Bad
    from rollout_server.domain.simulation.replay import Scene

    judged = [one.metric for one in ground.pipeline.guardrails]
    changed: dict[str, float] = {}
    for text in effects:
        metric, _, amount = text.rpartition("=")
        share = _share(amount, "effect")
        if metric:
            changed[_known(metric, judged)] = 1 + share
            continue
        for each in judged:
            changed[each] = 1 + (abs(share) if ground.metrics[each].bad is Bad.HIGH else -abs(share))
    usual = {}
    for text in levels:
        metric, _, amount = text.rpartition("=")
        usual[_known(metric, judged)] = _share(amount, "level")
    if any(ratio <= 0 for ratio in changed.values()) or any(level <= 0 for level in usual.values()):
        raise usage("nothing is left of a metric that falls to zero", "write a smaller effect, or a level above 0")
    try:
        onset_ms = duration_ms(onset)
    except ValueError as error:
        raise usage(str(error)) from error
    return Scene(ground.pipeline, ground.metrics, (), units_per_minute, usual, changed, onset_ms)


def _known(metric: str, judged: Sequence[str]) -> str:
    if metric not in judged:
        raise usage(f"no guardrail watches {metric!r}", f"these are watched: {', '.join(judged) or 'none'}")
    return metric


def _share(text: str, what: str) -> float:
    """Read "+20%", "2%" or "0.3"."""
    number, is_percent = text.removesuffix("%"), text.endswith("%")
    try:
        value = float(number)
    except ValueError:
        raise usage(f"{text!r} is no {what}", "write it like +20%, or like checkout.error_rate=+20%") from None
    if not abs(value) < float("inf"):
        raise usage(f"{text!r} is no {what}", "write a number")
    return value / _PERCENT if is_percent else value


def _groups(ground: Ground, population: str | None, audience_share: str) -> tuple[Group, ...]:
    from rollout_server.domain.simulation.crowd import counted, supposed

    if population is None:
        share = _share(audience_share, "share")
        if not 0 <= share <= 1:
            raise usage(f"{audience_share!r} is no share of users", "write 0% to 100%")
        return supposed(ground.pipeline, share)
    from rollout_sdk.engine.context import from_json
    from rollout_server.domain.resources import Kind
    from rollout_server.domain.ruleset import cohort_of

    people = Population(population)
    contexts = [from_json(text) for batch in people.batches(lambda _: None) for text in batch]
    if people.failure is not None:
        raise people.failure
    cohorts = {id_.key: cohort_of(one) for id_, one in ground.resources.items() if id_.kind is Kind.COHORT}
    return counted(ground.pipeline, cohorts, contexts)


# ---------------------------------------------------------------------------------------------------- what came of it


def _data(one: Replay) -> dict[str, Data]:
    return {
        "phase": one.phase.value,
        "sentence": one.sentence,
        "ended_ms": one.ended_ms,
        "caught_ms": one.caught_ms,
        "exposed": one.exposed,
        "harmed": one.harmed,
        "window_ms": one.window_ms,
        "stages": [
            {
                "name": stage.name,
                "entered_ms": stage.entered_ms,
                "left_ms": stage.left_ms,
                "exposed": stage.exposed,
                "control": stage.control,
                "verdicts": list(stage.verdicts),
            }
            for stage in one.stages
        ],
    }


def _draw(session: Session, ground: Ground, scene: Scene, replays: Sequence[Replay]) -> None:
    screen, first = session.screen, replays[0]
    onset = age(scene.onset_ms) if scene.onset_ms else "the start"
    wrong = f"; from {onset} on {_effects(scene)}" if scene.effects else ""
    every = f"{scene.units_per_minute:,.0f} new users a minute"
    screen.heading(f"SIMULATED {ground.name}, {every}, judged every {age(first.window_ms)}{wrong}")
    columns = (
        Column("STAGE"),
        Column("ENTERED", is_number=True),
        Column("LEFT", is_number=True),
        Column("EXPOSED", is_number=True),
        Column("CONTROL", is_number=True),
    )
    rows: list[list[Cell]] = [
        [Mark(one.name, STRONG), _after(one.entered_ms), _after(one.left_ms), f"{one.exposed:,}", f"{one.control:,}"]
        for one in first.stages
    ]
    screen.table(columns, rows)
    for stage in first.stages:
        screen.line()
        screen.heading(f"VERDICTS on leaving {stage.name}")
        for verdict in stage.verdicts:
            screen.sentence(verdict, indent=2)
    screen.line()
    _draw_end(session, scene, first)
    if len(replays) > 1:
        _draw_many(session, scene, replays)


def _effects(scene: Scene) -> str:
    return ", ".join(f"{key} {_PERCENT * (ratio - 1):+.3g} %" for key, ratio in scene.effects.items())


def _after(elapsed_ms: int) -> str:
    return age(elapsed_ms) if elapsed_ms else "0m"


def _draw_end(session: Session, scene: Scene, one: Replay) -> None:
    from rollout_server.domain.machine import Phase

    is_fine = _is_as_wanted(one, is_harmful=_is_harmful(scene))
    mark = Mark("✔ ", GOOD) if is_fine else Mark("✘ ", BAD)
    if one.phase is Phase.ROLLED_BACK:
        session.screen.sentence(mark, f"rolled back after {age(one.ended_ms)}: {one.sentence}")
        if one.caught_ms is not None:
            exposed = f"{quantity(one.harmed, 'user')} exposed meanwhile, {one.exposed:,} in all"
            session.screen.line(f"  caught {age(one.caught_ms)} after its onset; {exposed}")
    elif one.phase is Phase.COMPLETED:
        session.screen.line(mark, f"completed after {age(one.ended_ms)}; {quantity(one.exposed, 'user')} exposed")
    else:
        session.screen.sentence(mark, f"left after {age(one.ended_ms)}, {one.phase.value}: {one.sentence}")


def _draw_many(session: Session, scene: Scene, replays: Sequence[Replay]) -> None:
    from rollout_server.domain.machine import Phase

    count = len(replays)
    screen = session.screen
    screen.line()
    caught = sorted(one.caught_ms for one in replays if one.caught_ms is not None)
    if _is_harmful(scene):
        screen.line(f"{len(caught)} of {quantity(count, 'run')} were rolled back after the onset")
        if caught:
            middle, late = caught[len(caught) // 2], caught[min(len(caught) - 1, len(caught) * 9 // 10)]
            harmed = sorted(one.harmed for one in replays if one.caught_ms is not None)[len(caught) // 2]
            screen.line(f"  half of them within {age(middle)}, nine of ten within {age(late)}")
            screen.line(f"  {quantity(harmed, 'user')} exposed meanwhile", Mark(" (median)", DIM))
        return
    done = [one.ended_ms for one in replays if one.phase is Phase.COMPLETED]
    back = sum(one.phase is Phase.ROLLED_BACK for one in replays)
    screen.line(f"{len(done)} of {quantity(count, 'run')} completed, {back} were rolled back for nothing")
