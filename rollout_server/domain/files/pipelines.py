"""A pipeline's spec between files and the domain. Everybody is the audience where none is named."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollout_sdk.engine.limits import ATTRIBUTE_PATH_CHARS
from rollout_sdk.engine.model import PPM
from rollout_server.domain.files import durations, names, percent
from rollout_server.domain.files.bounds import OWNER_CHARACTERS_MAX
from rollout_server.domain.files.conditions import read_condition, write_condition
from rollout_server.domain.files.fields import Fields
from rollout_server.domain.files.metrics import read_guardrail, write_guardrail
from rollout_server.domain.files.quantities import read_count, read_duration, read_share
from rollout_server.domain.rollouts import (
    AfterHold,
    Approval,
    Escalation,
    Exit,
    Finish,
    OnBlind,
    PipelineSpec,
    Stage,
)

if TYPE_CHECKING:
    from rollout_sdk.engine.model import Condition, Json
    from rollout_server.domain.files.shape import Reading
    from rollout_server.domain.guardrails.spec import Guardrail

PIPELINE_FIELDS = ("strata", "stages", "finish", "guardrails", "on_blind", "escalation")
STAGE_FIELDS = ("name", "audience", "share", "ramp", "soak", "exit", "owner")
EXIT_FIELDS = ("exposed", "guardrails", "approval")
APPROVAL_FIELDS = ("from", "count")
FINISH_FIELDS = ("share", "watch")
ON_BLIND_FIELDS = ("hold", "then")
ESCALATION_FIELDS = ("after", "notify")

EVERYONE = "everyone"
HEALTHY = "healthy"

_SHARE_HINT = "say how many of the audience are exposed, like share: 25%"


def read_pipeline(reading: Reading, tree: object) -> PipelineSpec:
    """Read a pipeline's spec; where something is wrong it is noted and the result is not to be used."""
    fields = Fields(reading, tree, "spec", PIPELINE_FIELDS, "the spec of a pipeline")
    return PipelineSpec(
        stages=fields.need("stages", _stages, (), "write stages: [{name: canary, share: 1%, soak: 1h}, ...]"),
        guardrails=fields.get("guardrails", _guardrails, ()),
        strata=fields.get("strata", _strata, ()),
        finish=fields.get("finish", _finish, Finish()),
        on_blind=fields.get("on_blind", _on_blind, None),
        escalation=fields.get("escalation", _escalation, ()),
    )


def _stages(reading: Reading, tree: object, path: str) -> tuple[Stage, ...]:
    return reading.items(tree, path, lambda one, place: _stage(reading, one, place))


def _stage(reading: Reading, tree: object, path: str) -> Stage:
    fields = Fields(reading, tree, path, STAGE_FIELDS, "a stage")
    return Stage(
        name=fields.need("name", _stage_name, "", "name the stage: people promote to it, and decisions name it"),
        share_ppm=fields.need("share", read_share, 0, _SHARE_HINT),
        audience=fields.get("audience", _audience, None),
        ramp_ms=fields.get("ramp", read_duration, 0),
        soak_ms=fields.get("soak", read_duration, 0),
        exit=fields.get("exit", _exit, Exit()),
        owner=fields.get("owner", _owner, ""),
    )


def _stage_name(reading: Reading, value: object, path: str) -> str:
    return reading.key(value, path, "a stage")


def _audience(reading: Reading, tree: object, path: str) -> Condition | None:
    if isinstance(tree, dict):
        return read_condition(reading, tree, path)
    if tree != EVERYONE:
        what = f"{EVERYONE}, or a condition like {{cohort: KEY}}"
        if isinstance(tree, str):
            reading.refuse(
                path, "bad_audience", f"an audience is wanted, found the text {names.show(tree)}", f"write {what}"
            )
        else:
            reading.wanted(tree, path, f"an audience ({what})")
    return None


def _owner(reading: Reading, value: object, path: str) -> str:
    text = reading.text(value, path, "the owner of a stage")
    if len(text) > OWNER_CHARACTERS_MAX:
        message = f"at most {OWNER_CHARACTERS_MAX} characters, this has {len(text)}"
        reading.refuse(path, "too_long", message, "shorten it")
    return text


def _exit(reading: Reading, tree: object, path: str) -> Exit:
    fields = Fields(reading, tree, path, EXIT_FIELDS, "what a stage needs before the next one")
    return Exit(
        exposed=fields.get("exposed", read_count, 0),
        is_healthy=fields.get("guardrails", _healthy, default=False),
        approval=fields.get("approval", read_approval, None),
    )


