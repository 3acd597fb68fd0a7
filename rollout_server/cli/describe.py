"""`rollout describe`: one resource in full, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import click

from rollout_server.cli import key_completion, messages, references, sentences, stored_changes
from rollout_server.cli.describe_rollouts import describe_rollout, draw_pipeline, other_facts
from rollout_server.cli.history import draw_entries
from rollout_server.cli.screen import BAD, DIM, GOOD, Cell, Column, Mark, quantity
from rollout_server.cli.session import Session
from rollout_server.cli.shell import Command, pass_session
from rollout_server.cli.times import ago

if TYPE_CHECKING:
    from rollout_sdk.wire.v1 import control_pb2
    from rollout_server.cli.yaml_text import Data

_HISTORY_LIMIT = 5
_KEYS_MAX = 5
_OFF = "off"
_BOOLEAN: Mapping[str, Data] = {"on": True, "off": False}


@click.command(cls=Command)
@click.argument("resource", shell_complete=key_completion.resources)
@pass_session
def describe(session: Session, resource: str) -> None:
    """Tell one flag, cohort or change in full, with its history.

    RESOURCE is a key, or kind/key, of any kind. A rollout is told with its stages and what happened to it, change/41
    with its plan.
    """
    from rollout_sdk.wire.v1 import control_pb2

    number = stored_changes.number_of(resource)
    if number is not None:
        stored_changes.describe_change(session, number)
        return
    found = references.find(session, resource).resource
    document = found.document
    if document.kind == "Rollout":
        describe_rollout(session, document.key)
        return
    connection = session.connection
    request = control_pb2.ListHistoryRequest(kind=document.kind, key=document.key, limit=_HISTORY_LIMIT)
    entries = list(connection.ask(connection.stub.ListHistory, request).entries)
    session.begin(messages.resource_id(document.kind, document.key))
    data = {
        "environment": session.environment(),
        **messages.resource(found),
        "history": [messages.entry(entry) for entry in entries],
    }
    session.screen.show(data, lambda: _draw(session, found, entries))


def _draw(session: Session, found: control_pb2.Resource, entries: list[control_pb2.Entry]) -> None:
    screen = session.screen
    document = _map(messages.parsed(found.document.json))
    spec, status = _map(document.get("spec")), _map(messages.parsed(found.status_json))
    is_flag = found.document.kind == "Flag"
    facts = _flag_facts(session, spec, status, entries) if is_flag else other_facts(found.document.kind, spec)
    if found.document.kind == "Cohort":
        facts = _cohort_facts(spec)
    metadata = _map(document.get("metadata"))
    name: tuple[str, Sequence[Cell]] = (found.document.kind, (f"{found.document.key}  ({session.environment()})",))
    screen.facts(
        [
            name,
            *facts,
            ("Owner", (str(metadata.get("owner", "")),)),
            ("About", (str(metadata.get("description", "")),)),
            ("Tags", (", ".join(str(tag) for tag in _list(metadata.get("tags"))),)),
            ("Expires", (str(metadata.get("expires", "")),)),
            ("Version", (_version(session, found, entries),)),
            ("Used by", (", ".join(found.dependents),)),
        ]
    )
    if is_flag:
        screen.line()
        screen.table(
            [Column("STEP"), Column("WHO", folds=True), Column("GETS", folds=True)],
            _steps(spec, is_killed=status.get("killed") is True),
        )
    if found.document.kind == "Pipeline":
        draw_pipeline(screen, spec)
    screen.line()
    if entries:
        draw_entries(session, entries, messages.resource_id(found.document.kind, found.document.key))
        if len(entries) == _HISTORY_LIMIT:
            session.screen.note("more", f"rollout history {found.document.kind.lower()}/{found.document.key}")


def _version(session: Session, found: control_pb2.Resource, entries: list[control_pb2.Entry]) -> str:
    last = next((entry for entry in entries if entry.revision == found.version), None)
    if last is None:
        return str(found.version)
    return f"{found.version}, {last.action} by {messages.person(last.actor)} {ago(last.at_ms, session.now_ms)}"


def _flag_facts(
    session: Session, spec: Mapping[str, Data], status: Mapping[str, Data], entries: list[control_pb2.Entry]
) -> list[tuple[str, Sequence[Cell]]]:
    variants = _map(spec.get("variants")) or _BOOLEAN
    off = spec.get("off", _OFF)
    state: Sequence[Cell] = (Mark("✔ serving", GOOD),)
    if status.get("killed") is True:
        by = next((entry for entry in entries if entry.action == "kill"), None)
        who = f" by {messages.person(by.actor)} {ago(by.at_ms, session.now_ms)}" if by is not None else ""
        state = (Mark("✘ killed", BAD), f"{who}: `{off}` to everybody")
    shown = ", ".join(f"{name} = {sentences.value(value)}" for name, value in variants.items())
    return [
        ("Status", state),
        ("Type", (str(spec.get("type", "boolean")),)),
        ("Variants", (shown,)),
        ("Unit", (str(spec.get("unit", "user")),)),
        ("Salt", (str(status.get("salt", "")),)),
    ]


def _cohort_facts(spec: Mapping[str, Data]) -> list[tuple[str, Sequence[Cell]]]:
    unit = str(spec.get("unit", "user"))
    when = spec.get("when")
    return [
        ("Unit", (unit,)),
        ("Include", (_keys(spec.get("include"), unit),)),
        ("Exclude", (_keys(spec.get("exclude"), unit),)),
        ("When", (sentences.condition(when) if when is not None else "",)),
    ]


def _steps(spec: Mapping[str, Data], *, is_killed: bool) -> list[list[Cell]]:
    """Return the decision order, a row each, as the engine walks it."""
    off = str(spec.get("off", _OFF))
    unit = str(spec.get("unit", "user"))
    rows: list[list[Cell]] = []
    if is_killed:
        rows.append([Mark("killed", BAD), "everybody; what follows is not reached", Mark(off, BAD)])
    for never in _list(spec.get("never")):
        who = f"in cohort {never}" if isinstance(never, str) else sentences.condition(never)
        rows.append(["never", f"{who}, or unknown", off])
    for required in map(_map, _list(spec.get("requires"))):
        variants = " or ".join(str(variant) for variant in _list(required.get("variants")))
        rows.append(["requires", f"unless {required.get('flag')} serves {variants}", off])
    for variant, units in _map(spec.get("targets")).items():
        rows.append(["targets", _keys(units, unit), variant])
    for rule in map(_map, _list(spec.get("rules"))):
        when = rule.get("when")
        who = sentences.condition(when) if when is not None else "everybody"
        rows.append([f"rule {rule.get('id')}", who, sentences.outcome(rule)])
    rows.append([Mark("default", DIM), Mark("everybody else", DIM), str(spec.get("default", off))])
    return rows


def _keys(keys: Data, noun: str) -> str:
    listed = [str(key) for key in _list(keys)]
    more = f", … {quantity(len(listed), noun)} in all" if len(listed) > _KEYS_MAX else ""
    return ", ".join(listed[:_KEYS_MAX]) + more


def _map(value: Data) -> Mapping[str, Data]:
    return value if isinstance(value, Mapping) else {}


def _list(value: Data) -> Sequence[Data]:
    return value if isinstance(value, Sequence) and not isinstance(value, str) else ()
