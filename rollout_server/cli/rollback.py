"""`rollout rollback`: everybody back to the old variant, now, and proof of it process by process."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from rollout_server.cli import certificate, key_completion, messages, rollout_answers
from rollout_server.cli.failures import CommandFailed, Exit, Finished, ServerRefused, usage
from rollout_server.cli.screen import BAD, DIM, GOOD, STRONG, Mark, quantity
from rollout_server.cli.session import Session, meanwhile, told_how_to_repeat
from rollout_server.cli.shell import Command, intent_options, pass_session
from rollout_server.cli.times import brief, duration_ms, stamp

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rollout_sdk.wire.v1 import control_pb2

POLL_MS = 100
_BAR = 24


@click.command(cls=Command)
@click.argument("flag", metavar="FLAG", shell_complete=key_completion.rollouts)
@intent_options
@click.option("--timeout", default="30s", show_default=True, metavar="TIME", help="How long to wait for the processes.")
@click.option("--no-wait", is_flag=True, help="Return once it is committed; do not wait for the processes.")
@pass_session
def rollback(
    session: Session, flag: str, reason: str | None, idempotency_key: str | None, timeout: str, *, no_wait: bool
) -> None:
    """Take everybody back to the old variant, now, and prove it.

    Needs no reason, no approval and no thaw. Waits until every process has acknowledged it; exits 5 naming those that
    did not. Typed again it changes nothing, and proves it again.
    """
    from rollout_sdk.wire.v1 import control_pb2

    try:
        timeout_ms = duration_ms(timeout)
    except ValueError as error:
        raise usage(str(error)) from error
    intent = session.intent(reason, idempotency_key, asks=False)
    connection, screen = session.connection, session.screen
    request = control_pb2.RollbackRequest(intent=intent, rollout=flag)
    try:
        answer = told_how_to_repeat(intent, lambda: connection.ask_again(connection.stub.Rollback, request))
    except ServerRefused as refused:
        raise _no_server(refused, flag) from refused
    moved: control_pb2.Moved = answer.moved
    rollout = moved.rollout
    _begin(session, rollout.key)
    served = f"everybody gets `{rollout.from_variant}`"
    if moved.entry.revision:
        screen.tell(Mark("✔ ", GOOD), f"{rollout.key} run {rollout.run} is rolled back: {served} "
                    f"(revision {moved.entry.revision})")  # fmt: skip
    else:
        screen.tell(Mark("✔ ", GOOD), f"{rollout.key} run {rollout.run} was rolled back before: {served}")
    proof = None if no_wait else _proof(session, rollout, timeout_ms)
    if proof is not None:
        tell(session, proof)
    screen.tell(Mark("again: ", DIM), f"rollout start {rollout.key} opens run {rollout.run + 1}, from its first stage")
    if screen.is_data:
        screen.data(
            {
                "environment": session.environment(),
                "rollout": rollout_answers.plain(rollout),
                "entry": messages.entry(moved.entry) if moved.entry.revision else None,
                "certificate": rollout_answers.plain(proof) if proof is not None else None,
            }
        )
    if not no_wait and (proof is None or not proof.complete):
        raise Finished(Exit.NOT_IN_FORCE)


def wait(session: Session, target: str, timeout_ms: int) -> control_pb2.Certificate:
    """Ask for the certificate until every process obeys, or the time is over.

    Raises:
        ServerRefused: the server went away meanwhile.
    """
    from rollout_sdk.wire.v1 import control_pb2

    world, connection = session.world, session.connection
    end_ms = world.monotonic_ms() + timeout_ms
    request = control_pb2.GetCertificateRequest(target=target)
    while True:
        proof = connection.ask(connection.stub.GetCertificate, request).certificate
        if proof.complete or world.monotonic_ms() >= end_ms:
            session.screen.end_progress()
            return proof
        done, total = len(proof.in_force), _total(proof)
        bar = "━" * (done * _BAR // max(total, 1))
        missing = (*proof.straggling, *proof.quarantined, *proof.unreachable, *proof.unheard)
        last = f"  waiting for {missing[0]}" if len(missing) == 1 else ""
        session.screen.progress(f"{bar:─<{_BAR}} {done:,} of {total:,} processes serve `{proof.variant}`{last}")
        world.pause(POLL_MS)


def tell(session: Session, proof: control_pb2.Certificate) -> None:
    """Say who obeys, by name who does not and what to do there; why, and what serves the variant still."""
    screen, total, done = session.screen, _total(proof), len(proof.in_force)
    if not total and proof.complete:
        screen.tell("no process is connected; whoever connects from now on gets it at once")
    elif proof.complete:
        times = f", the last after {brief(proof.last_ack_ms)}" if proof.HasField("last_ack_ms") else ""
        screen.tell(Mark("✔ ", GOOD), f"{done:,} of {total:,} processes serve `{proof.variant}`{times}")
    else:
        screen.tell(Mark("✘ ", BAD), f"only {done:,} of {total:,} processes are known to serve `{proof.variant}`")
        for state, phrase in _lacking(session, proof):
            certificate.tell_lacking(session, state, phrase)
        screen.tell(Mark("next: ", BAD), _remedy(proof))
    for label, text in _facts(proof):
        screen.tell(Mark(f"{label:<11}", STRONG), text)


def _lacking(session: Session, proof: control_pb2.Certificate) -> Iterator[tuple[str, str]]:
    """Yield who is not known to obey: in which state, and in what words, those of `rollout kill`."""
    known = _known(session)
    now_ms = session.now_ms
    for name in proof.straggling:
        found = known.get(name)
        yield "straggling", certificate.straggling(found.pop()) if found else name
    yield from (("quarantined", name) for name in proof.quarantined)
    for name in proof.unreachable:
        found = known.get(name)
        yield "unreachable", certificate.unreachable(found.pop(), now_ms) if found else name
    if proof.forgotten:
        yield "forgotten", quantity(proof.forgotten, "more process")
    yield from (("unheard", who) for who in proof.unheard)


def _known(session: Session) -> dict[str, list[control_pb2.Instance]]:
    """Ask for what else is known of the processes, by name; nothing where the server went away: the names stand."""
    from rollout_sdk.wire.v1 import control_pb2

    connection = session.connection
    try:
        instances = connection.ask(connection.stub.ListInstances, control_pb2.ListInstancesRequest()).instances
    except ServerRefused:
        return {}
    known: dict[str, list[control_pb2.Instance]] = {}
    for item in instances:
        known.setdefault(certificate.name(item), []).append(item)
    return known


def _facts(proof: control_pb2.Certificate) -> Iterator[tuple[str, str]]:
    if proof.entry.revision:
        acks = ""
        if proof.HasField("first_ack_ms") and proof.HasField("last_ack_ms"):
            first, last = brief(proof.first_ack_ms), brief(proof.last_ack_ms)
            acks = f"; acknowledged first after {first}, last after {last}"
        yield "Commit:", f"revision {proof.entry.revision} at {stamp(proof.entry.at_ms)}{acks}"
    why = proof.trigger
    if why.who:
        yield "Why:", f"{why.who}{f', {why.why}' if why.why else ''}{f' (at {why.stage})' if why.stage else ''}"
    for guardrail in proof.guardrails:
        if guardrail.standing == "degraded":
            yield "Verdict:", guardrail.sentence
    if proof.exposed_units:
        yield "Exposed:", quantity(proof.exposed_units, proof.unit)
    for phrase in proof.still_serving:
        yield "Still:", f"{phrase}: that is somebody's own word, and stays until it is edited"
    for phrase in proof.notified:
        yield "Told:", phrase


def _proof(session: Session, rollout: control_pb2.Rollout, timeout_ms: int) -> control_pb2.Certificate | None:
    try:
        return wait(session, f"rollout/{rollout.key}", timeout_ms)
    except ServerRefused as refused:
        session.screen.end_progress()
        screen = session.screen
        screen.tell(Mark("✘ ", BAD), f"it is committed, but whether the processes obey is unknown: {refused.what}")
        screen.tell(Mark("next: ", BAD), f"type it again, it only asks: rollout rollback {rollout.key}")
        return None


def _remedy(proof: control_pb2.Certificate) -> str:
    overrides = json.dumps({proof.flag: proof.variant})
    return (
        f"on those hosts put {overrides} into the overrides file (ROLLOUT_OVERRIDES, re-read within a second) or stop "
        f"the process; then ask again: rollout rollback {proof.flag}"
    )


def _total(proof: control_pb2.Certificate) -> int:
    listed = (proof.in_force, proof.quarantined, proof.straggling, proof.unreachable)
    return sum(len(names) for names in listed) + proof.forgotten


def _begin(session: Session, key: str) -> None:
    """Name the environment; a rollback that is done is reported even where the name cannot be had."""
    try:
        session.begin(key)
    except ServerRefused:
        session.screen.talk(Mark("the environment of this token", DIM))


def _no_server(refused: ServerRefused, flag: str) -> CommandFailed:
    """At 3 a.m. the way round a dead server must be on the screen."""
    if refused.exit_code is not Exit.UNREACHABLE:
        return refused
    key = flag.rpartition("/")[2]
    return CommandFailed(
        refused.what,
        refused.hint,
        details=(
            *refused.details,
            meanwhile(refused, key),
            f"put {json.dumps({key: 'off'})} (the flag's old variant) into its overrides file (ROLLOUT_OVERRIDES);",
            "it is re-read within a second",
        ),
        exit_code=refused.exit_code,
    )