def _healthy(reading: Reading, value: object, path: str) -> bool:
    if value != HEALTHY:
        reading.unknown(path, "choice", value, [HEALTHY])
    return True


def read_approval(reading: Reading, tree: object, path: str) -> Approval:
    """Read who must agree: {from: GROUP, count: 2}."""
    fields = Fields(reading, tree, path, APPROVAL_FIELDS, "who approves")
    hint = "name the group whose members may approve; a Policy says who is in it"
    return Approval(
        group=fields.need("from", lambda inner, value, place: inner.key(value, place, "a group"), "", hint),
        count=fields.get("count", read_count, 1),
    )


def _finish(reading: Reading, tree: object, path: str) -> Finish:
    fields = Fields(reading, tree, path, FINISH_FIELDS, "how it ends")
    return Finish(fields.get("share", read_share, PPM), fields.get("watch", read_duration, 0))


def _on_blind(reading: Reading, tree: object, path: str) -> OnBlind | None:
    fields = Fields(reading, tree, path, ON_BLIND_FIELDS, "what follows when nothing is seen")
    return OnBlind(
        hold_ms=fields.need("hold", read_duration, 0, "say how long to wait, like hold: 30m"),
        then=fields.need_choice("then", AfterHold, AfterHold.ROLLBACK),
    )


def _escalation(reading: Reading, tree: object, path: str) -> tuple[Escalation, ...]:
    return reading.items(tree, path, lambda one, place: _step(reading, one, place))


def _step(reading: Reading, tree: object, path: str) -> Escalation:
    fields = Fields(reading, tree, path, ESCALATION_FIELDS, "one step of an escalation")
    return Escalation(
        after_ms=fields.need("after", read_duration, 0, "say how long nobody may have reacted, like after: 15m"),
        channel=fields.need(
            "notify", lambda inner, value, place: inner.key(value, place, "a channel"), "", "name the channel"
        ),
    )


def _guardrails(reading: Reading, tree: object, path: str) -> tuple[Guardrail, ...]:
    return reading.items(tree, path, lambda one, place: read_guardrail(reading, one, place))


def _strata(reading: Reading, tree: object, path: str) -> tuple[str, ...]:
    what = "a kind of unit, or the path of an attribute"
    return reading.texts(tree, path, what, characters_max=ATTRIBUTE_PATH_CHARS)


def write_pipeline(spec: PipelineSpec) -> dict[str, Json]:
    """Return the spec's map: fixed order of fields, defaults left out."""
    tree: dict[str, Json] = {}
    if spec.strata:
        tree["strata"] = list(spec.strata)
    tree["stages"] = [write_stage(stage) for stage in spec.stages]
    if spec.finish != Finish():
        tree["finish"] = _write_finish(spec.finish)
    if spec.guardrails:
        tree["guardrails"] = [write_guardrail(guardrail) for guardrail in spec.guardrails]
    if spec.on_blind is not None:
        tree["on_blind"] = {"hold": durations.show(spec.on_blind.hold_ms), "then": spec.on_blind.then.value}
    if spec.escalation:
        tree["escalation"] = [
            {"after": durations.show(step.after_ms), "notify": step.channel} for step in spec.escalation
        ]
    return tree


def write_stage(stage: Stage) -> dict[str, Json]:
    """Return one stage's map."""
    tree: dict[str, Json] = {"name": stage.name}
    tree["audience"] = EVERYONE if stage.audience is None else write_condition(stage.audience)
    tree["share"] = percent.show(stage.share_ppm)
    if stage.ramp_ms:
        tree["ramp"] = durations.show(stage.ramp_ms)
    if stage.soak_ms:
        tree["soak"] = durations.show(stage.soak_ms)
    if stage.exit != Exit():
        tree["exit"] = _write_exit(stage.exit)
    if stage.owner:
        tree["owner"] = stage.owner
    return tree


def _write_exit(wanted: Exit) -> dict[str, Json]:
    tree: dict[str, Json] = {}
    if wanted.exposed:
        tree["exposed"] = wanted.exposed
    if wanted.is_healthy:
        tree["guardrails"] = HEALTHY
    if wanted.approval is not None:
        tree["approval"] = write_approval(wanted.approval)
    return tree


def write_approval(approval: Approval) -> dict[str, Json]:
    """Return the map of who must agree; the count is always written, since it is what people look for."""
    return {"from": approval.group, "count": approval.count}


def _write_finish(finish: Finish) -> dict[str, Json]:
    tree: dict[str, Json] = {"share": percent.show(finish.share_ppm)}
    if finish.watch_ms:
        tree["watch"] = durations.show(finish.watch_ms)
    return tree
