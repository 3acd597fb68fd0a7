"""`rollout kill --direct`: straight on the store, for when no server is left."""

from __future__ import annotations

import json
import os
import pwd
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rollout_server.cli import messages, target
from rollout_server.cli.failures import CommandFailed, Exit, Finished
from rollout_server.cli.screen import BAD, DIM, GOOD, STRONG, WARN, Mark, quantity

if TYPE_CHECKING:
    from rollout_sdk.wire.v1 import control_pb2
    from rollout_server.app.history import ToldEntry
    from rollout_server.cli.session import Session
    from rollout_server.direct import DirectlyKilled
    from rollout_server.errors import RolloutError


@dataclass(frozen=True, slots=True)
class Store:
    """Where to kill, and who does.

    Attributes:
        place: address of a Redis, or a data directory; empty for that of ROLLOUT_* or the settings file.
        person: None for the user of this process.
    """

    place: str
    person: str | None


def kill_on_store(session: Session, flag: str, intent: control_pb2.Intent, store: Store) -> None:
    """Kill the flag, and say what is proven by that: nothing yet about any process.

    Args:
        session: its environment is the one that options, variables or the context name, else the settings' only one.
        flag: key.
        intent: as for a server.
        store: whose servers are gone.

    Raises:
        CommandFailed: nothing is known to be written.
    """
    from rollout_server.app.intent import Intent
    from rollout_server.app.kill import Kill
    from rollout_server.direct import DirectKill, kill_directly
    from rollout_server.errors import RolloutError

    user = _os_user()
    person = user if store.person is None else store.person
    command = Kill(flag, Intent(intent.idempotency_key, intent.reason))
    environment = target.chosen_environment(session.choice, session.world.environ)
    try:
        done = kill_directly(DirectKill(command, store.place, environment, person, user))
    except RolloutError as error:
        raise _failed(error, flag, intent) from error
    session.learn_environment(done.environment)
    _tell(session, flag, done)


def end(*, is_proof_wanted: bool) -> None:
    """End as `rollout kill` does where not every process is known to obey.

    Raises:
        Finished: exit 5, unless proof is not wanted.
    """
    if is_proof_wanted:
        raise Finished(Exit.NOT_IN_FORCE)


def _tell(session: Session, flag: str, done: DirectlyKilled) -> None:
    screen = session.screen
    entry = messages.entry(_entry(done.told)) if done.told is not None else None
    revision = done.told.entry.revision if done.told is not None else done.version
    screen.talk(Mark(done.environment, STRONG), Mark(" · ", DIM), f"straight on {done.where}")
    if entry is None:
        screen.tell(Mark("✔ ", GOOD), f"{flag} was killed already; nothing was written")
    else:
        screen.tell(Mark("✔ ", GOOD), f"{flag} is killed in the store (revision {revision})")
    for danger in done.dangers:
        screen.tell(Mark("! ", WARN), f"the store may lose it again: {danger}")
    if done.is_served:
        screen.tell(
            Mark("! ", WARN),
            f"a server uses this store, or did a moment ago: if it lives, its processes serve `{done.off}` by now",
        )
    screen.tell(
        Mark("✘ ", BAD),
        f"no process was counted: servers tell processes, and none was asked. A server that comes back tells them; "
        f"then prove it: rollout kill {flag}",
    )
    screen.tell(
        Mark("next: ", BAD),
        f"until then put {json.dumps({flag: done.off})} into the overrides file of every host that runs one "
        "(ROLLOUT_OVERRIDES, re-read within a second)",
    )
    undo = f"rollout unkill {flag}" if entry is not None else ""
    if undo:
        screen.tell(Mark("undo: ", DIM), undo)
    if screen.is_data:
        screen.data(
            {
                "environment": done.environment,
                "flag": flag,
                "revision": revision,
                "entry": entry,
                "certificate": None,
                "undo": undo,
                "store": done.where,
            }
        )


def _entry(told: ToldEntry) -> control_pb2.Entry:
    from rollout_sdk.wire.v1 import control_pb2

    known = told.entry
    changes = [
        control_pb2.ResourceChange(
            kind=one.id.kind.value,
            key=one.id.key,
            operation=control_pb2.OPERATION_UPDATE,
            version_before=one.version_before,
            version_after=one.version_after,
            fields=[
                control_pb2.FieldChange(path=field.path, before_json=field.before_json, after_json=field.after_json)
                for field in one.fields
            ],
        )
        for one in told.changes
    ]
    return control_pb2.Entry(
        revision=known.revision, at_ms=known.at_ms, actor=known.actor, action=known.action, reason=known.reason,
        digest=known.digest, changes=changes,
    )  # fmt: skip


def _failed(error: RolloutError, flag: str, intent: control_pb2.Intent) -> CommandFailed:
    """Say what was refused; where the store is away, the last way is on the screen."""
    from rollout_server.errors import Conflict, InvalidInput, NotFound, Unavailable, Unknown

    if isinstance(error, InvalidInput):
        what = f"{quantity(len(error.problems), 'setting')} cannot be used; nothing was killed"
        return CommandFailed(what, details=[str(problem) for problem in error.problems], exit_code=Exit.USAGE)
    if isinstance(error, Conflict):
        return CommandFailed(str(error), error.hint, exit_code=Exit.CONFLICT)
    if isinstance(error, NotFound) and error.kind == "environment":
        return CommandFailed(str(error), f"{error.hint}; choose with --environment NAME")
    if not isinstance(error, Unavailable):
        return CommandFailed(str(error), error.hint)
    repeat = (
        ("to do it once and not twice, repeat it with", f"  --idempotency-key {intent.idempotency_key}")
        if isinstance(error, Unknown)
        else ()
    )
    details = (
        *repeat,
        "the processes keep deciding with what they have. Without server and store, on each host that runs one:",
        f"put {json.dumps({flag: 'off'})} (the flag's off variant) into its overrides file (ROLLOUT_OVERRIDES);",
        "it is re-read within a second",
    )
    return CommandFailed(str(error), error.hint, details=details, exit_code=Exit.UNREACHABLE)


def _os_user() -> str:
    """The user of this process, by the system's word: variables say what anybody likes."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container's user need not have a name
        return str(os.getuid())
