"""Instances: the proof of a rollback counts everybody, each by name."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest

from rollout_sdk.engine.model import Position
from rollout_sdk.wire.messages import Acknowledgement, Greeting, Quarantined
from rollout_server.app.instances import COUNTS_FOR_MS, Instances, InstanceState, InstanceView
from rollout_server.app.record_log import Mark
from rollout_server.errors import Unavailable
from tests.doubles.fake_clock import FakeClock

HOUR_MS = 3_600_000
MINE = "t-1"


@dataclass
class World:
    """An environment at a position that the test sets."""

    instances_max: int = 100
    clock: FakeClock = field(default_factory=FakeClock)
    position: Position = field(default_factory=lambda: Position("e1", 5, b"d5"))
    marks: dict[int, Mark] = field(default_factory=dict)
    needed: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        self.instances = Instances(
            self.clock, lambda: self.position, self.marks.get, lambda: self.needed, self.instances_max
        )

    def commit(self) -> int:
        revision = self.position.revision + 1
        self.position = replace(self.position, revision=revision)
        self.marks[revision] = Mark(b"", b"records", self.clock.now_ms())
        return revision

    def join(self, instance_id: str = "i-1", token_id: str = MINE, **said: object) -> object:
        about = {"sdk_version": "1.0", "capabilities": ("op:equals",), "service": "web", "host": "h", "pid": 7, **said}
        return self.instances.join(Greeting(instance_id, **about), token_id)  # type: ignore[arg-type]

    def acknowledge(self, stream: object, revision: int = 0, *flags: str, digest: bytes = b"records") -> int:
        position = replace(self.position, revision=revision or self.position.revision)
        refused = tuple(Quarantined(flag, 1, "cannot") for flag in flags)
        return self.instances.acknowledge(stream, Acknowledgement(position, digest, refused))

    def view(self) -> InstanceView:
        (view,) = self.instances.views()
        return view

    def states(self) -> list[InstanceState]:
        return [view.state for view in self.instances.views()]


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


def test_a_position_of_another_epoch_is_not_in_force() -> None:
    world = World()
    world.join(held=Position("e0", 99, b""))
    assert world.states() == [InstanceState.STRAGGLING]


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


def test_a_certificate_names_everybody_once() -> None:
    world = World()
    streams = [world.join(f"i-{n}", host=f"h{n}") for n in range(4)]
    revision = world.commit()
    world.acknowledge(streams[0], revision)
    world.acknowledge(streams[1], revision, "checkout")
    world.instances.disconnect(streams[3])
    certificate = world.instances.certificate(revision)
    assert certificate.in_force == ("web@h0 (pid 7)",)
    assert certificate.quarantined == ("web@h1 (pid 7)",)
    assert certificate.straggling == ("web@h2 (pid 7)",)
    assert certificate.unreachable == ("web@h3 (pid 7)",)
    assert world.instances.counts() == dict.fromkeys(InstanceState, 1)
    summary = world.instances.summary()
    assert (summary.connected, summary.behind, summary.unreachable) == (3, 1, ("web@h3 (pid 7)",))


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


def test_who_cannot_evaluate_what_is_said_by_name() -> None:
    world = World()
    world.join("i-1", host="old", sdk_version="0.9")
    gone = world.join("i-2", host="gone")
    world.instances.disconnect(gone)
    told = world.instances.unsupported({"a": frozenset({"op:regex"}), "b": frozenset({"op:equals"})})
    assert told == ("web@old (pid 7), SDK 0.9, lacks op:regex, which a needs",)
    assert world.instances.unsupported({"b": frozenset({"op:equals"})}) == ()


def test_missing_capabilities_are_those_of_the_present_ruleset() -> None:
    world = World(needed=frozenset({"op:equals", "op:regex"}))
    world.join()
    assert world.view().missing_capabilities == ("op:regex",)
    world.needed = frozenset({"op:equals"})
    assert world.view().missing_capabilities == ()


def test_what_is_no_stream_is_nobody() -> None:
    world = World()
    assert world.acknowledge("made up") == -1
    world.instances.leave(("t-1", "i-1"))
    world.instances.disconnect(None)
