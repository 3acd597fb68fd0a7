"""Rollouts and what they need, told in full: stages, guardrails, freezes, channels, policies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rollout_server.cli import rollout_answers, rollout_tree, sentences
from rollout_server.cli.events import draw_events
from rollout_server.cli.screen import Cell, Column, Mark

if TYPE_CHECKING:
    from rollout_server.cli.screen import Screen
    from rollout_server.cli.session import Session
    from rollout_server.cli.yaml_text import Data

EVENTS_SHOWN = 10


def describe_rollout(session: Session, key: str) -> None:
    """Tell a rollout: its tree, and what happened to it last."""
    from rollout_sdk.wire.v1 import control_pb2

    rollout = rollout_answers.fetch(session, f"rollout/{key}")
    connection, screen = session.connection, session.screen
    request = control_pb2.ListEventsRequest(rollout=f"rollout/{key}", limit=EVENTS_SHOWN)
    events = list(connection.ask(connection.stub.ListEvents, request).events)
    session.begin(f"rollout/{key}")

    def draw() -> None:
        rollout_tree.draw(session, rollout)
        if events:
            screen.line()
            draw_events(session, events)
        for event in events:
            for delivery in event.deliveries:
                screen.line(Mark("told  ", "bright_black"), f"{event.kind}, {delivery}")
        if len(events) == EVENTS_SHOWN:
            screen.note("more", f"rollout events {key}; its documents: rollout history rollout/{key}")

    data: Data = {
        "environment": session.environment(),
        "rollout": rollout_answers.plain(rollout),
        "events": [rollout_answers.plain(event) for event in events],
    }
    screen.show(data, draw)


def other_facts(kind: str, spec: Mapping[str, Data]) -> list[tuple[str, Sequence[Cell]]]:
    """Return the fields of a spec as people say them; a pipeline's stages and guardrails are tables of their own."""
    left_out = {"stages", "guardrails"} if kind == "Pipeline" else set()
    return [
        (name.replace("_", " ").capitalize(), (_said(name, value),))
        for name, value in spec.items()
        if name not in left_out
    ]


def draw_pipeline(screen: Screen, spec: Mapping[str, Data]) -> None:
    """Draw the stages and the guardrails of a pipeline."""
    screen.line()
    screen.table(
        [Column("STAGE"), Column("AUDIENCE", folds=True), Column("SHARE", is_number=True),
         Column("RAMP", is_number=True), Column("SOAK", is_number=True), Column("LEAVES WHEN", folds=True)],
        [
            [_text(stage, "name"), _said("audience", stage.get("audience", "everyone")), _text(stage, "share"),
             _text(stage, "ramp"), _text(stage, "soak"), _said("exit", stage.get("exit"))]
            for stage in _maps(spec.get("stages"))
        ],
    )  # fmt: skip
    guardrails = _maps(spec.get("guardrails"))
    if guardrails:
        screen.line()
        screen.table(
            [Column("GUARDRAIL"), Column("LIMIT", folds=True), Column("ACTION")],
            [[_text(one, "metric"), _said("limit", one.get("limit")), _text(one, "action")] for one in guardrails],
        )


def _said(name: str, value: Data) -> str:
    if value is None:
        return ""
    if name in {"audience", "never"} and not isinstance(value, str):
        return " or ".join(sentences.condition(one) for one in (value if isinstance(value, list) else [value]))
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_said(key, each)}" for key, each in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(_said(name, each) for each in value)
    return str(value)


def _text(tree: Mapping[str, Data], name: str) -> str:
    return _said(name, tree.get(name))


def _maps(value: Data) -> list[Mapping[str, Data]]:
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []
