"""Any sequence of verbs: the state is the fold of the journal, and no decision is ever explained otherwise later."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollout_server.app.apply import Apply, apply
from rollout_server.app.documents import Document
from rollout_server.app.environment import Environment
from rollout_server.app.explain import Explain, explain
from rollout_server.app.fleet import NoFleet
from rollout_server.app.intent import Intent
from rollout_server.app.kill import Kill, Unkill, kill, unkill
from rollout_server.app.moments import At
from rollout_server.app.plan import PlanQuestion, plan
from rollout_server.app.revert import Revert, revert
from rollout_server.app.tokens import CreateToken, RevokeToken, create_token, list_tokens, revoke_token
from rollout_server.domain.journal import State, fold
from rollout_server.domain.resources import Kind
from rollout_server.domain.ruleset import ruleset_of
from rollout_server.errors import Conflict, InvalidInput, NotFound, Refused, RolloutError
from tests.doubles.fake_clock import FakeClock
from tests.doubles.memory_journal import MemoryJournal
from tests.small_environment import MIA, cohort, flag

FLAGS = ("child", "middle", "parent")
COHORTS = ("beta", "staff")
USERS = tuple(f"u-{number}" for number in range(6))
CONTEXTS = tuple(
    json.dumps({"units": {"user": user} if user else {}, "attributes": attributes})
    for user, attributes in [*((user, {"country": "TH"}) for user in USERS), ("u-1", {}), ("", {"country": "KR"})]
)

conditions = st.recursive(
    st.sampled_from(
        [
            *({"cohort": key} for key in COHORTS),
            {"attribute": "country", "in": ["TH"]},
            {"attribute": "country", "equals": "KR", "on_missing": "match"},
        ]
    ),
    lambda inner: st.one_of(
        st.builds(lambda one: {"not": one}, inner),
        st.builds(lambda many: {"all": many}, st.lists(inner, min_size=1, max_size=2)),
        st.builds(lambda many: {"any": many}, st.lists(inner, min_size=1, max_size=2)),
    ),
    max_leaves=3,
)
shares = st.integers(0, 100).map(lambda share: {"split": {"on": f"{share}%", "off": f"{100 - share}%"}})
rules = st.builds(
    lambda when, outcome: {**when, **outcome},
    st.one_of(st.just({}), st.builds(lambda when: {"when": when}, conditions)),
    st.one_of(shares, st.sampled_from([{"serve": "on"}, {"serve": "off"}])),
)


@st.composite
def flags(draw: st.DrawFn) -> Document:
    key = draw(st.sampled_from(FLAGS))
    spec: dict[str, Any] = {"default": draw(st.sampled_from(["on", "off"]))}
    parents = FLAGS[FLAGS.index(key) + 1 :]
    is_child, has_never, has_targets = draw(st.tuples(st.booleans(), st.booleans(), st.booleans()))
    if is_child and parents:
        spec["requires"] = [{"flag": draw(st.sampled_from(parents)), "variants": ["on"]}]
    if has_never:
        spec["never"] = [draw(st.sampled_from(COHORTS))]
    if has_targets:
        spec["targets"] = {"on": [draw(st.sampled_from(USERS))]}
    return flag(key, *draw(st.lists(rules, max_size=2)), **spec)


cohorts = st.builds(
    lambda key, include, when: cohort(key, *include, **when),
    st.sampled_from(COHORTS),
    st.lists(st.sampled_from(USERS), unique=True, max_size=3),
    st.sampled_from([{}, {"when": {"attribute": "country", "equals": "TH"}}]),
)


def distinct(documents: list[Document]) -> tuple[Document, ...]:
    return tuple({(one.kind, one.key): one for one in documents}.values())


documents = st.lists(st.one_of(flags(), cohorts), min_size=1, max_size=4).map(distinct)


@dataclass(frozen=True)
class Act:
    verb: str
    documents: tuple[Document, ...] = ()
    key: str = ""
    number: int = 0
    on: bool = False


acts = st.one_of(
    st.builds(Act, st.just("apply"), documents, on=st.booleans()),
    st.builds(Act, st.just("apply"), documents),
    st.builds(Act, st.sampled_from(["kill", "unkill"]), key=st.sampled_from(FLAGS)),
    st.builds(Act, st.just("revert"), number=st.integers(0, 20)),
    st.builds(Act, st.just("saved plan"), documents, key=st.sampled_from(FLAGS), on=st.booleans()),
    st.builds(Act, st.sampled_from(["token", "revoke", "restart", "repeat"]), number=st.integers(0, 3)),
)

START = (flag("parent", {"serve": "on"}), flag("middle"), flag("child"), cohort("beta", "u-1"), cohort("staff", "u-2"))


class World:
    """One journal, the server in front of it, and every decision that was ever explained."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.journal = MemoryJournal(clock=self.clock)
        self.environment = Environment(self.journal, self.clock)
        self.recorded: dict[tuple[int, str, str], str] = {}
        self.calls = 0
        self.refusals: list[RolloutError] = []

    async def act(self, act: Act) -> None:
        """Do it; only refusals that tell people something may come back."""
        self.clock.advance(1_000)
        self.calls += 1
        try:
            await self._do(act)
        except (InvalidInput, Conflict, NotFound, Refused) as refusal:
            self.refusals.append(refusal)

    async def _do(self, act: Act) -> None:
        here = self.environment
        match act.verb:
            case "apply":
                await apply(here, Apply(act.documents, Intent(f"key-{self.calls}"), prune=act.on), MIA, NoFleet())
            case "kill":
                await kill(here, Kill(act.key), MIA)
            case "unkill":
                await unkill(here, Unkill(act.key), MIA)
            case "revert":
                await revert(here, Revert(act.number % (here.position.revision + 2)), MIA, NoFleet())
            case "saved plan":
                saved = await plan(here, PlanQuestion(act.documents), NoFleet())
                if act.on:
                    await kill(here, Kill(act.key), MIA)
                await apply(here, Apply(act.documents, plan_hash=saved.hash), MIA, NoFleet())
            case "token":
                await create_token(here, CreateToken("sdk", "shop"), MIA)
            case "revoke":
                standing = list_tokens(here)
                if standing:
                    await revoke_token(here, RevokeToken(standing[act.number % len(standing)].id), MIA)
            case "repeat":
                revision = here.position.revision
                await apply(here, Apply(START, Intent("first")), MIA, NoFleet())
                assert here.position.revision == revision
            case _:
                await here.close()
                self.environment = Environment(self.journal, self.clock)
                await self.environment.start()

    async def check(self) -> None:
        """State, ruleset and store agree, however they were reached."""
        state = self.environment.state
        beginning = State(replace(state.position, revision=0, digest=bytes(32)))
        assert state == fold(beginning, await self.journal.entries(0, 1_000))
        assert state == await self.journal.load()
        assert self.environment.ruleset == ruleset_of(state)

    async def record(self) -> None:
        """Explain every flag to everybody, as things stand."""
        revision = self.environment.position.revision
        for id_ in self.environment.state.resources:
            for context in CONTEXTS if id_.kind is Kind.FLAG else ():
                told = await explain(self.environment, Explain(id_.key, context))
                known = self.recorded.setdefault((revision, id_.key, context), told.decision_json)
                assert known == told.decision_json

    async def recall(self, environment: Environment) -> None:
        """Ask again for everything that was ever told."""
        for (revision, key, context), told in sorted(self.recorded.items(), reverse=True):
            again = await explain(environment, Explain(key, context, At(revision=revision)))
            assert again.decision_json == told


