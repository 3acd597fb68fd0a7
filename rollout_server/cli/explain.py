"""`rollout explain`: why a unit gets what it gets, now or back then."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from rollout_server.cli import contexts, key_completion, messages, references
from rollout_server.cli.failures import ServerRefused
from rollout_server.cli.rollout_tree import percent
from rollout_server.cli.screen import DIM, GOOD, STRONG, WARN, Cell, Column, Mark, Stack
from rollout_server.cli.session import Session
from rollout_server.cli.shell import Command, at_options, pass_session

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rollout_sdk.wire.v1 import control_pb2
    from rollout_server.cli.yaml_text import Data

_RESULTS = {"true": ("✔ true", GOOD), "false": ("✘ false", ""), "unknown": ("? unknown", WARN)}
_NOT_REACHED = ("· not reached", DIM)
_LABEL_MIN = 16
_BECAUSE = {
    "killed": "it is killed",
    "never": "its `never` holds this context, or cannot rule it out",
    "requirement": "a flag that it requires does not serve what is required",
    "target": "the unit is a target by name",
    "default": "no rule matched, and this is the default",
    "no_unit": "a split needs a unit that this context does not have, and nothing later matched",
    "unknown_flag": "there is no such flag",
    "error": "deciding failed",
}


@click.command(cls=Command)
@click.argument("flag", shell_complete=key_completion.flags)
@click.argument("words", nargs=-1, metavar="[KEY] [NAME=TEXT|NAME:=JSON]...")
@click.option("--unit", "units", multiple=True, metavar="KIND=KEY", help="Another unit of the context. Repeatable.")
@click.option("--context", metavar="JSON|@FILE", help='The context whole: {"units": {...}, "attributes": {...}}.')
@at_options
@pass_session
def explain(
    session: Session,
    flag: str,
    words: tuple[str, ...],
    units: tuple[str, ...],
    context: str | None,
    at: str | None,
    rev: int | None,
) -> None:
    """Say why a unit gets what it gets, now or back then.

    KEY is a user's key; NAME=TEXT is an attribute that is text, NAME:=JSON any other (age:=42, beta:=true).
    The same revision gives the same answer, byte for byte, as long as it is kept.
    """
    from rollout_sdk.wire.v1 import control_pb2

    key = references.flag_key(flag)
    if context is not None and not context.lstrip().startswith(("{", "@")):
        session.remember(context=context)  # everywhere else --context names a saved context, and here it may too
        context = None
    whole = contexts.typed(words, units, context)
    request = control_pb2.ExplainRequest(
        flag=key, context_json=json.dumps(whole, ensure_ascii=False), at=references.at(session, at, rev)
    )
    connection = session.connection
    try:
        answer = connection.ask(connection.stub.Explain, request)
    except ServerRefused as refused:
        if refused.code == "not_found" and (at or rev is not None):
            references.find(session, f"flag/{key}")  # where it is not there now either, this says so
            told = f"there was no flag {key!r} in {session.environment()} at that point; there is one now"
            hint = f"see when it came: rollout history flag/{key}"
            raise ServerRefused(told, hint, code=refused.code) from refused
        raise references.near(session, refused, key) from refused
    decision = messages.parsed(answer.decision_json)
    session.begin(f"revision {answer.position.revision}")
    data: Data = {
        "environment": session.environment(),
        "position": messages.position(answer.position),
        "context": whole,
        "decision": decision,
        "steps": [
            {"depth": step.depth, "label": step.label, "result": step.result, "detail": step.detail}
            for step in answer.steps
        ],
    }
    session.screen.show(data, lambda: _draw(session, key, whole, decision, answer.steps))


def _draw(
    session: Session,
    flag: str,
    context: dict[str, Data],
    decision: Data,
    steps: Sequence[control_pb2.ExplainStep],
) -> None:
    screen = session.screen
    known = decision if isinstance(decision, Mapping) else {}
    screen.sentence(*_sentence(flag, context, known))
    screen.line()
    limit = screen.width // 2
    screen.table(
        [Column("STEP"), Column("RESULT"), Column("DETAIL", folds=True)],
        [_row(prefix, step, limit) for prefix, step in zip(_tree([step.depth for step in steps]), steps, strict=True)],
    )
    if known.get("reason") == "no_unit":
        session.screen.note(
            "next", "name the unit that the flag buckets by: --unit KIND=KEY (rollout describe says which)"
        )
    if any(step.result == "unknown" for step in steps):
        for name, text in contexts.looks_numeric(context):
            session.screen.note("note", f"{name}={text} was sent as text; {name}:={text} sends it as JSON")


def _sentence(flag: str, context: dict[str, Data], decision: Mapping[str, Data]) -> list[Cell]:
    """Return the answer in a sentence: who gets what, and why."""
    units = context["units"]
    named = units.items() if isinstance(units, Mapping) else ()
    who = ", ".join(str(key) if kind == contexts.DEFAULT_UNIT else f"{kind} {key}" for kind, key in named) or "no unit"
    variant, value = decision.get("variant"), decision.get("value")
    reason, rule = str(decision.get("reason", "")), decision.get("rule")
    served = f"`{variant}`" if variant is not None else "the caller's default"
    shown = f" ({json.dumps(value, ensure_ascii=False)})" if variant is not None else ""
    because = _BECAUSE.get(reason, reason.replace("_", " "))
    if reason == "rule":
        because = f"rule {rule} matched first"
    elif reason == "split":
        because = f"rule {rule} matched first, and its split puts the unit there"
    elif decision.get("rollout") is not None or reason == "rollout":
        because = _by_rollout(decision)
    return [Mark(flag, STRONG), " serves ", Mark(served, STRONG), f"{shown} to {who}: {because}"]


def _by_rollout(decision: Mapping[str, Data]) -> str:
    """Return what a rollout does with the unit: "run 1 of rollout launch exposes it, stage quarter, 25 %"."""
    rollout, rule = decision.get("rollout"), decision.get("rule")
    if rollout is None:
        return f"rule {rule} leaves it to a rollout, and none is under way"
    if not decision.get("run"):
        return f"rollout {rollout} was never started"
    whole = f"run {decision.get('run')} of rollout {rollout}"
    reach = decision.get("reach_ppm")
    place = f"stage {decision.get('stage')}, {percent(reach)}" if isinstance(reach, int) else ""
    match decision.get("arm"):
        case "candidate":
            return f"{whole} exposes it ({place})"
        case "control":
            return f"{whole} does not expose it: it is control ({place})"
        case _ if decision.get("reason") == "no_unit":
            return f"{whole} needs a unit that this context does not have"
        case _:
            return f"{whole} does not reach it"


def _row(prefix: str, step: control_pb2.ExplainStep, limit: int) -> list[Cell | Stack]:
    word, style = _RESULTS.get(step.result, _NOT_REACHED)
    dim = "" if step.result else DIM
    # A long label goes on under itself, and the branches of the tree go on beside it.
    room = max(limit - len(prefix), _LABEL_MIN)
    label = textwrap.wrap(step.label, room, break_on_hyphens=False) or [step.label]
    beside = prefix.replace("├── ", "│   ").replace("└── ", "    ")
    lines = [Mark(f"{beside if number else prefix}{line}", dim) for number, line in enumerate(label)]
    return [Stack(tuple(lines)), Mark(word, style), Mark(step.detail, dim)]


def _tree(depths: Sequence[int]) -> list[str]:
    """Return the branches before each line of a tree that is given by its depths, in order."""
    prefixes = []
    for index, depth in enumerate(depths):
        parts = []
        for level in range(1, depth + 1):
            following = next((later for later in depths[index + 1 :] if later <= level), 0)
            goes_on = following == level
            if level == depth:
                parts.append("├── " if goes_on else "└── ")
            else:
                parts.append("│   " if goes_on else "    ")
        prefixes.append("".join(parts))
    return prefixes
