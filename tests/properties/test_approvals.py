"""Nothing that grows is in force without enough approvals, by any road. Judged from the journal alone.

The oracle knows nothing of proofs, plans or statuses of changes: it decides a population before and after each entry,
and counts the people whose entries approved it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollout_sdk.engine.compile import compile_ruleset
from rollout_sdk.engine.context import Context
from rollout_sdk.engine.model import Origin, Ruleset
from rollout_server.app.actor import Actor
from rollout_server.app.documents import Document
from rollout_server.app.end_changes import end_changes
from rollout_server.app.environment import Environment
from rollout_server.app.fleet import NoFleet
from rollout_server.app.kill import Kill, Unkill, kill, unkill
from rollout_server.app.revert import Revert, revert
from rollout_server.domain.journal import Entry, State, fold
from rollout_server.domain.resources import FlagStatus, Kind, ResourceId
from rollout_server.domain.rights import Role
from rollout_server.domain.rollouts import PolicySpec
from rollout_server.domain.ruleset import ruleset_of
from rollout_server.errors import Conflict, Forbidden, InvalidInput, NotFound, Refused
from tests.doubles.fake_clock import FakeClock
from tests.doubles.memory_journal import MemoryJournal
from tests.small_approvals import approve, ask, reject
from tests.small_environment import cohort, document, flag, put

FLAGS = ("a", "b")
USERS = tuple(f"u-{number}" for number in range(5))
CONTEXTS = (*(Context(user, country="TH") for user in USERS), Context("u-1"), Context(""))
AUTHORS = (Actor("mia", "token-01", Role.AUTHOR), Actor("bob", "token-02", Role.ADMIN))
APPROVERS = tuple(
    Actor(name, f"token-1{number}", Role.APPROVER) for number, name in enumerate(("kai", "ann", "MIA", "eve"))
)
WAIT_MS = 1_000_000

outcomes = st.sampled_from(
    [
        {"serve": "on"},
        {"split": {"on": "50%", "off": "50%"}},
        {"when": {"cohort": "beta"}, "serve": "on"},
        {"when": {"attribute": "country", "equals": "TH"}, "serve": "on"},
    ]
)
flags = st.builds(
    lambda key, rules, never, parent: flag(
        key,
        *rules,
        **({"never": ["beta"]} if never else {}),
        **({"requires": [{"flag": "b", "variants": ["on"]}]} if parent and key == "a" else {}),
    ),
    st.sampled_from(FLAGS),
    st.lists(outcomes, max_size=1),
    st.booleans(),
    st.booleans(),
)
cohorts = st.builds(
    lambda members: cohort("beta", *members), st.lists(st.sampled_from(USERS), min_size=1, max_size=3, unique=True)
)


def policy(count: int, people: list[str]) -> Document:
    approvals = {kind: {"from": "managers", "count": count} for kind in ("Flag", "Cohort")}
    return document("Policy", "rules", {"groups": {"managers": people}, "approvals": approvals})


policies = st.builds(policy, st.integers(1, 2), st.sampled_from([["kai", "ann", "mia"], ["kai", "eve"]]))
documents = st.lists(st.one_of(flags, flags, cohorts, policies), min_size=1, max_size=2).map(
    lambda many: tuple({(one.kind, one.key): one for one in many}.values())
)


@dataclass(frozen=True)
class Act:
    verb: str
    documents: tuple[Document, ...] = ()
    who: int = 0
    number: int = 0
    race: bool = False


acts = st.one_of(
    st.builds(Act, st.just("apply"), documents, st.integers(0, 1)),
    st.builds(Act, st.just("apply"), documents, st.integers(0, 1)),
    st.builds(Act, st.just("approve"), who=st.integers(0, 3), number=st.integers(0, 2), race=st.booleans()),
    st.builds(Act, st.just("approve"), who=st.integers(0, 3), number=st.integers(0, 2), race=st.booleans()),
    st.builds(Act, st.just("approve"), who=st.integers(0, 1), number=st.integers(0, 0), race=st.booleans()),
    st.builds(Act, st.just("shrink"), number=st.integers(0, 1)),
    st.builds(Act, st.sampled_from(["kill", "unkill", "revert", "reject"]), number=st.integers(0, 30)),
    st.builds(Act, st.sampled_from(["restart", "sweep", "wait", "clock back"])),
)


class World:
    """One journal, and the server in front of it."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.journal = MemoryJournal(clock=self.clock)
        self.environment = Environment(self.journal, self.clock, WAIT_MS)

    async def start(self) -> None:
        await self.environment.start()
        await put(self.environment, policy(1, ["kai", "ann", "mia"]), flag("a"), flag("b"), cohort("beta", "u-1"))

    async def act(self, act: Act) -> None:
        """Do it; only refusals that tell people something may come back."""
        self.clock.advance(1_000)
        works: list[Awaitable[object]] = [self._do(act)]
        if act.race:  # at the same moment somebody edits, or approves too
            works.append(self._do(replace(act, verb="kill" if act.who % 2 else "approve", who=(act.who + 1) % 2)))
        for outcome in await asyncio.gather(*works, return_exceptions=True):
            if isinstance(outcome, Conflict | Forbidden | InvalidInput | NotFound | Refused):
                assert outcome.hint
            elif isinstance(outcome, BaseException):
                raise outcome

    async def _do(self, act: Act) -> None:
        here = self.environment
        match act.verb:
            case "apply":
                await ask(here, *act.documents, by=AUTHORS[act.who])
            case "approve":
                waiting = sorted(int(id_.key) for id_ in here.state.resources if id_.kind is Kind.CHANGE)
                await approve(here, waiting[-1 - act.number] if act.number < len(waiting) else 1, APPROVERS[act.who])
            case "reject":
                await reject(here, act.number % 5 + 1, APPROVERS[0])
            case "shrink":
                if ResourceId(Kind.FLAG, FLAGS[act.number]) in here.state.resources:
                    done = await ask(here, flag(FLAGS[act.number]))
                    assert done.change is None, "what provably shrinks never waits"
            case "kill":
                await kill(here, Kill(FLAGS[act.number % 2]), AUTHORS[0])
            case "unkill":
                await unkill(here, Unkill(FLAGS[act.number % 2]), AUTHORS[1])
            case "revert":
                await revert(here, Revert(act.number % here.position.revision + 1), AUTHORS[0], NoFleet())
            case "sweep":
                await end_changes(here)
            case "wait":
                self.clock.advance(WAIT_MS)
            case "clock back":
                self.clock.advance(-WAIT_MS // 2)
            case _:
                await here.close()
                self.environment = Environment(self.journal, self.clock, WAIT_MS)
                await self.environment.start()


def decisions(state: State) -> dict[tuple[str, int], str]:
    """What everybody gets, were no flag killed: a kill is lifted by a verb that no policy sees."""
    ruleset: Ruleset = replace(ruleset_of(state), states={})
    decider = compile_ruleset(ruleset).bind(Origin())
    return {
        (key, number): str(decider.decide(key, context).variant)
        for key in ruleset.flags
        for number, context in enumerate(CONTEXTS)
    }


def grows(before: State, after: State) -> bool:
    """Whether anybody gets what is neither what they had nor off."""
    old, new = decisions(before), decisions(after)
    return any(new[place] not in {old[place], "off"} for place in new.keys() & old.keys())


def demanded(before: State, after: State, entry: Entry) -> int:
    """How many people an entry needs, by the policy that stood."""
    id_ = ResourceId(Kind.POLICY, "rules")
    if id_ not in before.resources:  # it was deleted, with approval
        return 0
    spec = before.resources[id_].spec
    assert isinstance(spec, PolicySpec)
    is_policy_edited = any(change.id == id_ for change in entry.changes)
    return spec.approvals[0][1].count if is_policy_edited or grows(before, after) else 0


def person(entry: Entry) -> str:
    return entry.actor.rpartition(" (")[0].casefold()


def check(entries: tuple[Entry, ...], beginning: State) -> int:
    """Walk the journal; return how many entries needed somebody."""
    states = [beginning]
    for entry in entries:
        states.append(fold(states[-1], [entry]))
    needed = 0
    for entry, before, after in zip(entries, states, states[1:], strict=False):
        if entry.action in {"put", "kill", "unkill"} or not (wanted := demanded(before, after, entry)):
            continue
        needed += 1
        # The entry that grew carries exactly one change that it ended as applied.
        applied = [
            one.id
            for one in entry.changes
            if one.id.kind is Kind.CHANGE and one.after is not None and _state(one.after) == "applied"
        ]
        assert len(applied) == 1, f"entry {entry.revision} grew without approval"
        touching = [one for one in entries if any(change.id == applied[0] for change in one.changes)]
        stored, *between, last = [one for one in touching if one.revision <= entry.revision]
        assert (stored.action, last) == ("store change", entry)
        assert {one.action for one in between} <= {"approve change"}
        spec = before.resources[ResourceId(Kind.POLICY, "rules")].spec
        assert isinstance(spec, PolicySpec)
        people = {one.casefold() for one in spec.groups[0][1]}
        voices = {person(one) for one in (*between, entry)} & people - {person(stored)}
        assert len(voices) >= wanted, f"entry {entry.revision}: {voices} is not enough"
        assert entry.at_ms < stored.at_ms + WAIT_MS, "it had expired"
        ground = {change.id for change in entry.changes if change.id.kind is not Kind.CHANGE}
        ground |= {id_ for id_ in before.resources if id_.kind is Kind.POLICY}
        edits = [
            one.revision
            for one in entries
            if stored.revision < one.revision < entry.revision and ground & {change.id for change in one.changes}
        ]
        assert edits == [], f"what it rested on was edited in {edits}"
    return needed


def _state(resource: Any) -> str:
    return str(resource.status.state.value)


async def live(story: list[Act]) -> int:
    world = World()
    await world.start()
    for act in story:
        await world.act(act)
    entries = await world.journal.entries(0, 10_000)
    final = world.environment.state
    beginning = State(replace(final.position, revision=0, digest=bytes(32)))
    assert fold(beginning, entries) == final
    assert (await world.journal.verify(None)).intact
    for id_, resource in final.resources.items():
        assert id_.kind is not Kind.FLAG or isinstance(resource.status, FlagStatus)
    needed = check(entries, beginning)
    await world.environment.close()
    await world.journal.close()
    return needed


@settings(max_examples=60)
@given(st.lists(acts, min_size=4, max_size=16))
def test_nothing_grows_without_enough_people(story: list[Act]) -> None:
    """Over authors, approvers, edits, kills, reverts, expiry, clocks set back, restarts and races."""
    asyncio.run(live(story))


@pytest.mark.soak
@pytest.mark.timeout(3_600)
@settings(max_examples=4_000)
@given(st.lists(acts, min_size=4, max_size=40))
def test_nothing_grows_without_enough_people_long(story: list[Act]) -> None:
    """The same, for longer stories."""
    asyncio.run(live(story))


def test_the_oracle_sees_growth_that_nobody_approved() -> None:
    """A journal in which a flag grew by itself is found out, and one with its approval is not."""

    async def story() -> None:
        world = World()
        await world.start()
        await ask(world.environment, flag("a", {"serve": "on"}), by=AUTHORS[0])
        await approve(world.environment, 1, APPROVERS[0])
        final = world.environment.state
        beginning = State(replace(final.position, revision=0, digest=bytes(32)))
        entries = await world.journal.entries(0, 100)
        assert check(entries, beginning) == 1
        bare = replace(entries[-1], changes=entries[-1].changes[:1])
        with pytest.raises(AssertionError, match="grew without approval"):
            check((*entries[:-1], bare), beginning)
        by_author = replace(entries[-1], actor="mia (token-01)")
        with pytest.raises(AssertionError, match="is not enough"):
            check((*entries[:-1], by_author), beginning)
        await world.environment.close()

    asyncio.run(story())


def test_stories_do_get_somewhere() -> None:
    """An ordinary story has approvals in it: the property is not about nothing."""
    story = [
        Act("apply", (flag("a", {"serve": "on"}),)),
        Act("approve", who=0),
        Act("apply", (policy(2, ["kai", "ann", "mia"]),)),
        Act("approve", who=1),
        Act("apply", (cohort("beta", "u-1", "u-2"), flag("b", {"when": {"cohort": "beta"}, "serve": "on"}))),
        Act("approve", who=0),
        Act("approve", who=1),
    ]
    assert asyncio.run(live(story)) == 3
