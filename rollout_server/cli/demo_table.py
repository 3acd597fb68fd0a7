"""What each stage saw: read off the server's own history after the fact, not remembered by whoever tells it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from rollout_server.cli import messages
from rollout_server.cli.screen import BAD, GOOD, Cell, Column, Mark
from rollout_server.cli.times import brief

if TYPE_CHECKING:
    from rollout_server.cli.session import Session
    from rollout_server.cli.yaml_text import Data

COLUMNS = (
    Column("ROLLOUT"), Column("STAGE"), Column("SHARE", is_number=True), Column("TOOK", is_number=True),
    Column("EXPOSED", is_number=True), Column("CONTROL", is_number=True), Column("FAILED"), Column("P95"),
    Column("THEN"),
)  # fmt: skip
_METRICS = ("shop.failed", "shop.latency")


def rows(session: Session, rollout: str) -> Iterator[list[Cell]]:
    """Yield a row for each stage that a rollout was in, as it stood when the stage ended."""
    from rollout_sdk.wire.v1 import control_pb2

    connection = session.connection
    history = connection.ask(connection.stub.ListHistory, control_pb2.ListHistoryRequest(kind="Rollout", key=rollout))
    entered_ms, stage, share = 0, "", 0
    for entry in sorted(history.entries, key=lambda one: one.revision):
        at = control_pb2.At(revision=entry.revision)
        request = control_pb2.GetResourceRequest(kind="Rollout", key=rollout, at=at)
        status = messages.parsed(connection.ask(connection.stub.GetResource, request).resource.status_json)
        run = _map(_map(status).get("run"))
        if not run:
            continue
        now, now_share = _place(run)
        ended = run.get("phase") in {"rolled back", "completed"}
        if stage and (now != stage or ended):
            units = _verdict(status, _METRICS[0])
            yield [
                rollout, stage, f"{share / 10_000:g} %", brief(entry.at_ms - entered_ms),
                f"{units.get('candidate_units', 0):,}", f"{units.get('control_units', 0):,}",
                *(_figures(_verdict(status, metric)) for metric in _METRICS),
                _then(run, now, is_over=ended),
            ]  # fmt: skip
            if ended:
                return
        if now != stage:
            entered_ms = entry.at_ms
        stage, share = now, now_share


def _place(run: Mapping[str, Data]) -> tuple[str, int]:
    entered = run.get("entered")
    last = _map(entered[-1]) if isinstance(entered, list) and entered else {}
    stages = _map(run.get("pipeline")).get("stages")
    names = [str(_map(stage).get("name")) for stage in stages] if isinstance(stages, list) else []
    place, share = last.get("place"), last.get("share_ppm")
    name = "" if not isinstance(place, int) else names[place] if place < len(names) else "finish"
    return name, share if isinstance(share, int) else 0


def _then(run: Mapping[str, Data], now: str, *, is_over: bool) -> Mark:
    if not is_over:
        return Mark(f"went on to {now}", GOOD)
    if run.get("phase") == "completed":
        return Mark("completed", GOOD)
    return Mark(f"rolled back by {_map(run.get('end')).get('who')}", BAD)


def _verdict(status: Data, guard: str) -> Mapping[str, Data]:
    verdicts = _map(status).get("verdicts")
    for pair in verdicts if isinstance(verdicts, list) else ():
        if isinstance(pair, list) and pair[0] == guard:
            return _map(pair[1])
    return {}


def _figures(verdict: Mapping[str, Data]) -> str:
    if verdict.get("standing") == "unjudged":
        return "no control"
    values = [verdict.get(name) for name in ("estimate", "low", "high")]
    texts = [f"{value:+.0%}" if isinstance(value, int | float) else "?" for value in values]
    return f"{texts[0]} [{texts[1]}, {texts[2]}]"


def _map(value: Data) -> Mapping[str, Data]:
    return value if isinstance(value, Mapping) else {}
