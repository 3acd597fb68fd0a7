from __future__ import annotations

from dataclasses import FrozenInstanceError, fields, is_dataclass, replace

import pytest

from rollout_sdk.engine import model
from rollout_sdk.engine.model import Decision, Origin, Reason, Ruleset, Variant
from tests.rulesets import ORIGIN, flag, leaf, ruleset, serve

RECORDS = [each for each in vars(model).values() if isinstance(each, type) and is_dataclass(each)]


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.__name__)
def test_every_record_is_frozen_and_slotted(record: type) -> None:
    """Nothing in force can be changed by whoever holds it."""
    assert not hasattr(object.__new__(record), "__dict__")
    with pytest.raises(FrozenInstanceError):
        setattr(object.__new__(record), fields(record)[0].name, None)


def test_flags_can_be_hashed_whatever_their_values() -> None:
    """Lists and maps in a variant's value do not keep a flag out of a set."""
    rules = flag("f", serve(leaf("a", "in", ("x", 1))))
    assert len({rules, replace(rules, variants=(Variant("on", {"a": [1]}), *rules.variants))}) == 2


def test_a_decision_speaks_for_its_origin() -> None:
    """Epoch, revision and staleness are those of the ruleset that decided."""
    decision = Decision("f", value=True, reason=Reason.RULE, variant="on", origin=Origin("e", 3, stale=True))
    assert (decision.epoch, decision.revision, decision.stale) == ("e", 3, True)
    assert replace(decision, origin=ORIGIN).revision == ORIGIN.revision


def test_a_ruleset_without_versions_has_none() -> None:
    """The default is shared, and therefore read-only."""
    made = ruleset()
    bare = Ruleset(made.position, made.flags, made.cohorts, made.states)
    assert bare.versions == {}
    with pytest.raises(TypeError):
        bare.versions["f"] = 1  # type: ignore[index] # read-only
