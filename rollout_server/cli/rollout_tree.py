"""A rollout drawn as a tree: its stages, and below the one it is in, its guardrails with interval and limit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollout_server.cli import rollout_answers
from rollout_server.cli.screen import BAD, DIM, GOOD, STRONG, WARN, Cell, Column, Mark, quantity
from rollout_server.cli.times import age, ago, stamp

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rollout_sdk.wire.v1 import control_pb2
    from rollout_server.cli.session import Session

COLUMNS = (Column("NAME"), Column("KIND"), Column("STATUS"), Column("AGE", is_number=True), Column("INFO", folds=True))

NARROW = 100
"""Columns of a terminal below which kinds and ages are left out."""

_BAR, _BAR_NARROW = 28, 10
_PPM_PER_PERCENT = 10_000
_AHEAD, _HERE, _DONE, _SKIPPED = 1, 2, 3, 4
_STANDINGS = {
    "healthy": Mark("✔ healthy", GOOD),
    "degraded": Mark("✘ degraded", BAD),
    "undecided": Mark("◷ undecided", WARN),
    "blind": Mark("? blind", WARN),
    "skewed": Mark("⚠ skewed", WARN),
    "unjudged": Mark("· unjudged", DIM),
    "": Mark("· not yet", DIM),
}
_WAITS = {
    "ramp": "ramping",
    "soak": "soaking",
    "exposed": "enough exposed units",
    "healthy": "healthy guardrails",
    "approval": "approval",
    "thaw": "the thaw",
    "turn": "its turn after the thaw",
}


def draw(session: Session, rollout: control_pb2.Rollout) -> None:
    """Draw the head and the tree."""
    screen = session.screen
    screen.facts(_facts(session, rollout))
    screen.line()
    if rollout.run:
        is_narrow = screen.width < NARROW
        rows = list(_rows(session, rollout, _BAR_NARROW if is_narrow else _BAR))
        kept = (0, 2, 4) if is_narrow else range(len(COLUMNS))  # names, standings, figures
        screen.table([COLUMNS[at] for at in kept], [[row[at] for at in kept] for row in rows])
    if rollout.need.kind and not rollout.need.acknowledged_by:
        screen.line()
        screen.line(Mark("next: ", WARN), _next(rollout))


def percent(share_ppm: int) -> str:
    """Write a share, "25 %"."""
    whole, rest = divmod(share_ppm, _PPM_PER_PERCENT)
    return f"{whole}.{rest:04d}".rstrip("0").rstrip(".") + " %"


def _facts(session: Session, rollout: control_pb2.Rollout) -> list[tuple[str, Sequence[Cell]]]:
    total = rollout.instances_connected + len(rollout.instances_unreachable)
    current = rollout.instances_connected - rollout.instances_behind
    sdks = f"{current:,}/{total:,} in force" if total else "none connected"
    for count, word in ((rollout.instances_behind, "behind"), (len(rollout.instances_unreachable), "unreachable")):
        sdks += f", {count} {word}" if count else ""
    run = f"run {rollout.run} · " if rollout.run else ""
    armed = "auto-rollback armed" if any(one.action == "rollback" for one in rollout.guardrails) else "no auto-rollback"
    control = f"{armed} · " if rollout.run else ""
    freeze = f"until {stamp(rollout.thaw_at_ms)}" if rollout.thaw_at_ms else "until somebody thaws it"
    return [
        ("Rollout", (Mark(rollout.key, STRONG), f"  ({session.environment()})")),
        ("Moves", (f"{rollout.flag} from {rollout.from_variant} to {rollout.to_variant} through {rollout.pipeline}",)),
        ("Status", (rollout_answers.phase(rollout), f"  {rollout.sentence}")),
        ("Stage", (_stage(rollout),)),
        ("Exposed", (_exposed(rollout),)),
        ("Frozen", (Mark(freeze, WARN) if rollout.frozen else "",)),
        ("SDKs", (sdks,)),
        ("Control", (f"{control}owner {rollout.owner or 'nobody'} · {run}revision {rollout.version}",)),
    ]


def _stage(rollout: control_pb2.Rollout) -> str:
    here = _here(rollout)
    if here is None or rollout.phase in rollout_answers.ENDED:
        return ""
    place = list(rollout.stages).index(here) + 1
    left_ms = here.ramp_ms - here.ramped_ms + here.soak_ms - here.soaked_ms
    left = f"   {age(left_ms)} left at least" if left_ms >= 1_000 else ""  # noqa: PLR2004 - a second
    served = percent(rollout.share_ppm)
    planned = "" if here.share_ppm == rollout.share_ppm else f" of {percent(here.share_ppm)} planned"
    return f"{place}/{len(rollout.stages)} {here.name}   {served}{planned} of {here.audience}{left}"


def _exposed(rollout: control_pb2.Rollout) -> str:
    if not rollout.exposed_units and not rollout.control_units:
        return ""
    return f"{quantity(rollout.exposed_units, rollout.unit)}, {rollout.control_units:,} in control"


def _here(rollout: control_pb2.Rollout) -> control_pb2.StageStatus | None:
    return next((stage for stage in rollout.stages if stage.state == _HERE), None)


def _rows(session: Session, rollout: control_pb2.Rollout, bar: int) -> Iterator[list[Cell]]:
    since = age(session.now_ms - rollout.started.at_ms) if rollout.started.at_ms else ""
    yield [Mark(rollout.key, STRONG), "Rollout", rollout_answers.phase(rollout), since, _ending(session, rollout)]
    last = len(rollout.stages) - 1
    for place, stage in enumerate(rollout.stages):
        is_here = stage.state == _HERE
        twig = "└── " if place == last else "├── "
        name = Mark(f"{twig}{stage.name}", STRONG if is_here else "")
        spent = age(session.now_ms - rollout.changed_at_ms) if is_here else ""
        yield [name, "Stage", _stage_mark(rollout, stage), spent, _info(rollout, stage, bar)]
        for at, guardrail in enumerate(rollout.guardrails if is_here else ()):
            branch = "    " if place == last else "│   "
            leaf = "└── " if at == len(rollout.guardrails) - 1 else "├── "
            standing = _STANDINGS.get(guardrail.standing, Mark(guardrail.standing))
            yield [f"{branch}{leaf}{guardrail.name}", "Guardrail", standing, "", _figures(guardrail)]


def _ending(session: Session, rollout: control_pb2.Rollout) -> str:
    if not rollout.HasField("end"):
        return ""
    return f"{rollout.phase} {ago(rollout.end.at_ms, session.now_ms)} by {rollout.end.who}"


def _stage_mark(rollout: control_pb2.Rollout, stage: control_pb2.StageStatus) -> Mark:
    if stage.state == _DONE:
        return Mark("✔ passed", GOOD)
    if stage.state == _SKIPPED:
        return Mark("↷ skipped", WARN)
    if stage.state == _HERE:
        return rollout_answers.phase(rollout)
    return Mark("· waiting", DIM)


def _info(rollout: control_pb2.Rollout, stage: control_pb2.StageStatus, bar: int) -> str:
    whom = "" if stage.audience == "everyone" else f" of {stage.audience}"
    if stage.state == _HERE and rollout.phase not in rollout_answers.ENDED:
        wanted = [word for name in stage.waits_for if (word := _WAITS.get(name)) is not None]
        waits = f"  waits for {' and '.join(wanted)}" if wanted and stage.waits_for != ["soak"] else ""
        return f"{percent(rollout.share_ppm)}{whom} {_bar(stage, bar)}{waits}"
    needs = []
    if stage.state == _AHEAD:
        needs += [f"{stage.exposed_wanted:,} exposed"] if stage.exposed_wanted else []
        needs += ["healthy guardrails"] if stage.healthy_wanted else []
        needs += [f"{stage.approval_count} of {stage.approval_from}"] if stage.approval_from else []
    asked = f", needs {', '.join(needs)}" if needs else ""
    return f"{percent(stage.share_ppm)}{whom}{asked}"


def _bar(stage: control_pb2.StageStatus, width: int) -> str:
    total_ms = stage.ramp_ms + stage.soak_ms
    done_ms = stage.ramped_ms + stage.soaked_ms
    if not total_ms:
        return ""
    share = min(1.0, done_ms / total_ms)
    filled = round(share * width)
    return f"{'━' * filled}{'─' * (width - filled)} {share:.0%}"


def _figures(guardrail: control_pb2.GuardrailStatus) -> str:
    """Write estimate, interval and limit; where there is no estimate, why."""
    if not guardrail.HasField("estimate") or guardrail.standing in {"blind", "skewed", "unjudged"}:
        return guardrail.sentence.partition(f" is {guardrail.standing}: ")[2] or guardrail.sentence
    low, high = (
        _amount(guardrail, getattr(guardrail, name)).removesuffix(" %") if guardrail.HasField(name) else "?"
        for name in ("low", "high")
    )
    estimate, limit = _amount(guardrail, guardrail.estimate), _amount(guardrail, guardrail.limit)
    action = "" if guardrail.action == "rollback" else f" ({guardrail.action})"
    return f"{estimate} [{low}, {high}]  limit {limit}{action}"


def _amount(guardrail: control_pb2.GuardrailStatus, value: float) -> str:
    if guardrail.is_relative:
        return f"{value:+.2%}".replace("%", " %")
    if not guardrail.unit:
        return f"{value:.2%}".replace("%", " %")
    return f"{value:.3g} {guardrail.unit}"


def _next(rollout: control_pb2.Rollout) -> str:
    if rollout.phase == "awaiting approval":
        return f"rollout approve {rollout.key}, or rollout reject {rollout.key} --reason ..."
    return f"look into it, then rollout ack {rollout.key}; rollout rollback {rollout.key} takes everybody back"
