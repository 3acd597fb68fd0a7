"""Proof that a revision is in force everywhere: who obeys, who does not, and what to do there.

Never says "4 of 4" while a process that was seen in the last hour, and did not say goodbye, cannot be asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rollout_server.cli import messages
from rollout_server.cli.screen import BAD, GOOD, Mark, quantity
from rollout_server.cli.sdks import state
from rollout_server.cli.times import ago, brief

if TYPE_CHECKING:
    from rollout_sdk.wire.v1 import control_pb2
    from rollout_server.cli.session import Session
    from rollout_server.cli.yaml_text import Data

POLL_MS = 100
_STATE_WIDTH = 13
_REACHED = frozenset({"in force", "quarantined", "straggling"})


@dataclass(frozen=True, slots=True)
class Certificate:
    """Who runs at least `revision`.

    Attributes:
        obeying: a quarantined flag counts: kill acts on it too.
        waiting: connected, and not there yet.
        unreachable: seen in the last hour, not connected, no goodbye.
        forgotten: processes that count, and of which the server knows nothing more.
        unheard: other servers on its store that are not heard now, each with what is missing.
    """

    revision: int
    obeying: tuple[control_pb2.Instance, ...]
    waiting: tuple[control_pb2.Instance, ...]
    unreachable: tuple[control_pb2.Instance, ...]
    forgotten: int = 0
    unheard: tuple[str, ...] = ()

    @property
    def total(self) -> int:
        """How many processes count."""
        return len(self.obeying) + len(self.waiting) + len(self.unreachable) + self.forgotten

    @property
    def is_complete(self) -> bool:
        """Whether every process that counts obeys."""
        return not (self.waiting or self.unreachable or self.forgotten or self.unheard)

    def last_lag_ms(self) -> int | None:
        """Return the longest time to be in force; None where a process has gone on to a later revision, or joined."""
        lags = [item.lag_ms for item in self.obeying if item.in_force.revision == self.revision and item.lag_ms >= 0]
        return max(lags) if lags and len(lags) == len(self.obeying) else None

    def data(self) -> dict[str, Data]:
        """Return the certificate for a program."""
        return {
            "revision": self.revision,
            "complete": self.is_complete,
            "last_lag_ms": self.last_lag_ms(),
            "in_force": [messages.instance(item) for item in self.obeying],
            "straggling": [messages.instance(item) for item in self.waiting],
            "unreachable": [messages.instance(item) for item in self.unreachable],
            "forgotten": self.forgotten,
            "unheard": list(self.unheard),
        }


def certify(revision: int, answer: control_pb2.ListInstancesResponse) -> Certificate:
    """Sort the processes by whether they run at least this revision."""
    obeying, waiting, unreachable = [], [], []
    for item in answer.instances:
        if state(item) not in _REACHED:
            unreachable.append(item)
        elif item.in_force.revision >= revision:
            obeying.append(item)
        else:
            waiting.append(item)
    known = (tuple(obeying), tuple(waiting), tuple(unreachable))
    return Certificate(revision, *known, answer.forgotten, tuple(answer.unheard))


def wait(session: Session, revision: int, timeout_ms: int) -> Certificate:
    """Ask until every connected process obeys and every server was heard, or the time is over.

    Unreachable processes are not waited for.

    Raises:
        ServerRefused: the server went away meanwhile.
    """
    from rollout_sdk.wire.v1 import control_pb2

    world, connection = session.world, session.connection
    end_ms = world.monotonic_ms() + timeout_ms
    while True:
        answer = connection.ask(connection.stub.ListInstances, control_pb2.ListInstancesRequest())
        certificate = certify(revision, answer)
        if not (certificate.waiting or certificate.unheard) or world.monotonic_ms() >= end_ms:
            session.screen.end_progress()
            return certificate
        session.screen.progress(f"waiting: {len(certificate.obeying)} of {certificate.total} processes obey")
        world.pause(POLL_MS)


def tell(session: Session, certificate: Certificate, serving: str, remedy: str) -> None:
    """Say who obeys, by name who does not, and what to do there.

    Args:
        session: where to say it.
        certificate: what is known.
        serving: what a process does that obeys, "serve `off`".
        remedy: what to do on a host that does not obey, a sentence.
    """
    screen = session.screen
    total, obeying = certificate.total, len(certificate.obeying)
    if total == 0 and certificate.is_complete:
        screen.tell("no process is connected; whoever connects from now on gets it at once")
        return
    if certificate.is_complete:
        lag_ms = certificate.last_lag_ms()
        last = f", the last after {brief(lag_ms)}" if lag_ms is not None else ""
        screen.tell(Mark("✔ ", GOOD), f"{obeying} of {total:,} processes {serving}{last}")
        return
    screen.tell(Mark("✘ ", BAD), f"only {obeying} of {total:,} processes are known to {serving}")
    for item in certificate.waiting:
        tell_lacking(session, "straggling", straggling(item))
    for item in certificate.unreachable:
        tell_lacking(session, "unreachable", unreachable(item, session.now_ms))
    if certificate.forgotten:
        tell_lacking(session, "forgotten", quantity(certificate.forgotten, "more process"))
    for who in certificate.unheard:
        tell_lacking(session, "unheard", who)
    screen.tell(Mark("next: ", BAD), remedy)


def tell_lacking(session: Session, state_: str, phrase: str) -> None:
    """Draw a process that is not known to obey, and what it is instead."""
    session.screen.tell("  ", Mark(f"{state_:<{_STATE_WIDTH}}", BAD), phrase)


def straggling(item: control_pb2.Instance) -> str:
    """Say of a connected process where it still is."""
    return f"{name(item)}, still at revision {item.in_force.revision}"


def unreachable(item: control_pb2.Instance, now_ms: int) -> str:
    """Say of a process that cannot be asked when it was heard of, and what it had then.

    A server that was started since only remembers that there was such a process.
    """
    held = f" at revision {item.in_force.revision}" if item.in_force.revision else ""
    return f"{name(item)}, last seen {ago(item.last_seen_at_ms, now_ms)}{held}"


def name(item: control_pb2.Instance) -> str:
    """Return a process's name as the server writes it: "web@host-1 (pid 7) behind eu-west"."""
    host = f"@{item.host}" if item.host else ""
    behind = f" behind {item.behind}" if item.behind else ""
    return f"{item.service or 'unnamed'}{host} (pid {item.pid}){behind}"
