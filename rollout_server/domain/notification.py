"""What people are told of a run: one message, as JSON for programs and as text for everybody else.

A notification is made once, from the run as it was stored with the notice, so that it says the same however often and
wherever it is sent.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import TYPE_CHECKING, Any

from rollout_server.domain.files import percent
from rollout_server.domain.machine import EXPOSING, NoticeKind, Phase, reaches

if TYPE_CHECKING:
    from rollout_sdk.engine.model import Json
    from rollout_server.domain.machine import Notice, Run

LINK_WORDS = ("environment", "flag", "rollout", "run")
"""What may stand in braces in the template of a link."""


@dataclass(frozen=True, slots=True)
class Notification:
    """One message to people.

    Attributes:
        id: the same however often it is sent, and never that of another message, whatever environment it is of.
        at_ms: wall clock of the transition that it tells of, Unix epoch.
        phase, stage, share_ppm: of the run then; the share is the one in force, 0 where nobody is exposed any more.
        units_exposed: at least so many were seen getting `to_variant` in this run; None where nobody knows.
        link: where to look; empty where the server was not told of such a place.
        rollback: the command that makes everybody safe; empty where nobody is exposed.
        ack: the command that stops the escalation; empty where nobody is called.
    """

    id: str
    environment: str
    kind: NoticeKind
    sentence: str
    at_ms: int
    rollout: str
    run: int
    flag: str
    from_variant: str
    to_variant: str
    phase: Phase
    stage: str
    share_ppm: int
    units_exposed: int | None = None
    link: str = ""
    rollback: str = ""
    ack: str = ""


class Sending(Enum):
    """How far a message to one channel has come."""

    WAITING = "waiting"
    RETRYING = "retrying"
    DELIVERED = "delivered"
    GIVEN_UP = "given up"


@dataclass(frozen=True, slots=True)
class Notified:
    """One message to one channel: what became of it.

    Attributes:
        notification: its id.
        at_ms: wall clock of the last attempt; of the message, before the first.
        why: what the last attempt failed for; empty where none did.
    """

    notification: str
    rollout: str
    run: int
    kind: NoticeKind
    channel: str
    sending: Sending
    at_ms: int
    attempts: int = 0
    why: str = ""


def notification_of(
    environment: str, run: Run, notice: Notice, *, units_exposed: int | None = None, link: str = ""
) -> Notification:
    """Say a notice of a run.

    Args:
        environment: its name.
        run: as it was stored with the notice.
        notice: one of the run's.
        units_exposed: None where nobody knows.
        link: a template with `LINK_WORDS` in braces; empty for none.
    """
    reached = reaches(run)
    call = f"rollout -e {environment}"
    is_called = run.need is not None and not run.need.acknowledged_by
    return Notification(
        # A rollout that is deleted and made again counts its runs from 1 again: the moment tells the two apart.
        id=f"{environment}/{notice.id}@{run.changed_at_ms}",
        environment=environment,
        kind=notice.kind,
        sentence=notice.sentence,
        at_ms=run.changed_at_ms,
        rollout=run.rollout,
        run=run.number,
        flag=run.flag,
        from_variant=run.from_variant,
        to_variant=run.to_variant,
        phase=run.phase,
        stage=run.stage_name,
        share_ppm=reached[-1].share_ppm if reached else 0,
        units_exposed=units_exposed,
        link=_link(link, {"environment": environment, "flag": run.flag, "rollout": run.rollout, "run": run.number}),
        rollback=f"{call} rollback {run.flag}" if run.phase in EXPOSING else "",
        ack=f"{call} ack {run.flag}" if is_called else "",
    )


def _link(template: str, words: dict[str, object]) -> str:
    """Fill in the words; keys of resources and names of environments need no escaping in a URL."""
    for name, value in words.items():
        template = template.replace(f"{{{name}}}", str(value))
    return template


def write_notification(one: Notification) -> dict[str, Json]:
    """Return its JSON, in fixed order. Fields are added to it, never renamed or taken away (docs/channels.md)."""
    return {
        "id": one.id,
        "environment": one.environment,
        "kind": one.kind.value,
        "sentence": one.sentence,
        "at_ms": one.at_ms,
        "rollout": one.rollout,
        "run": one.run,
        "flag": one.flag,
        "from": one.from_variant,
        "to": one.to_variant,
        "phase": one.phase.value,
        "stage": one.stage,
        "share_ppm": one.share_ppm,
        "units_exposed": one.units_exposed,
        "link": one.link,
        "commands": {"rollback": one.rollback, "ack": one.ack},
    }


def read_notification(tree: Json) -> Notification | None:
    """Return the notification that `write_notification` wrote; None where it is not of that form."""
    try:
        return _read(tree) if isinstance(tree, dict) else None
    except (KeyError, TypeError, ValueError):
        return None


def _read(tree: dict[str, Any]) -> Notification:
    commands, units = tree["commands"], tree["units_exposed"]
    return Notification(
        id=_text(tree["id"]),
        environment=_text(tree["environment"]),
        kind=NoticeKind(tree["kind"]),
        sentence=_text(tree["sentence"]),
        at_ms=_integer(tree["at_ms"]),
        rollout=_text(tree["rollout"]),
        run=_integer(tree["run"]),
        flag=_text(tree["flag"]),
        from_variant=_text(tree["from"]),
        to_variant=_text(tree["to"]),
        phase=Phase(tree["phase"]),
        stage=_text(tree["stage"]),
        share_ppm=_integer(tree["share_ppm"]),
        units_exposed=None if units is None else _integer(units),
        link=_text(tree["link"]),
        rollback=_text(commands["rollback"]),
        ack=_text(commands["ack"]),
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"text is wanted, found {type(value).__name__}")
    return value


def _integer(value: object) -> int:
    if type(value) is not int:
        raise TypeError(f"an integer is wanted, found {type(value).__name__}")
    return value


def title(one: Notification) -> str:
    """Return one line: where, what, and what became of it."""
    return f"[{one.environment}] {one.flag}: {one.kind.value}"


def text(one: Notification) -> str:
    """Return the whole message as people read it, without the title."""
    moment = datetime.fromtimestamp(one.at_ms / 1_000, UTC)
    where = f"{one.flag}: {one.from_variant} -> {one.to_variant}, {one.phase.value}"
    if one.stage:
        where += f" at {one.stage} ({percent.show(one.share_ppm)})"
    if one.units_exposed is not None:
        where += f", at least {one.units_exposed:,} units exposed"
    lines = [one.sentence, "", where, f"{one.rollout} run {one.run}, {moment:%Y-%m-%d %H:%M:%S} UTC"]
    if one.rollback:
        lines.append(f"make everybody safe: {one.rollback}")
    if one.ack:
        lines.append(f"stop calling people: {one.ack}")
    if one.link:
        lines.append(one.link)
    return "\n".join(lines)
