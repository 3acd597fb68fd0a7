"""Nothing is missed: whoever comes back with whatever it holds ends where the environment stands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256

from hypothesis import given
from hypothesis import strategies as st

from rollout_sdk.engine.model import Position, Rule, Serve, ValueType, Variant
from rollout_server.app.record_log import Standing
from rollout_server.app.ruleset_log import RulesetLog
from rollout_server.domain.journal import GENESIS_DIGEST, Change, Entry, State, fold
from rollout_server.domain.resources import (
    CohortSpec,
    CohortStatus,
    FlagSpec,
    FlagStatus,
    Kind,
    Metadata,
    Resource,
    ResourceId,
    TokenSpec,
    TokenStatus,
)
from rollout_server.domain.ruleset import ruleset_of
from tests.reader import Reader

KEYS = ("a", "b")
MEMBERS = tuple(f"u-{number}" for number in range(4))


class History:
    """An environment without a store: entries, the state after them, and the log under test."""

    def __init__(self) -> None:
        self.state = State(Position("e1", 0, GENESIS_DIGEST))
        self.ruleset = ruleset_of(self.state)
        self.entries: list[Entry] = []
        self.log = RulesetLog(self.state, self.ruleset)

    def commit(self, id_: ResourceId, after: Resource | None) -> None:
        revision = self.state.position.revision + 1
        digest = sha256(self.state.position.digest + str(revision).encode()).digest()
        change = Change(id_, after.at_version(revision) if after else None)
        entry = Entry(revision, revision * 10, "mia", "test", "", "", (change,), digest)
        before, self.state = self.state, fold(self.state, (entry,))
        self.ruleset = ruleset_of(self.state, (before, self.ruleset))
        self.entries.append(entry)
        self.log.advance(entry, self.state, self.ruleset)

    def restart(self, remembered: int) -> None:
        recent = self.entries[len(self.entries) - remembered :] if remembered else []
        self.log = RulesetLog(self.state, ruleset_of(self.state), recent)

    def whole(self) -> Reader:
        """Who has just come, and got everything."""
        reader = Reader()
        reader.take(RulesetLog(self.state, ruleset_of(self.state)).parts_since(None))
        return reader


def flag(key: str, rules: int, *, killed: bool) -> Resource:
    spec = FlagSpec(
        ValueType.BOOLEAN,
        (Variant("on", True), Variant("off", False)),
        "off",
        "off",
        rules=tuple(Rule(f"r{number}", Serve("on")) for number in range(rules)),
    )
    return Resource(Kind.FLAG, Metadata(key), spec, FlagStatus("s" * 16, killed=killed))


def cohort(key: str, members: frozenset[str]) -> Resource:
    return Resource(Kind.COHORT, Metadata(key), CohortSpec(include=tuple(sorted(members))), CohortStatus())


TOKEN = Resource(Kind.TOKEN, Metadata("0a1b2c3d"), TokenSpec("0" * 64, "sdk", "mia", 0, 1), TokenStatus())

Step = Callable[[History, list[Reader]], None]
keys = st.sampled_from(KEYS)


def put_flag(key: str, rules: int, killed: bool) -> Step:  # noqa: FBT001 - drawn, not called by hand
    return lambda history, _: history.commit(ResourceId(Kind.FLAG, key), flag(key, rules, killed=killed))


def put_cohort(key: str, members: frozenset[str]) -> Step:
    return lambda history, _: history.commit(ResourceId(Kind.COHORT, key), cohort(key, members))


def delete(kind: Kind, key: str) -> Step:
    def step(history: History, _: list[Reader]) -> None:
        if ResourceId(kind, key) in history.state.resources:
            history.commit(ResourceId(kind, key), None)

    return step


def put_token(_: None) -> Step:
    return lambda history, _: history.commit(TOKEN.id, TOKEN)


def restart(remembered: int) -> Step:
    return lambda history, _: history.restart(min(remembered, len(history.entries)))


def come_back(number: int) -> Step:
    """One reader is led to where the environment stands; the others fall behind."""

    def step(history: History, readers: list[Reader]) -> None:
        readers[number].take(history.log.parts_since(readers[number].held))
        assert readers[number].held == history.state.position

    return step


def walk_of(walk: list[Step], history: History, readers: list[Reader]) -> None:
    """The first reader never falls behind, the second now and then, the third comes back when the walk says so."""
    for number, step in enumerate(walk):
        step(history, readers)
        come_back(0)(history, readers)
        if number % 3 == 2:
            come_back(1)(history, readers)


steps = st.one_of(
    st.builds(put_flag, keys, st.integers(0, 3), st.booleans()),
    st.builds(put_cohort, keys, st.frozensets(st.sampled_from(MEMBERS))),
    st.builds(delete, st.sampled_from((Kind.FLAG, Kind.COHORT)), keys),
    st.builds(put_token, st.none()),
    st.builds(restart, st.integers(0, 8)),
    st.builds(come_back, st.just(2)),
)
walks = st.lists(steps, min_size=8, max_size=40)


@given(walks)
def test_every_reader_ends_where_the_environment_stands(walk: list[Step]) -> None:
    """Deltas, snapshots and restarts in any order: the records, the chunks they name and the digest are the same."""
    history, readers = History(), [Reader(), Reader(), Reader()]
    walk_of(walk, history, readers)
    for number, reader in enumerate(readers):
        come_back(number)(history, readers)
        whole = history.whole()
        assert reader.records == whole.records
        assert whole.chunks.items() <= reader.chunks.items()


@given(walks)
def test_the_digest_costs_one_change_and_is_that_of_all(walk: list[Step]) -> None:
    """What is kept up entry by entry equals what is computed from nothing."""
    history = History()
    for step in walk:
        step(history, [Reader(), Reader(), Reader()])
        assert history.log.digest == RulesetLog(history.state, ruleset_of(history.state)).digest


@given(walks, st.integers(0, 40), st.integers(0, 40))
def test_a_position_stands_here_only_if_it_is_of_this_history(walk: list[Step], revision: int, forget: int) -> None:
    """Another epoch is elsewhere; a later revision or another digest of this epoch was lost."""
    history = History()
    for step in walk:
        step(history, [Reader(), Reader(), Reader()])
    history.restart(min(forget, len(history.entries)))
    head = history.state.position
    digests = {0: GENESIS_DIGEST} | {entry.revision: entry.digest for entry in history.entries}
    ours = Position("e1", revision, digests.get(revision, b""))
    standing = history.log.standing(ours)
    if revision > head.revision:
        assert standing is Standing.LOST
    else:
        assert standing in {Standing.HERE, Standing.TOO_OLD}
        forged = history.log.standing(replace(ours, digest=bytes(31) + b"x"))
        assert forged is (Standing.LOST if standing is Standing.HERE else Standing.TOO_OLD)
    assert history.log.standing(replace(ours, epoch="e2")) is Standing.ELSEWHERE
    assert history.log.standing(head) is Standing.HERE
