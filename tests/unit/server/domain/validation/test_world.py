"""An environment sorted by what names what."""

from rollout_server.domain.ruleset import ruleset_of
from rollout_server.domain.validation.world import World
from tests.small_rollouts import STATE

WORLD = World(STATE.resources, ruleset_of(STATE).cohorts)


def test_every_kind_has_its_place() -> None:
    """By key; rollouts with their status, and the metric that the server counts itself."""
    assert (set(WORLD.flags), set(WORLD.cohorts), set(WORLD.channels)) == ({"checkout"}, {"staff"}, {"team"})
    assert set(WORLD.metrics) == {"errors", "latency", "conversion", "process_lost"}
    assert set(WORLD.rollouts) == set(WORLD.rollout_statuses) == {"launch"}


def test_who_names_whom_is_found_from_either_side() -> None:
    """Groups of all policies, rollouts of a flag and of a pipeline, rules of a flag."""
    assert WORLD.groups == {"managers": frozenset({"mia", "kai"})}
    assert WORLD.rollouts_of == {"checkout": ["launch"]}
    assert WORLD.rollouts_through == {"careful": ["launch"]}
    assert WORLD.names_rollout("checkout", "launch")
    assert not WORLD.names_rollout("checkout", "other")
    assert not WORLD.names_rollout("gone", "launch")
    assert not WORLD.is_completed("launch")
