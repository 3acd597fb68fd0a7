"""One environment's records, made of its resources.

A record's bytes follow from the resource at its version and nothing else, so that every replica, and this one after a
restart, sends the same bytes and continues where a client stands. Two things are left out of what is sent because their
absence says the same: the state of a flag that is not killed, and everything that only people read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollout_sdk.wire.codec import (
    record_of_cohort,
    record_of_flag,
    record_of_metric,
    record_of_rollout,
    record_of_state,
)
from rollout_sdk.wire.records import RecordKind
from rollout_server.app.record_log import Mark, RecordLog
from rollout_server.domain.resources import Kind, ResourceId

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rollout_sdk.engine.model import Ruleset
    from rollout_server.app.record_log import RecordId
    from rollout_server.domain.journal import Entry, State


class RulesetLog(RecordLog):
    """Records, tombstones and digests of one epoch. Costs what a revision changes, never what there is."""

    def __init__(self, state: State, ruleset: Ruleset, recent: Iterable[Entry] = ()) -> None:
        """Write every record of the ruleset.

        Args:
            state: whose ruleset it is; gives the versions.
            ruleset: at the state's position.
            recent: the newest entries up to the state's revision, ascending, without gaps; they tell what was deleted.
        """
        super().__init__(state.position)
        for id_, resource in sorted(state.resources.items(), key=lambda item: (item[1].version, str(item[0]))):
            self._put(id_, resource.version, ruleset)
        self._learn(recent)
        self.stand(state.position, state.at_ms)

    def advance(self, entry: Entry, state: State, ruleset: Ruleset) -> None:
        """Take over the next entry.

        Args:
            entry: follows `position`.
            state: after the entry.
            ruleset: of that state.
        """
        for change in entry.changes:
            if change.after is None:
                for record_id in _record_ids(change.id):
                    self.drop(record_id)
                    self.bury(record_id, entry.revision)
            else:
                self._put(change.id, entry.revision, ruleset)
        self.stand(state.position, entry.at_ms)

    def _put(self, id_: ResourceId, version: int, ruleset: Ruleset) -> None:
        match id_.kind:
            case Kind.FLAG:
                self.put(record_of_flag(ruleset.flags[id_.key], version), version)
                state = ruleset.states.get(id_.key)
                if state is not None and state.killed:
                    self.put(record_of_state(state, version), version)
                else:
                    self.drop((RecordKind.FLAG_STATE, id_.key))
                for rollout in ruleset.rollouts.values():
                    if rollout.flag == id_.key:  # it buckets what the flag says it does
                        self._put(ResourceId(Kind.ROLLOUT, rollout.rollout), version, ruleset)
            case Kind.ROLLOUT:
                self.put(record_of_rollout(ruleset.rollouts[id_.key], version), version)
            case Kind.METRIC if id_.key in ruleset.metrics:
                self.put(record_of_metric(ruleset.metrics[id_.key], version), version)
            case Kind.METRIC:  # nothing that processes record, any more
                self.drop((RecordKind.METRIC, id_.key))
                self.bury((RecordKind.METRIC, id_.key), version)
            case Kind.COHORT:
                cohort = ruleset.cohorts[id_.key]
                chunks = (*cohort.include.chunks, *cohort.exclude.chunks)
                self.put(record_of_cohort(cohort, version), version, chunks)
            case _:
                pass

    def _learn(self, recent: Iterable[Entry]) -> None:
        """Learn digests and deletions from entries that were committed before this process came."""
        for number, entry in enumerate(recent):
            if number == 0:
                self.reach_back(entry.revision)
            for change in entry.changes:
                if change.after is None and not any(self.record(id_) for id_ in _record_ids(change.id)):
                    for record_id in _record_ids(change.id):
                        self.bury(record_id, entry.revision)
            self.remember(entry.revision, Mark(entry.digest, b"", entry.at_ms))


def _record_ids(id_: ResourceId) -> tuple[RecordId, ...]:
    """Name what is sent of a resource; most kinds decide nothing and are sent to nobody."""
    match id_.kind:
        case Kind.FLAG:
            return (RecordKind.FLAG, id_.key), (RecordKind.FLAG_STATE, id_.key)
        case Kind.COHORT:
            return ((RecordKind.COHORT, id_.key),)
        case Kind.ROLLOUT:
            return ((RecordKind.ROLLOUT, id_.key),)
        case Kind.METRIC:
            return ((RecordKind.METRIC, id_.key),)
        case _:
            return ()
