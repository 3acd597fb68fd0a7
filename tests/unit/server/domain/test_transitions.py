"""What one entry writes: run, flag, and whatever rests on them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rollout_sdk.engine.model import All, Any, ByRollout, Leaf, Not, Rule, Serve
from rollout_server.domain.machine import FlagOff, Phase
from rollout_server.domain.resources import FlagSpec, FlagStatus, Kind, Metadata, Resource, RolloutStatus
from rollout_server.domain.rollouts import RolloutSpec
from rollout_server.domain.transitions import changes_of, finished, killed, rules_of, taken_back
from tests.rollout_room import CHECKOUT, LAUNCH, room
from tests.small_rules import boolean

BANK = Leaf("plan", "equals", "bank")
ASIA = Leaf("country", "in", ("KR", "TH"))
SPEC = RolloutSpec("checkout", "off", "on", "quick")


def flag(*rules: Rule) -> Resource:
    shape = boolean("checkout")
    spec = FlagSpec(shape.type, shape.variants, shape.off, "off", rules=rules)
    return Resource(Kind.FLAG, Metadata("checkout"), spec, FlagStatus("s" * 16), 3)


def rollout(spec: RolloutSpec = SPEC) -> Resource:
    return Resource(Kind.ROLLOUT, Metadata("launch"), spec, RolloutStatus("s" * 16), 4)


def rules(resource: Resource) -> tuple[Rule, ...]:
    assert isinstance(resource.spec, FlagSpec)
    return resource.spec.rules


LEFT = Rule("launch", ByRollout("launch"))
OTHER = Rule("other", ByRollout("another"))


def test_finishing_serves_the_variant_where_the_rule_stood() -> None:
    """Conditions and other rules stay."""
    after = finished(flag(OTHER, replace(LEFT, when=ASIA)), rollout(), "on")
    assert rules(after) == (OTHER, Rule("launch", Serve("on"), ASIA))


def test_whom_never_held_keeps_from() -> None:
    """Also whom it might have held: unknown is not outside."""
    after = finished(flag(replace(LEFT, when=ASIA)), rollout(replace(SPEC, never=(BANK,))), "on")
    assert rules(after) == (
        Rule("launch", Serve("on"), All((ASIA, Not(Any((BANK,)))))),
        Rule("launch-never", Serve("off"), ASIA),
    )


def test_the_new_rule_takes_a_free_name() -> None:
    """Ids stay unique."""
    taken = Rule("launch-never", Serve("off"), BANK)
    after = finished(flag(taken, LEFT), rollout(replace(SPEC, never=(BANK,))), "on")
    assert [rule.id for rule in rules(after)] == ["launch-never", "launch", "launch-never-2"]


def test_taking_back_touches_what_finishing_wrote() -> None:
    """A rule that somebody edited into something else stays."""
    before = flag(LEFT, Rule("vip", Serve("on"), BANK))
    after = taken_back(finished(before, rollout(), "on"), rules_of(before, "launch"), "off")
    assert [rule.outcome for rule in rules(after)] == [Serve("off"), Serve("on")]
    assert rules(taken_back(flag(replace(LEFT, outcome=OTHER.outcome)), ("launch",), "off"))[0].outcome == OTHER.outcome


def test_killing_is_a_matter_of_status() -> None:
    """The spec stays."""
    after = killed(flag(LEFT))
    assert after.spec == flag(LEFT).spec
    assert isinstance(after.status, FlagStatus)
    assert after.status.killed


async def test_what_decides_changes_with_the_run_in_one_entry() -> None:
    """A kill by the machine's effect: the flag and its run."""
    async with room() as stand:
        await stand.start()
        resources = stand.environment.state.resources
        run = replace(stand.run(), phase=Phase.ROLLED_BACK)
        outcome = run, (FlagOff("checkout"),)
        changes = {one.id: one.after for one in changes_of(resources, stand.rollout(), outcome, by="mia", at_ms=1)}
        assert set(changes) == {CHECKOUT, LAUNCH}
        flag_after = changes[CHECKOUT]
        assert flag_after is not None
        assert isinstance(flag_after.status, FlagStatus)
        assert flag_after.status.killed


def test_what_has_no_status_is_a_bug() -> None:
    """Documents have none; states always do."""
    with pytest.raises(TypeError):
        changes_of({}, replace(rollout(), status=None), (None, ()), by="", at_ms=0)  # type: ignore[arg-type] # on purpose
