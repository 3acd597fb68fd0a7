"""Whatever the proof calls shrinking does shrink, decided by the one evaluator."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollout_sdk.engine.compile import compile_ruleset
from rollout_sdk.engine.decide import Decider
from rollout_sdk.engine.model import Decision, Origin, Ruleset
from rollout_sdk.engine.shrinks import proof
from tests.random_edits import edited
from tests.random_worlds import Dice

EDITS_OF_ONE_WORLD = 4
SOAK_EDITS = 50_000


def decider(world: Ruleset) -> Decider:
    compiled = compile_ruleset(world)
    assert not compiled.quarantined
    return compiled.bind(Origin())


def is_safe(before: Decision, after: Decision, off: str, world: Ruleset) -> bool:
    """Kept, or off, or what the rollout that answered before moves away from."""
    if before.rollout is not None and after.variant == world.rollouts[before.rollout].from_variant:
        return True
    return after.variant == off or (after.variant == before.variant and after.value == before.value)


def check(seed: int, contexts: int) -> tuple[int, int, int]:
    """Edit one world a few times; return (flags, those proven to shrink, those that do for every context tried)."""
    dice = Dice(seed)
    world = dice.world()
    before = decider(world)
    population = [dice.context() for _ in range(contexts)]
    decisions = {key: [before.decide(key, context) for context in population] for key in world.flags}
    flags = proven = shrank = 0
    for _ in range(EDITS_OF_ONE_WORLD):
        other = edited(dice, world)
        after = decider(other)
        result = proof(world, other)
        growing = {sentence.partition(":")[0].removeprefix("flag/") for sentence in result.growth}
        assert result.proven is not bool(growing)
        for key, was in decisions.items():
            off = world.flags[key].off
            pairs = zip(population, was, strict=True)
            exposed = next((c for c, old in pairs if not is_safe(old, after.decide(key, c), off, world)), None)
            assert exposed is None or key in growing, (
                f"seed {seed}: {key} grows for {exposed.units} {exposed.attributes}"
            )
            flags, proven, shrank = flags + 1, proven + (key not in growing), shrank + (exposed is None)
    return flags, proven, shrank


@settings(max_examples=150)
@given(seed=st.integers(0, 2**32))
def test_what_is_proven_to_shrink_shrinks(seed: int) -> None:
    """No context gets a variant that is neither its own nor off from an edit that is proven to shrink."""
    check(seed, contexts=120)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_what_is_proven_to_shrink_shrinks_over_many_edits() -> None:
    """The same, 50,000 edits on 400 contexts each; and the proof is not vacuous: most of what shrinks is proven."""
    counts = [check(seed, contexts=400) for seed in range(SOAK_EDITS // EDITS_OF_ONE_WORLD)]
    flags, proven, shrank = (sum(column) for column in zip(*counts, strict=True))
    print(f"{flags} flags, {shrank} shrank for every context, {proven} proven: {proven / shrank:.1%}")  # noqa: T201
    assert proven / shrank > 0.8
