"""Plan: the exact preview of a change."""

from __future__ import annotations

import json

import pytest

from rollout_sdk.engine.context import from_json
from rollout_sdk.engine.model import Origin
from rollout_server.app.apply import Apply, apply
from rollout_server.app.documents import Document
from rollout_server.app.environment import Environment
from rollout_server.app.fleet import NoFleet
from rollout_server.app.kill import Kill, kill
from rollout_server.app.moments import At
from rollout_server.app.plan import PlanQuestion, open_plan, plan
from rollout_server.domain.diff import Operation
from rollout_server.errors import InvalidInput, NotFound
from tests.small_environment import MIA, cohort, flag, opened

QUARTER = {"split": {"on": "25%", "off": "75%"}}
HALF = {"split": {"on": "50%", "off": "50%"}}
USERS = [json.dumps({"units": {"user": f"user-{number}"}}) for number in range(2_000)]


async def given(environment: Environment, *documents: Document) -> None:
    await apply(environment, Apply(documents), MIA, NoFleet())


async def test_the_preview_is_what_then_happens() -> None:
    """Over a population: exactly the units that the plan lists change variant when it is applied, and no other."""
    async with opened() as environment:
        await given(environment, flag("a", QUARTER), flag("b"))
        edit = (flag("a", HALF),)
        session = await open_plan(environment, PlanQuestion(edit, moves_limit=10_000), NoFleet())
        listed = [*session.feed(USERS[:700]), *session.feed(USERS[700:])]
        rest, result = session.finish()
        assert rest == ()
        before = (await environment.moment()).compiled.bind(Origin())
        await given(environment, *edit)
        after = (await environment.moment()).compiled.bind(Origin())
        moved = {
            context.units["user"]
            for context in map(from_json, USERS)
            if before.decide("a", context).variant != after.decide("a", context).variant
        }
        assert {move.unit_key for move in listed} == moved
        assert all((move.flag, move.variant_before, move.variant_after) == ("a", "off", "on") for move in listed)
        (counted,) = result.moves
        assert counted.moved == len(moved) == len(listed)
        assert (result.population, result.population_is_synthetic) == (2_000, False)
        assert not result.shrinks
        assert result.growth


async def test_dependents_move_too() -> None:
    """Editing a cohort moves units of the flags that name it; the plan says whose, and why."""
    async with opened() as environment:
        await given(
            environment, cohort("beta", "user-1", "user-2"), flag("a", {"when": {"cohort": "beta"}, "serve": "on"})
        )
        session = await open_plan(environment, PlanQuestion((cohort("beta", "user-2", "user-3"),)), NoFleet())
        moves = session.feed(USERS)
        _, result = session.finish()
        assert {(move.unit_key, move.variant_after) for move in moves} == {("user-1", "off"), ("user-3", "on")}
        assert [str(one.id) for one in result.dependents] == ["flag/a"]
        assert {str(id_) for id_ in result.reads} == {"cohort/beta", "flag/a"}


async def test_a_synthetic_population_tells_the_flags_apart() -> None:
    """Without a population one is made of the flags' own conditions, as many as asked for; none if none."""
    async with opened() as environment:
        await given(environment, flag("a"))
        rule = {"when": {"attribute": "country", "in": ["TH", "KR"]}, "serve": "on"}
        result = await plan(environment, PlanQuestion((flag("a", rule),), synthetic_count=500), NoFleet())
        assert (result.population, result.population_is_synthetic) == (500, True)
        assert result.moves[0].moved > 0
        assert (await plan(environment, PlanQuestion((flag("a", rule),)), NoFleet())).population == 0


async def test_lists_are_cut_and_counts_are_not() -> None:
    """At most so many moves per flag are listed, all are counted; the caller set the limit, so nothing warns."""
    async with opened() as environment:
        await given(environment, flag("a"))
        session = await open_plan(environment, PlanQuestion((flag("a", {"serve": "on"}),), moves_limit=3), NoFleet())
        moves = session.feed(USERS[:50])
        _, result = session.finish()
        assert (len(moves), result.moves[0].moved) == (3, 50)
        assert result.warnings == ()


async def test_a_plan_changes_nothing_and_two_are_the_same() -> None:
    """Planning twice gives one hash and writes nothing; an edit elsewhere leaves it, an edit here does not."""
    async with opened() as environment:
        await given(environment, flag("a"), flag("b"))
        question = PlanQuestion((flag("a", QUARTER),))
        first = await plan(environment, question, NoFleet())
        assert (await plan(environment, question, NoFleet())).hash == first.hash
        await given(environment, flag("b", QUARTER))
        assert (await plan(environment, question, NoFleet())).hash == first.hash
        await kill(environment, Kill("a"), MIA)
        assert (await plan(environment, question, NoFleet())).hash != first.hash
        assert environment.position.revision == 3


async def test_a_plan_against_the_past_cannot_be_applied() -> None:
    """Compared with an earlier revision the changes are those since then, and there is no hash to apply."""
    async with opened() as environment:
        await given(environment, flag("a"))
        await given(environment, flag("a", QUARTER))
        result = await plan(environment, PlanQuestion((flag("a", QUARTER),), at=At(revision=1)), NoFleet())
        assert [change.operation for change in result.changes] == [Operation.UPDATE]
        assert (result.hash, result.position.revision) == ("", 1)
        with pytest.raises(NotFound):
            await plan(environment, PlanQuestion((), at=At(revision=9)), NoFleet())


async def test_shrinking_is_told_only_where_it_is_proven() -> None:
    """Less of a split shrinks; more of it does not."""
    async with opened() as environment:
        await given(environment, flag("a", HALF))
        assert (await plan(environment, PlanQuestion((flag("a", QUARTER),)), NoFleet())).shrinks
        assert not (await plan(environment, PlanQuestion((flag("a", {"serve": "on"}),)), NoFleet())).shrinks


async def test_wrong_documents_and_contexts_are_told_whole() -> None:
    """Every problem of the documents; every context that is none, by its number over all batches."""
    async with opened() as environment:
        with pytest.raises(InvalidInput) as refusal:
            await plan(environment, PlanQuestion((flag("a", {"serve": "x"}), flag("b", never=["no"]))), NoFleet())
        assert len(refusal.value.problems) == 2
        session = await open_plan(environment, PlanQuestion((flag("a"),)), NoFleet())
        session.feed(USERS[:10])
        with pytest.raises(InvalidInput) as refusal:
            session.feed([USERS[0], "{", '{"unit": {}}'])
        assert [problem.path for problem in refusal.value.problems] == ["population[12]", "population[13]"]
