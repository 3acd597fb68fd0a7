"""What the controller keeps of a run between two entries of the journal: soak, evidence, and the last verdicts.

Kept beside the journal, as the body of a `RunCheckpoint`. Losing it costs evidence and soak since the last transition,
never a decision; so what does not parse is left behind piece by piece, and said.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from rollout_server.domain.guardrails import sample_ratio
from rollout_server.domain.guardrails.state import read_guardrail, read_ratio, write
from rollout_server.domain.guardrails.verdict import read_verdict, write_verdict
from rollout_server.domain.judging import Case, Evidence, begin
from rollout_server.domain.machine import Progress, read_progress, write_progress
from rollout_server.domain.telemetry import RunCheckpoint
from rollout_server.errors import Corrupt

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rollout_server.domain.resources import Evidence as Verdicts
    from rollout_server.domain.telemetry import RunId


@dataclass(frozen=True, slots=True)
class RunMemory:
    """What ticks know of a run.

    Attributes:
        progress: names the transition it belongs to.
        verdicts: of the last look.
        damage: what of a checkpoint could not be read, a sentence each.
        is_unread: the store could not be asked: there may be evidence that is not here.
    """

    progress: Progress
    evidence: Evidence
    verdicts: Verdicts = ()
    damage: tuple[str, ...] = ()
    is_unread: bool = False


def fresh(run: RunId, progress: Progress) -> RunMemory:
    """Return the memory of a run that nobody looked at yet."""
    return RunMemory(progress, begin(run.run))


def write_memory(run: RunId, fence: int, memory: RunMemory) -> RunCheckpoint:
    """Return what a store keeps."""
    evidence = memory.evidence
    body = {
        "progress": write_progress(memory.progress),
        "ratio": write(evidence.ratio),
        "cases": {name: {"mark": case.mark, "state": write(case.state)} for name, case in evidence.cases.items()},
        "verdicts": [[name, write_verdict(verdict)] for name, verdict in memory.verdicts],
    }
    text = json.dumps(body, separators=(",", ":"), allow_nan=True)
    return RunCheckpoint(run, fence, dict(evidence.judged), text.encode())


def read_memory(checkpoint: RunCheckpoint, progress: Progress) -> RunMemory:
    """Return what was kept.

    Args:
        checkpoint: as the store gave it.
        progress: of the run in the journal, where that of the checkpoint does not parse.
    """
    where = f"checkpoint of {checkpoint.run.rollout} run {checkpoint.run.run}"
    memory = replace(fresh(checkpoint.run, progress), evidence=_unread(checkpoint))
    try:
        body = json.loads(checkpoint.body)
    except ValueError as error:
        return replace(memory, damage=(f"{where} does not parse: {error}",))
    if not isinstance(body, dict):
        return replace(memory, damage=(f"{where} is no map",))
    damage: list[str] = []
    try:
        memory = replace(memory, progress=read_progress(body.get("progress"), where))
    except Corrupt as error:
        damage.append(str(error))
    try:
        memory = replace(memory, verdicts=_verdicts(body.get("verdicts"), where))
    except Corrupt as error:
        damage.append(str(error))
    evidence, more = _evidence(memory.evidence, body, where)
    return replace(memory, evidence=evidence, damage=(*damage, *more))


def _unread(checkpoint: RunCheckpoint) -> Evidence:
    """Windows that were judged stay judged: they are never judged twice, whatever became of their evidence."""
    judged = MappingProxyType(dict(checkpoint.judged))
    return Evidence(sample_ratio.start(checkpoint.run.run), judged=judged)


def _evidence(evidence: Evidence, body: Mapping[str, object], where: str) -> tuple[Evidence, list[str]]:
    damage: list[str] = []
    try:
        evidence = replace(evidence, ratio=read_ratio(body.get("ratio"), f"{where}, sample ratio"))
    except Corrupt as error:
        damage.append(str(error))
    stored, cases = body.get("cases"), {}
    for name, case in stored.items() if isinstance(stored, dict) else ():
        if not isinstance(case, dict) or not isinstance(case.get("mark"), str):
            damage.append(f"{where}: {name} has no mark")
            continue
        try:
            cases[name] = Case(case["mark"], read_guardrail(case.get("state"), f"{where}, {name}"))
        except Corrupt as error:
            damage.append(str(error))
    return replace(evidence, cases=MappingProxyType(cases)), damage


def _verdicts(tree: object, where: str) -> Verdicts:
    if not isinstance(tree, list) or any(not isinstance(pair, list) or len(pair) != 2 for pair in tree):  # noqa: PLR2004 - a pair
        raise Corrupt(where, "verdicts are pairs of a name and a verdict", "they are made anew at the next tick")
    return tuple((str(name), read_verdict(verdict, f"{where}, verdict of {name}")) for name, verdict in tree)
