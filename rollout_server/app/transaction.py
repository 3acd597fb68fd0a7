"""One change, from the intent to the entry: repeats answered first, races for the same ground decided again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from rollout_server.domain.closures import with_reopened
from rollout_server.domain.journal import Draft, Entry
from rollout_server.errors import Conflict, Corrupt, RolloutError, Unavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rollout_server.app.environment import Environment
    from rollout_server.app.intent import Intent
    from rollout_server.domain.journal import Change
    from rollout_server.domain.resources import ResourceId

T = TypeVar("T")

ATTEMPTS_MAX = 8


@dataclass(frozen=True, slots=True)
class Composed(Generic[T]):
    """What a verb wants to write, and what it answers.

    Attributes:
        reads: version of all that the decision to write rested on; 0 where there must be none.
        changes: empty where all is as it should be: no entry is written.
        action: of the entry, where it is another than what was asked for.
        reason: of the entry, where it is another than the intent's.
    """

    reads: Mapping[ResourceId, int]
    changes: tuple[Change, ...]
    answer: T
    action: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Written(Generic[T]):
    """What came of it.

    Attributes:
        entry: None where nothing had to change.
        answer: None where the entry is that of an earlier call with the same key.
    """

    entry: Entry | None
    answer: T | None


@dataclass(frozen=True, slots=True)
class Request:
    """A mutating request, as the journal will tell of it.

    Attributes:
        action: the verb.
        actor: `Actor.label`.
        fingerprint: of the whole request, `intent.fingerprint`.
        fence: of the lease under which the engine asks; 0 for people, who need none.
    """

    action: str
    actor: str
    intent: Intent
    fingerprint: str
    fence: int = 0


async def transact(
    environment: Environment,
    request: Request,
    compose: Callable[[], Awaitable[Composed[T]]],
    *,
    attempts: int = ATTEMPTS_MAX,
) -> Written[T]:
    """Answer a repeat with its first entry; else compose, commit, and where the ground moved meanwhile, compose again.

    A refusal, and "it is so already", are true of what the store held after this was called, whatever other replicas
    wrote: a kill is not "killed already" because this one has not heard of the unkill.

    Args:
        environment: where to write.
        request: who wants what, and under which key.
        compose: reads the environment as it stands, and may raise any refusal. Called once or twice an attempt.
        attempts: 1 for a verb whose caller must hear of every race.

    Raises:
        InvalidInput: the key or the reason is none.
        Conflict: the key was used for another request, or the ground moved at every attempt.
        Unavailable: the store is away.
        Unknown: it may be written; `ports.Journal.commit`, or it did not reach this replica. Or it is so already, and
            may be lost: `ports.Journal.confirm`.
    """
    request.intent.check()
    for attempt in range(attempts, 0, -1):
        entry = await _recall(environment, request)
        if entry is not None:
            return Written(entry, None)
        epoch = environment.position.epoch
        composed = await _compose_or_recall(environment, request, compose)
        if isinstance(composed, Entry):
            return Written(composed, None)
        if not composed.changes:
            return Written(None, composed.answer)
        at_ms, before = environment.clock.now_ms(), environment.state.resources
        # Whatever edits what a running rollout rests on opens a new allocation in the same entry, whoever edits it.
        changes = with_reopened(before, composed.changes, request.actor, at_ms)
        opened = {change.id: before[change.id].version for change in changes if change.id in before}
        draft = Draft(
            reads={**opened, **composed.reads},
            changes=changes,
            actor=request.actor,
            action=composed.action or request.action,
            at_ms=at_ms,
            reason=composed.reason or request.intent.reason,
            idempotency_key=request.intent.idempotency_key,
            fingerprint=request.fingerprint,
            fence=request.fence,
            epoch=epoch,
        )
        try:
            return Written(await environment.commit(draft), composed.answer)
        except Conflict:
            if attempt == 1:
                raise
            await environment.catch_up()
    raise AssertionError("at least one attempt is made")


async def _compose_or_recall(
    environment: Environment, request: Request, compose: Callable[[], Awaitable[Composed[T]]]
) -> Composed[T] | Entry:
    """Compose; where that refuses or has nothing to write, the first call with its key may be why: return its entry."""
    try:
        composed = await _compose(environment, compose)
    except (Unavailable, Corrupt):
        raise
    except RolloutError:
        entry = await _recall(environment, request)
        if entry is None:
            raise
        return entry
    if composed.changes:
        return composed
    return await _recall(environment, request) or composed


async def _compose(environment: Environment, compose: Callable[[], Awaitable[Composed[T]]]) -> Composed[T]:
    """Compose; where nothing would be written, once more if this replica was behind.

    A commit proves its ground in the store. What writes nothing has only this replica's word for it; and "it is so
    already" is an acknowledgement, so that what it rests on must be as safe as one.
    """
    before = environment.position
    try:
        composed = await compose()
    except (Unavailable, Corrupt):
        raise
    except RolloutError:
        await environment.catch_up()
        if environment.position == before:
            raise
    else:
        if composed.changes:
            return composed
        await environment.catch_up()
        if environment.position == before:
            await environment.journal.confirm(before)
            return composed
    now = environment.position
    composed = await compose()
    if not composed.changes:
        await environment.journal.confirm(now)
    return composed


async def _recall(environment: Environment, request: Request) -> Entry | None:
    key = request.intent.idempotency_key
    entry = await environment.journal.recall(key, request.fingerprint) if key else None
    if entry is not None:
        await environment.wait_for_written(entry)
    return entry
