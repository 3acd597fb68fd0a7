"""Instances: the proof of a rollback counts everybody, each by name."""

from __future__ import annotations

import pytest

from rollout_server.app.instance import InstanceState
from rollout_server.app.instances import COUNTS_FOR_MS
from rollout_server.errors import Unavailable
from tests.small_instances import World

HOUR_MS = 3_600_000


def test_a_process_straggles_until_it_says_that_the_revision_is_in_force() -> None:
    world = World()
    stream = world.join()
    assert world.states() == [InstanceState.STRAGGLING]
    world.acknowledge(stream)
    assert world.states() == [InstanceState.IN_FORCE]
    world.commit()
    assert world.states() == [InstanceState.STRAGGLING]


def test_who_comes_back_with_the_present_revision_has_it_in_force() -> None:
    world = World()
    world.join(held=world.position)
    assert world.states() == [InstanceState.IN_FORCE]


def test_a_process_that_refused_a_flag_is_quarantined_by_name() -> None:
    world = World()
    world.acknowledge(world.join(), 0, "checkout")
    assert world.view().state is InstanceState.QUARANTINED
    assert (world.view().instance.quarantined, world.view().instance.error) == (("checkout",), "cannot")
    assert world.instances.summary().quarantined == ("web@h (pid 7): checkout",)


def test_records_that_differ_from_those_sent_are_no_proof() -> None:
    """A digest that differs says that something is wrong there."""
    world = World()
    stream = world.join()
    world.commit()
    world.acknowledge(stream, digest=b"others")
    assert world.view().state is InstanceState.QUARANTINED
    assert "differ" in world.view().instance.error


def test_lag_runs_from_the_commit_to_the_word_by_our_clock() -> None:
    world = World()
    stream = world.join()
    revision = world.commit()
    world.clock.advance(120)
    assert world.acknowledge(stream, revision) == 120
    assert world.view().instance.lag_ms == 120


def test_who_joined_after_the_commit_has_no_lag() -> None:
    world = World()
    revision = world.commit()
    world.clock.advance(5_000)
    assert world.acknowledge(world.join(), revision) == -1
    assert world.view().instance.lag_ms == -1


def test_a_word_that_is_repeated_has_no_lag() -> None:
    world = World()
    stream = world.join()
    world.acknowledge(stream, world.commit())
    world.clock.advance(60_000)
    assert world.acknowledge(stream) == -1
    assert world.view().instance.lag_ms == 0


def test_a_clock_that_steps_back_makes_no_negative_lag() -> None:
    world = World()
    stream = world.join()
    revision = world.commit()
    world.clock.step(-10_000)
    assert world.acknowledge(stream, revision) == 0


def test_who_goes_without_goodbye_counts_for_an_hour() -> None:
    """Never "N of N" while one is out of reach."""
    world = World()
    here, gone = world.join("i-1"), world.join("i-2", host="lost")
    world.acknowledge(here)
    world.acknowledge(gone)
    world.instances.disconnect(gone)
    certificate = world.instances.certificate(world.position.revision)
    assert (certificate.in_force, certificate.unreachable) == (("web@h (pid 7)",), ("web@lost (pid 7)",))
    assert not certificate.is_complete
    world.clock.advance(HOUR_MS + 1)
    assert world.instances.certificate(world.position.revision).is_complete
    assert len(world.instances.views()) == 1


def test_who_says_goodbye_counts_no_more() -> None:
    world = World()
    stream = world.join()
    world.instances.leave(stream)
    world.instances.disconnect(stream)
    assert world.instances.views() == ()
    assert world.instances.certificate(5).is_complete


def test_a_process_that_reconnects_before_its_loss_was_noticed_is_one() -> None:
    """The newest stream holds the seat; what happens to the old one says nothing any more."""
    world = World()
    old = world.join()
    new = world.join(held=world.position)
    assert world.acknowledge(old, world.commit(), "checkout") == -1
    world.instances.disconnect(old)
    world.instances.leave(old)
    (view,) = world.instances.views()
    assert (view.instance.is_connected, view.instance.quarantined) == (True, ())
    world.instances.disconnect(new)
    assert world.states() == [InstanceState.UNREACHABLE]


def test_a_token_cannot_take_the_seat_of_another_tokens_process() -> None:
    world = World()
    mine = world.join("i-1", "t-1")
    theirs = world.join("i-1", "t-2")
    world.instances.leave(theirs)
    world.acknowledge(mine)
    assert world.states() == [InstanceState.IN_FORCE]


def test_a_flood_of_hellos_is_bounded_and_told() -> None:
    """What was forgotten keeps a certificate from calling itself complete, for as long as it would have counted."""
    world = World(instances_max=10)
    honest = world.join("honest", "t-honest", held=world.position)
    world.instances.disconnect(honest)
    for number in range(1_000):
        world.instances.disconnect(world.join(f"i-{number}", "t-flood", held=world.position))
    assert len(world.instances.views()) == 10
    assert any(view.instance.greeting.instance_id == "honest" for view in world.instances.views())
    certificate = world.instances.certificate(5)
    assert certificate.forgotten
    assert len(world.instances._forgotten_at_ms) <= 10
    world.clock.advance(COUNTS_FOR_MS + 1)
    assert world.instances.certificate(5).is_complete
    assert world.instances._away == {}


def test_a_token_without_anybody_away_makes_room_at_the_one_with_most() -> None:
    world = World(instances_max=3)
    for number in range(3):
        world.instances.disconnect(world.join(f"i-{number}", "t-flood"))
    world.join("mine", "t-1")
    assert {view.instance.greeting.instance_id for view in world.instances.views()} == {"i-1", "i-2", "mine"}


def test_connected_processes_are_never_forgotten() -> None:
    world = World(instances_max=2)
    world.join("i-1")
    world.join("i-2")
    with pytest.raises(Unavailable, match="takes no more"):
        world.join("i-3")
    assert world.join("i-2") is not None, "who has a seat keeps it"


def test_what_is_no_stream_is_nobody() -> None:
    world = World()
    assert world.acknowledge("made up") == -1
    world.instances.leave(("t-1", "i-1"))
    world.instances.disconnect(None)
