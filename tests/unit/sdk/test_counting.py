"""What one client counts, across a fork: driven by hand, no thread runs here."""

from rollout_sdk.counting import Counting
from rollout_sdk.engine.context import Context
from rollout_sdk.engine.model import Origin
from rollout_sdk.settings import Settings
from rollout_sdk.sums import LossReason
from rollout_sdk.testing import RulesetClient
from tests.telemetry_world import launch_ruleset


def held() -> object:
    cache = RulesetClient(launch_ruleset())._runtime._cache
    assert cache is not None
    assert cache.held is not None
    return cache.held


def test_the_same_rules_are_watched_once() -> None:
    """Going stale and fresh again is no new allocation."""
    counting, rules = Counting(Settings(), lambda: "i"), held()
    assert counting.watch(rules) is counting.watch(rules)  # type: ignore[arg-type] # it is one
    assert counting.is_active


def test_a_child_starts_with_empty_sums_and_the_parent_keeps_its_own() -> None:
    """Nothing is counted twice, nothing is lost."""
    counting, rules = Counting(Settings(), lambda: "i"), held()
    watch = counting.watch(rules)  # type: ignore[arg-type] # it is one
    rules.compiled.bind(Origin(), watch).decide("checkout", Context("u-1"))  # type: ignore[attr-defined] # it has it
    parents = counting.telemetry
    counting.begin_anew()
    assert counting.rotate().is_empty
    assert not parents.tally.rotate(0).is_empty
    watch = counting.watch(rules)  # type: ignore[arg-type] # it is one
    rules.compiled.bind(Origin(), watch).decide("checkout", Context("u-1"))  # type: ignore[attr-defined] # it has it
    assert not counting.rotate().is_empty


def test_without_a_thread_there_is_nothing_to_wait_for() -> None:
    """An offline client's flush returns at once."""
    counting = Counting(Settings(), lambda: "i")
    assert counting.flush(0)
    assert counting.join(0)
    assert counting.instance_id == "i"


def test_a_token_that_cannot_be_read_is_counted() -> None:
    """It comes from a queue; nothing is raised and nothing logged for each."""
    counting = Counting(Settings(), lambda: "i")
    assert counting.read_token("nonsense") == ()
    assert counting.rotate().losses == {LossReason.BAD_TOKEN: 1}