async def live(story: list[Act], after_each: Callable[[World], Any]) -> None:
    world = World()
    await world.environment.start()
    await apply(world.environment, Apply(START, Intent("first")), MIA, NoFleet())
    for act in story:
        await world.act(act)
        await after_each(world)
    await world.check()
    assert [refusal for refusal in world.refusals if not refusal.hint] == []
    assert (await world.journal.verify(None)).intact
    await world.recall(world.environment)
    late = Environment(world.journal, world.clock)
    await late.start()
    await world.recall(late)
    await late.close()
    await world.environment.close()
    await world.journal.close()


def check_story(story: list[Act]) -> None:
    async def after_each(world: World) -> None:
        await world.check()
        await world.record()

    asyncio.run(live(story, after_each))


@settings(max_examples=25)
@given(st.lists(acts, max_size=12))
def test_the_state_is_the_fold_and_the_past_does_not_change(story: list[Act]) -> None:
    """After any verbs memory is the fold of the log, and every decision is explained later as it was when made."""
    check_story(story)


@pytest.mark.soak
@pytest.mark.timeout(3_600)
@settings(max_examples=2_000)
@given(st.lists(acts, max_size=30))
def test_the_state_is_the_fold_and_the_past_does_not_change_long(story: list[Act]) -> None:
    """The same, for longer stories."""
    check_story(story)
