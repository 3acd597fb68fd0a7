"""Explain: why a context gets what it gets, now and then."""

from __future__ import annotations

import json

import pytest

from rollout_sdk.engine.context import from_json
from rollout_sdk.engine.decide import decision_json
from rollout_sdk.engine.model import Origin
from rollout_server.app.apply import Apply, apply
from rollout_server.app.explain import Explain, explain
from rollout_server.app.fleet import NoFleet
from rollout_server.app.kill import Kill, kill
from rollout_server.app.moments import At
from rollout_server.errors import InvalidInput, NotFound
from tests.doubles.fake_clock import FakeClock
from tests.small_environment import MIA, cohort, flag, opened

USER = json.dumps({"units": {"user": "u-1"}, "attributes": {"country": "TH"}})
RULE = {"when": {"all": [{"cohort": "beta"}, {"attribute": "country", "in": ["TH"]}]}, "serve": "on"}


async def test_the_decision_is_that_of_the_sdk_and_the_steps_lead_to_it() -> None:
    """What is explained is what the evaluator decides, field for field."""
    async with opened() as environment:
        await apply(environment, Apply((cohort("beta", "u-1"), flag("a", RULE))), MIA, NoFleet())
        told = await explain(environment, Explain("a", USER))
        moment = await environment.moment()
        origin = Origin(environment.position.epoch, environment.position.revision)
        assert told.decision_json == decision_json(moment.compiled.bind(origin).decide("a", from_json(USER)))
        decision = json.loads(told.decision_json)
        assert (decision["variant"], decision["rule"], decision["revision"], decision["stale"]) == (
            "on",
            "r1",
            1,
            False,
        )
        assert told.position == environment.position
        assert told.steps


async def test_an_earlier_decision_is_the_same_byte_for_byte() -> None:
    """At the revision, or at the time, of the decision: the same text, whatever was changed since."""
    clock = FakeClock()
    async with opened(clock=clock) as environment:
        await apply(environment, Apply((cohort("beta", "u-1"), flag("a", RULE))), MIA, NoFleet())
        at_ms = clock.now_ms()
        recorded = (await explain(environment, Explain("a", USER))).decision_json
        clock.advance(60_000)
        await apply(environment, Apply((cohort("beta", "u-2"),)), MIA, NoFleet())
        await kill(environment, Kill("a"), MIA)
        assert (await explain(environment, Explain("a", USER))).decision_json != recorded
        assert (await explain(environment, Explain("a", USER, At(revision=1)))).decision_json == recorded
        assert (await explain(environment, Explain("a", USER, At(time_ms=at_ms)))).decision_json == recorded


async def test_what_cannot_be_explained_says_why() -> None:
    """A flag that is not there names near ones; a context that is none says what is wrong with it."""
    async with opened() as environment:
        await apply(environment, Apply((flag("checkout-v2"),)), MIA, NoFleet())
        with pytest.raises(NotFound) as refusal:
            await explain(environment, Explain("chekout-v2", USER))
        assert "checkout-v2" in refusal.value.hint
        with pytest.raises(NotFound):
            await explain(environment, Explain("checkout-v2", USER, At(revision=0)))
        for wrong in ("", "{", "[]", '{"user": "u-1"}', '{"units": {"user": 7}}', "[" * 100_000, "\ud800"):
            with pytest.raises(InvalidInput):
                await explain(environment, Explain("checkout-v2", wrong))
